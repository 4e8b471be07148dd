"""Measures python -m aster.beam on small images with broken ones among them: python benchmarks/beam.py N [N ...]

For each N it makes N images, one of a hundred broken, recognizes and converts them by local processes, and checks the
counts. Memory is that of all processes together (proportional set size), looked at twice a second.
"""
import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from aster.data.image import find_images  # noqa: E402
from aster.pretrained import SAMPLES  # noqa: E402


def small_images():
    """Returns the samples as JPEG files of height 32."""
    files = []
    for path in find_images([SAMPLES]):
        with Image.open(path) as image:
            stream = io.BytesIO()
            image.resize((round(image.width * 32 / image.height), 32)).save(stream, "JPEG")
            files.append((stream.getvalue(), os.path.basename(path).split("_")[1].split(".")[0]))
    return files


def make(folder, number):
    """Writes images/ and labels.tsv. Returns how many of the images are broken."""
    files, num_broken = small_images(), 0
    os.makedirs(os.path.join(folder, "images"))
    with open(os.path.join(folder, "labels.tsv"), "w") as labels:
        for i in range(number):
            content, text = files[i % len(files)]
            if i % 100 == 99:
                content = [b"", b"no image", content[:len(content) // 2]][num_broken % 3]
                num_broken += 1
            with open(os.path.join(folder, "images", f"{i:07d}.jpg"), "wb") as stream:
                stream.write(content)
            labels.write(f"{i:07d}.jpg\t{text}\n")
    return num_broken


def memory(process):
    """{process ID: MB} of a process and all that it has started."""
    children = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stream:
                children.setdefault(int(stream.read().rpartition(")")[2].split()[1]), []).append(int(name))
        except OSError:  # it has ended
            continue
    found, to_do = {}, [process]
    while to_do:
        to_do += children.get(to_do[0], [])
        try:
            with open(f"/proc/{to_do[0]}/smaps_rollup") as stream:
                found[to_do[0]] = int(re.search(r"^Pss: +(\d+) kB", stream.read(), re.MULTILINE).group(1)) / 1024
        except (OSError, AttributeError):
            pass
        del to_do[0]
    return found


def run(folder, arguments):
    """Runs a command -> its output, seconds, peak MB of all processes, of the first one, and of the largest other."""
    started, peaks = time.time(), [0.0, 0.0, 0.0]
    process = subprocess.Popen([sys.executable, "-m", "aster.beam", *arguments], cwd=folder, universal_newlines=True,
                               stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT))
    while process.poll() is None:
        found = memory(process.pid)
        own = found.pop(process.pid, 0)
        now = [own + sum(found.values()), own, max(found.values(), default=0)]
        peaks = [max(pair) for pair in zip(peaks, now)]
        time.sleep(0.5)
    return process.stdout.read(), time.time() - started, peaks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="+", type=int, metavar="N", help="how many images")
    parser.add_argument("--workers", type=int, default=2, help="local worker processes (default: 2)")
    arguments = parser.parse_args()
    for number in arguments.numbers:
        with tempfile.TemporaryDirectory() as folder:
            num_broken = make(folder, number)
            common = ["--input", "images/*", "--num_shards", "4", "--direct_num_workers", str(arguments.workers)]
            commands = {"recognize": ["--output", "texts"],
                        "convert": ["--list", "labels.tsv", "--output_path", "words.tfrecord"]}
            for name, options in commands.items():
                output, seconds, peaks = run(folder, [name, *common, *options])
                counts = re.search(r"(\d+) (?:images read|words written), (\d+) broken", output)
                expected = number - num_broken, num_broken
                assert counts and tuple(map(int, counts.groups())) == expected, (output, expected)
                print(json.dumps(dict(
                    benchmark="beam " + name, images=number, broken=num_broken, workers=arguments.workers,
                    seconds=round(seconds, 1), images_per_second=round(number / seconds, 1),
                    peak_mb=dict(zip(["all", "main", "largest_worker"], map(round, peaks))))), flush=True)


if __name__ == "__main__":
    main()
