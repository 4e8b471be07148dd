"""Measures `python -m aster.demo` on one image, beside `import tensorflow`: python benchmarks/demo.py"""
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


def seconds(*arguments: str) -> float:
    """Runs Python with these arguments and returns how long that takes, in seconds."""
    start = time.time()
    subprocess.check_call([sys.executable] + list(arguments), cwd=ROOT, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return time.time() - start


def main(repeats: int = 5) -> None:
    with tempfile.TemporaryDirectory() as folder, saved_model(demo_config()) as path:
        shutil.copytree(os.path.join(DEMO, "config"), os.path.join(folder, "config"))
        shutil.copytree(os.path.dirname(path), os.path.join(folder, "log"))
        image = os.path.join(folder, "word.png")
        Image.fromarray(np.random.RandomState(0).randint(0, 255, [32, 100, 3]).astype(np.uint8)).save(image)
        for case, exp_dir in (("the full model", folder), ("the pretrained model", ENGLISH)):
            demo = ["-m", "aster.demo", "--exp_dir", exp_dir, "--input_image", image]
            times = [(seconds("-c", "import tensorflow"), seconds(*demo)) for _ in range(repeats)]
            import_time, demo_time = (sorted(durations)[repeats // 2] for durations in zip(*times))
            report("demo", 1, 1.0 / demo_time, case=case, import_seconds=round(import_time, 2),
                   seconds_beyond_import=round(demo_time - import_time, 2))


if __name__ == "__main__":
    main()
