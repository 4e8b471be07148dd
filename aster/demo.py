"""Recognizes images: python -m aster.demo --input_image PATH... [--exp_dir E | --model NAME]
[--output_dir D] [--json F] [--csv F]
or in a browser: python -m aster.demo --serve"""
import argparse
import csv
import logging
import os
import signal
import sys
from typing import Any, Dict, Iterator, List, Sequence, TextIO, Tuple

from aster import command
from aster.errors import describe
from aster.files import written_whole
from aster.pretrained import DEFAULT
from aster.serve import PORT, serve

_log = logging.getLogger(__name__)
_COLUMNS = ["path", "text", "score", "doubtful", "hint"]  # of --json and --csv


def main() -> None:
    """Parses the arguments, and recognizes the images. Texts go to stdout, and to the files that were asked for."""
    arguments = _parse_arguments()
    config = command.read_experiment(arguments.exp_dir, arguments.overrides, trust=arguments.trust)
    paths = [] if arguments.serve is not None else _find_images(arguments)
    command.start_tensorflow()
    from aster.reading.recognizer import Recognizer
    path = command.find_checkpoint(arguments.exp_dir, arguments.checkpoint)
    with Recognizer(config, path, base_dir=arguments.exp_dir, lexicon=arguments.lexicon) as recognizer:
        if arguments.serve is not None:
            serve(recognizer, arguments.serve)
            return
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        results: List[Dict[str, Any]] = []
        words, num_failed = _cut_out_words(paths) if arguments.detect else ([(path, path, None) for path in paths], 0)
        try:
            readings = recognizer.recognize([image for _, image, _ in words], orientations=arguments.orientations,
                                            details=bool(arguments.output_dir), on_error="keep")
            for number, ((path, _, corners), reading) in enumerate(zip(words, readings), 1):
                if reading.error:
                    _log.error("%s", reading.error)
                    continue
                _print_reading(path, reading, width=min(max(map(len, paths)), 60))
                if reading.hint:
                    _log.warning("%s: %s", path, reading.hint)
                if arguments.output_dir:
                    _save_picture(arguments.output_dir, number, path, reading)
                results.append(_result(path, reading, arguments))
                if corners is not None:
                    results[-1]["corners"] = corners
        except BaseException:  # also where the command is stopped
            try:
                _write_results(results, arguments)
            except OSError as error:  # what stopped it gives the status
                _log.error("%s", describe(error))
            raise
        _write_results(results, arguments)
    num_failed += len(words) - len(results)
    if num_failed:
        sys.exit(f"{num_failed} of {len(paths)} images could not be read")


def _cut_out_words(paths: Sequence[str]) -> Tuple[List[Tuple[str, Any, Any]], int]:
    """Finds the words of photos -> (path, image of a word, its corners) of each, and how many photos can't be read."""
    from aster.data.image import load_image
    from aster.reading.crops import crop
    from aster.reading.detection import detect_words
    words, num_failed = [], 0
    for path in paths:
        try:
            photo = load_image(path)
            found = detect_words(photo)
            words += [(path, crop(photo, corners), corners.tolist()) for corners in found]
        except (OSError, ValueError) as error:
            message = describe(error)
            _log.error("%s", message if path in message else f"{path}: {message}")
            num_failed += 1
            continue
        if not found:
            _log.warning("%s: no text was found", path)
    return words, num_failed


def _parse_arguments() -> argparse.Namespace:
    parser = command.ArgumentParser(prog="python -m aster.demo", description=(
        "Recognize the word in each image, with a pretrained model or the latest checkpoint of EXP_DIR/log."))
    command.add_exp_dir(parser, DEFAULT)
    command.add_checkpoint(parser)
    command.add_overrides(parser)
    command.add_trust(parser)
    parser.add_argument("--serve", nargs="?", type=int, const=PORT, metavar="PORT", help=(
        f"open a page at this port of this machine (default: {PORT}). The page recognizes the images that you drop "
        "on it"))
    parser.add_argument("--input_image", nargs="+", metavar="PATH", help=(
        "image files, folders of image files (without their subfolders), or patterns such as 'photos/**/*.jpg'. - "
        "stands for a list of paths on standard input, one a line. Needed, unless there is --serve"))
    parser.add_argument("--detect", action="store_true", help=(
        "the images are whole photos: find the words in them first, and recognize each. This needs: pip install "
        "rapidocr onnxruntime"))
    parser.add_argument("--lexicon", metavar="F", help="recognize only the words of this file, one a line")
    parser.add_argument("--orientations", nargs="+", type=int, metavar="DEGREES", help=(
        "turn each image counterclockwise by each of these angles, and keep the text with the best score (default: 0, "
        "and for tall images also 90 and 270)"))
    parser.add_argument("--output_dir", metavar="D", help=(
        "save a picture for each image: its control points, the rectified image, and the attention for each "
        "character"))
    parser.add_argument("--json", metavar="F", help=(
        "write the path, text and score of each image to this JSON file, whether the text is doubtful, and what may be "
        "wrong with the image"))
    parser.add_argument("--csv", metavar="F", help="write the same to this CSV file")
    arguments = parser.parse_args()

    if bool(arguments.input_image) == (arguments.serve is not None):
        parser.error("give either --input_image or --serve")
    if arguments.serve is not None and (arguments.json or arguments.csv or arguments.output_dir or
                                        arguments.orientations or arguments.detect):
        parser.error("--serve shows its results on its page; it takes no --json, --csv, --output_dir, --orientations, "
                     "--detect")
    if arguments.json and arguments.csv and os.path.realpath(arguments.json) == os.path.realpath(arguments.csv):
        parser.error("--json and --csv name the same file")
    return arguments


def _find_images(arguments: argparse.Namespace) -> List[str]:
    """The paths of all images. Raises an error now where results could not be written later."""
    from aster.data.image import find_images
    for path in filter(None, [arguments.json, arguments.csv]):
        command.check_writable(path)
    if arguments.output_dir:
        command.check_writable(arguments.output_dir, is_folder=True)
    paths = list(find_images(_with_standard_input(arguments.input_image)))
    for path in filter(None, [arguments.json, arguments.csv]):
        command.check_no_input(path, paths + [arguments.lexicon or ""])
    if not paths:
        raise ValueError("no images: --input_image is empty, or the list on standard input is")
    return paths


def _with_standard_input(paths: Sequence[str]) -> Iterator[str]:
    """The paths, with those of standard input in the place of -."""
    for path in paths:
        if path == "-":
            yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin or ()))
        elif path:
            yield path


def _print_reading(path: str, reading: Any, width: int) -> None:
    turned = f"  turned by {reading.orientation}" if reading.orientation else ""
    doubtful = "  (doubtful)" if reading.doubtful else ""
    line = f"{path:<{width}}  {reading.text:<20}  {reading.score:8.3f}{turned}{doubtful}"
    command.say(line.replace("\n", "\\n"))  # a name with an end of line is one image, too


def _result(path: str, reading: Any, arguments: argparse.Namespace) -> Dict[str, Any]:
    """What --json and --csv say of a reading."""
    result = {"path": path, "text": reading.text, "score": reading.score, "doubtful": reading.doubtful,
              "hint": reading.hint}
    if arguments.orientations:
        result["orientation"] = reading.orientation
    return result


def _write_results(results: List[Dict[str, Any]], arguments: argparse.Namespace) -> None:
    if arguments.json:
        command.write_json(arguments.json, results)
    if arguments.csv:
        command.write_text(arguments.csv, lambda stream: _write_table(stream, results))


def _write_table(stream: TextIO, results: List[Dict[str, Any]]) -> None:
    writer = csv.DictWriter(stream, list(results[0]) if results else _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(results)


def _save_picture(output_dir: str, number: int, path: str, reading: Any) -> None:
    from aster.reading.pictures import draw_reading
    stem = os.path.splitext(os.path.basename(path))[0]
    # numbered, because images of several folders may share a name
    with written_whole(os.path.join(output_dir, f"{number:04d}_{stem}.png")) as temporary:
        draw_reading(reading).save(temporary)


def cli() -> None:
    """Runs the command aster-demo."""
    command.run(main)


if __name__ == "__main__":
    cli()
