"""Reads images: python -m aster.demo --input_image PATH... [--exp_dir E] [--output_dir D] [--json F] [--csv F]
or in a browser: python -m aster.demo --serve"""
import argparse
import csv
import logging
import os
import signal
import sys

from aster import command
from aster.data.image import find_images
from aster.pretrained import ENGLISH
from aster.serve import PORT, serve

_log = logging.getLogger(__name__)


def main():
    parser = argparse.ArgumentParser(prog="python -m aster.demo", description=(
        "Read the word in each image with the model that comes with the library, or the latest checkpoint of "
        "EXP_DIR/log."))
    parser.add_argument("--exp_dir", default=ENGLISH, help="experiment folder (default: the model of aster/pretrained)")
    parser.add_argument("--serve", nargs="?", type=int, const=PORT, metavar="PORT",
                        help="open a page at this port of this machine (default: %d), on which to drop images" % PORT)
    parser.add_argument("--input_image", nargs="+", metavar="PATH",
                        help="image files, folders of them (not folders below), patterns such as 'photos/**/*.jpg', or "
                        "- for a list on standard input, a path a line")
    parser.add_argument("--lexicon", metavar="F", help="read only words of this file, one a line")
    parser.add_argument("--orientations", nargs="+", type=int, metavar="DEGREES",
                        help="turn each image by so much counterclockwise, and keep the best score (default: images "
                        "that are 1.5 times as high as wide by 0, 90 and 270, others by 0)")
    parser.add_argument("--output_dir", metavar="D", help="save for each image a picture of its control points, the "
                        "rectified image and the attention for each character")
    parser.add_argument("--json", metavar="F", help="write path, text and score of each image that could be read to "
                        "this file")
    parser.add_argument("--csv", metavar="F", help="the same as a table")
    arguments = parser.parse_args()

    if bool(arguments.input_image) == (arguments.serve is not None):
        parser.error("name images with --input_image, or --serve a page, not both")
    if arguments.serve is not None and (arguments.json or arguments.csv or arguments.output_dir or
                                        arguments.orientations):
        parser.error("--serve shows on its page what it reads; it takes no --json, --csv, --output_dir, --orientations")
    if arguments.json and arguments.csv and os.path.realpath(arguments.json) == os.path.realpath(arguments.csv):
        parser.error("--json and --csv name the same file")
    command.read_experiment(arguments.exp_dir)
    is_page = arguments.serve is not None
    paths = [] if is_page else _find(arguments)
    from aster.reading.lexicon import read_lexicon
    from aster.reading.recognizer import Recognizer
    lexicon = read_lexicon(arguments.lexicon) if arguments.lexicon else None
    results = []
    with Recognizer.from_experiment(arguments.exp_dir, lexicon) as recognizer:
        if is_page:
            return serve(recognizer, arguments.serve)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            for result in _read(recognizer, paths, arguments):
                results.append(result)
        finally:  # also of a command that is stopped
            if arguments.json:
                command.write_json(arguments.json, results)
            if arguments.csv:
                command.write_text(arguments.csv, lambda stream: _write_table(stream, results))
    if len(results) < len(paths):
        sys.exit("%d of %d images could not be read" % (len(paths) - len(results), len(paths)))


def _find(arguments):
    """The paths of all images; raises an error now for results that could not be written later."""
    for path in filter(None, [arguments.json, arguments.csv]):
        command.check_writable(path)
    if arguments.output_dir:
        command.check_writable(arguments.output_dir, is_folder=True)
    paths = list(find_images(_listed(arguments.input_image)))
    if not paths:
        raise ValueError("no images: --input_image is empty, or the list on standard input is")
    return paths


def _listed(paths):
    """The paths, with those of standard input in the place of -."""
    for path in paths:
        for one in (line.rstrip("\r\n") for line in sys.stdin or ()) if path == "-" else [path]:
            if one:
                yield one


def _read(recognizer, paths, arguments):
    """Prints a line for each image, and yields {"path", "text", "score"} of those that could be read; the log names
    others."""
    width, encoding = min(max(map(len, paths)), 60), sys.stdout.encoding or "utf-8"
    readings = recognizer.recognize(paths, orientations=arguments.orientations, details=bool(arguments.output_dir),
                                    on_error="keep")
    for number, (path, reading) in enumerate(zip(paths, readings), 1):
        if reading.error:
            _log.error("%s", reading.error)
            continue
        turned = "  turned by %d" % reading.orientation if reading.orientation else ""
        line = "%-*s  %-20s  %8.3f%s" % (width, path, reading.text, reading.score, turned)
        print(line.encode(encoding, "backslashreplace").decode(encoding))
        result = {"path": path, "text": reading.text, "score": reading.score}
        if arguments.orientations:
            result["orientation"] = reading.orientation
        if arguments.output_dir:
            _save_picture(arguments.output_dir, number, path, reading)
        yield result


def _write_table(stream, results):
    writer = csv.DictWriter(stream, list(results[0]) if results else ["path", "text", "score"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(results)


def _save_picture(output_dir, number, path, reading):
    from aster.reading.pictures import draw_reading
    stem = os.path.splitext(os.path.basename(path))[0]
    # numbered, because images of several folders may share a name
    draw_reading(reading).save(os.path.join(output_dir, "%04d_%s.png" % (number, stem)))


if __name__ == "__main__":
    command.run(main)
