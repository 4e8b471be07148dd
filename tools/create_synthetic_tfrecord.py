#!/usr/bin/env python
"""Renders words with the fonts of this machine and writes them as TFRecords.

    python tools/create_synthetic_tfrecord.py --output_path data/train.tfrecord --split train
    python tools/create_synthetic_tfrecord.py --output_path data/test.tfrecord --split test --num_images 2000

A word of one split is never in the other. tools/README.md has more.
"""
import argparse
import contextlib
import os
import sys
import time
from typing import Callable, Iterable, Iterator, Optional, Sequence

import find_aster  # noqa: F401
from conversion import sheet, workers
from conversion.output import OutputError, check_replaceable, complete_files, record_writers
from synthetic import fonts, photos, render, words
from synthetic.texts import TextSource
from tqdm import tqdm

from aster import command
from aster.data.writing import shard_paths
from aster.errors import safe_for_terminal

_CHUNK = 16  # images that a worker renders at a time
_PREVIEW_COUNT = 80


def parse_arguments(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parses the command line.

    Args:
      arguments: by default those of this process.

    Returns:
      The options.
    """
    parser = command.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_path", required=True, metavar="FILE", help="the TFRecord file to write")
    parser.add_argument("--num_images", type=_positive, default=50000, metavar="N",
                        help="how many words to render (default: 50000)")
    parser.add_argument("--num_shards", type=_positive, default=1, metavar="N",
                        help="write N files named OUTPUT_PATH-00000-of-0000N and so on (default: 1)")
    parser.add_argument("--split", choices=words.SPLITS, default="all",
                        help="train and test have no text in common, whatever the seed (default: all)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N",
                        help="the same seed gives the same images (default: 0)")
    parser.add_argument("--difficulty", type=_fraction, default=0.5, metavar="0..1",
                        help="how much words are bent, blurred and so on (default: 0.5)")
    parser.add_argument("--words", metavar="FILE",
                        help="a UTF-8 file of one word per line, frequent words first; all of them are used (default: "
                             "English words, without offensive ones)")
    parser.add_argument("--max_words", type=_positive, default=1, metavar="N",
                        help="render lines of 1 to N words, with spaces between them (default: 1)")
    parser.add_argument("--charset", metavar="CHARACTERS",
                        help="leave out words with other characters (default: letters and digits, or with --words all "
                             "characters of that file)")
    parser.add_argument("--fonts", nargs="+", default=[], metavar="PATH",
                        help="fonts to use in addition to those of installed packages: files, or folders to search")
    parser.add_argument("--backgrounds", metavar="FOLDER",
                        help="photographs to write on; other backgrounds are used too")
    parser.add_argument("--preview", metavar="PNG",
                        help="draw the first images with their key points and texts")
    parser.add_argument("--num_workers", type=_positive, metavar="N", default=os.cpu_count(),
                        help="number of worker processes (default: one for each core)")
    options = parser.parse_args(arguments)
    if options.num_shards > options.num_images:
        parser.error(f"--num_shards {options.num_shards}: {options.num_images} images are not enough for as many files")
    return options


def _number(kind, low, high, expected):
    """-> a function that parses an argument: a number of a kind, from low to high."""
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {expected}, not {text!r}")
        return value
    return parse


_positive = _number(int, 1, float("inf"), "a whole number, 1 or more")
_seed = _number(int, 0, 2 ** 32 - 1, "a whole number, 0 to 2 ** 32 - 1")
_fraction = _number(float, 0, 1, "0 to 1")


def make_renderer(arguments: argparse.Namespace) -> render.Renderer:
    """Makes the renderer that the command line asks for. Prints how many words it has to leave out.

    Args:
      arguments: the parsed options.

    Returns:
      The renderer.

    Raises:
      WordError, FontError or PhotoError: words, fonts or photographs can't be used.
    """
    listed = words.read_words(arguments.words) if arguments.words else words.default_words()
    charset = words.normalize(arguments.charset or
                              ("".join(listed) if arguments.words else words.LATIN))
    texts = TextSource(listed, charset, split=arguments.split, max_words=arguments.max_words)
    renderer = render.Renderer(texts, fonts.find_faces(sorted(texts.charset), arguments.fonts), seed=arguments.seed,
                               strength=arguments.difficulty,
                               photos=photos.Photos(arguments.backgrounds) if arguments.backgrounds else None)
    allowed = texts.words
    texts.words = [word for word in allowed if renderer.can_write(word)]
    if allowed and not texts.words:
        raise words.WordError(f"no font can write any of the {len(listed)} words with the characters of --charset; add "
                              "fonts with --fonts")
    if len(texts.words) < len(listed):
        print(f"{len(listed) - len(texts.words)} of {len(listed)} words left out: they are longer than "
              f"{words.MAX_LENGTH} characters, or have characters that are not in --charset or that no font has",
              file=sys.stderr)
    return renderer


def render_all(renderer: render.Renderer, num_images: int, num_workers: int) -> Iterator[render.Rendered]:
    """Renders images in several processes. They are at most a few chunks ahead, so that memory is bounded.

    Args:
      renderer: what to render with.
      num_images: how many images.
      num_workers: how many processes.

    Yields:
      Images 0 to num_images - 1, in order.

    Raises:
      WorkerError: a process was killed.
      KeyboardInterrupt: a signal has stopped the command.
    """
    num_workers = min(num_workers, -(-num_images // _CHUNK))
    chunks = (range(start, min(start + _CHUNK, num_images)) for start in range(0, num_images, _CHUNK))
    render.use_in_workers(renderer)
    with workers.start_pool(num_workers) as pool:
        for chunk in workers.map_in_order(pool, render.render_chunk, chunks, most=4 * num_workers):
            for item in chunk:
                workers.raise_if_stopped()
                yield item


def write_records(rendered: Iterable[render.Rendered], paths: Sequence[str]) -> None:
    """Writes images to TFRecord files.

    Args:
      rendered: the images.
      paths: the files. The first image goes to the first file, the second to the second, and so on in turn.

    Raises:
      OutputError: a file can't be written.
    """
    with record_writers(paths) as writers:
        from aster.data import example
        for index, item in enumerate(rendered):
            sample = example.Sample(item.encoded, item.text, keypoints=item.keypoints, filename=f"{index:08d}.jpg")
            record = example.serialize(sample, item.width, item.height)
            writers[index % len(writers)].write(record)


def run(arguments: argparse.Namespace) -> None:
    """Renders and writes what the command line asks for.

    Args:
      arguments: the parsed options.

    Raises:
      WordError, FontError, PhotoError, RenderError or OutputError: the message says what to do. Nothing is written.
    """
    renderer = make_renderer(arguments)
    render.render_one(renderer, 0)  # an error is easier to see here than in a worker
    paths = shard_paths(arguments.output_path, arguments.num_shards)
    preview = [arguments.preview] if arguments.preview else []
    if arguments.preview in paths:
        raise OutputError(f"--preview and --output_path name the same file, {arguments.preview}")
    check_replaceable(paths)
    first = []

    def watched(rendered):
        for item in tqdm(rendered, total=arguments.num_images, unit="image", disable=None):
            if preview and len(first) < _PREVIEW_COUNT:
                first.append(item)
            yield item

    started = time.time()
    with complete_files(paths + preview) as parts:
        rendered = render_all(renderer, arguments.num_images, arguments.num_workers)
        with contextlib.closing(rendered):
            write_records(watched(rendered), parts[:len(paths)])
        if preview:
            sheet.draw(first, parts[-1], _label_font(renderer))
    speed = arguments.num_images / (time.time() - started)
    command.say(f"{arguments.output_path}: {arguments.num_images} images, {speed:.0f} images/s")


def _label_font(renderer) -> Callable:
    """-> what gives a font for the text below an image: a sans serif one, if it has the characters."""
    def font(text):
        families = sorted(renderer.faces_for(text), key=lambda faces: "Sans" not in faces[0].family)
        return fonts.load(families[0][0].path, 14, render.is_simple(text))
    return font


@safe_for_terminal()
def main(arguments=None):
    arguments = parse_arguments(arguments)
    workers.catch_stops()
    try:
        run(arguments)
    except render.INPUT_ERRORS + (render.RenderError, OutputError, workers.WorkerError) as error:
        sys.exit(f"create_synthetic_tfrecord: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was written")


if __name__ == "__main__":
    main()
