"""Reads images: python -m aster.demo --exp_dir E --input_image PATH... [--output_dir D] [--json F]"""
import argparse
import logging
import os
import sys

from aster import command
from aster.data.image import decode_image

_log = logging.getLogger(__name__)
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")


def main():
    parser = argparse.ArgumentParser(prog="python -m aster.demo", description=(
        "Read the word in each image with the latest checkpoint of EXP_DIR/log."))
    parser.add_argument("--exp_dir", required=True, help="experiment folder")
    parser.add_argument("--input_image", required=True, nargs="+", metavar="PATH",
                        help="image files, or folders of them")
    parser.add_argument("--output_dir", metavar="D",
                        help="save for each image a picture of its control points and the rectified image")
    parser.add_argument("--json", metavar="F", help="write path, text and score of each image to this file")
    arguments = parser.parse_args()

    command.read_experiment(arguments.exp_dir)
    if arguments.json:
        command.check_writable(arguments.json)
    if arguments.output_dir:
        command.check_writable(arguments.output_dir, is_folder=True)
    paths = _find_images(arguments.input_image)
    read_paths = []
    from aster.recognizer import Recognizer
    with Recognizer.from_experiment(arguments.exp_dir) as recognizer:
        results = []
        # one by one: in a batch a score can differ in the fourth digit, since other kernels serve it
        for reading in recognizer.recognize(_load(paths, read_paths), batch_size=1):
            path = read_paths[len(results)]
            print("%s  %s  %.3f" % (path, reading.text, reading.score))
            results.append({"path": path, "text": reading.text, "score": reading.score})
            if arguments.output_dir:
                _save_picture(arguments.output_dir, len(results), path, reading)
    if arguments.json:
        command.write_json(arguments.json, results)
    if len(results) < len(paths):
        sys.exit("%d of %d images could not be read" % (len(paths) - len(results), len(paths)))


def _find_images(paths):
    """Folders stand for the images in them, in the order of their names."""
    found = []
    for path in paths:
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.lower().endswith(_EXTENSIONS))
            if not names:
                raise ValueError("%s: no image in this folder (%s)" % (path, " ".join(_EXTENSIONS)))
            found += [os.path.join(path, name) for name in names]
        else:
            found.append(path)
    return found


def _load(paths, read_paths):
    """Yields the images that decode, appending their paths to `read_paths`; the log names the others."""
    for path in paths:
        try:
            with open(path, "rb") as stream:
                image = decode_image(stream.read(), apply_exif=True)
        except (EnvironmentError, ValueError) as error:
            _log.error("%s: %s", path, getattr(error, "strerror", None) or error)
            continue
        read_paths.append(path)
        yield image


def _save_picture(output_dir, number, path, reading):
    from aster.visualize import draw_recognition
    stem = os.path.splitext(os.path.basename(path))[0]
    # numbered, because images of several folders may share a name
    draw_recognition(reading.image, reading.text, reading.control_points, reading.rectified).save(
        os.path.join(output_dir, "%04d_%s.png" % (number, stem)))


if __name__ == "__main__":
    command.run(main)
