"""python -m aster.demo on one image, beside importing TensorFlow: python benchmarks/demo.py"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
from common import DEMO, ROOT, demo_config, report, saved_model
from PIL import Image

from aster.pretrained import ENGLISH


def seconds(*command):
    start = time.time()
    subprocess.check_call([sys.executable] + list(command), cwd=ROOT, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return time.time() - start


def main(repeats=5):
    with tempfile.TemporaryDirectory() as folder, saved_model(demo_config()) as path:
        shutil.copytree(os.path.join(DEMO, "config"), os.path.join(folder, "config"))
        shutil.copytree(os.path.dirname(path), os.path.join(folder, "log"))
        image = os.path.join(folder, "word.png")
        Image.fromarray(np.random.RandomState(0).randint(0, 255, [32, 100, 3]).astype(np.uint8)).save(image)
        for case, exp_dir in (("the full model", folder), ("the model that comes with the library", ENGLISH)):
            demo = ["-m", "aster.demo", "--exp_dir", exp_dir, "--input_image", image]
            times = [(seconds("-c", "import tensorflow"), seconds(*demo)) for _ in range(repeats)]
            imports, demos = (sorted(taken)[repeats // 2] for taken in zip(*times))
            report("demo", 1, 1.0 / demos, case=case, import_seconds=round(imports, 2),
                   seconds_beyond_import=round(demos - imports, 2))


if __name__ == "__main__":
    main()
