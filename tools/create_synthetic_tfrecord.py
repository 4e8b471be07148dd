#!/usr/bin/env python
"""Renders words with the fonts of this machine and writes them as TFRecords.

    python tools/create_synthetic_tfrecord.py --output_path data/train.tfrecord --split train
    python tools/create_synthetic_tfrecord.py --output_path data/test.tfrecord --split test \\
        --num_images 2000

A word of one split is never in the other. tools/README.md has more.
"""
import argparse
import collections
import contextlib
import multiprocessing
import os
import signal
import sys
import time

from conversion import sheet
from conversion.output import OutputError, complete_files, record_writers, shard_paths
from synthetic import fonts, photos, render, words
from tqdm import tqdm

# The checkout serves where aster is not installed.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_CHUNK = 16  # images that a worker renders at a time
_TIMEOUT = 300  # seconds for a chunk; a worker that takes longer was killed
_PREVIEW_COUNT = 80


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output_path", required=True, help="the TFRecord file to write")
    parser.add_argument("--num_images", type=_positive, default=50000, metavar="N")
    parser.add_argument("--num_shards", type=_positive, default=1, metavar="N",
                        help="write N files, OUTPUT_PATH-00000-of-0000N and so on")
    parser.add_argument("--split", choices=words.SPLITS, default="all",
                        help="train and test have no text in common, whatever the seed")
    parser.add_argument("--seed", type=_seed, default=0, help="the same gives the same images")
    parser.add_argument("--difficulty", type=_fraction, default=0.5, metavar="0..1",
                        help="how much words are bent, blurred and so on (default: 0.5)")
    parser.add_argument("--words", metavar="FILE", help="UTF-8 text, one word per line, frequent "
                        "words first (default: English)")
    parser.add_argument("--max_words", type=_positive, default=1, metavar="N",
                        help="write lines of 1 to N words, with spaces between them")
    parser.add_argument("--charset", metavar="CHARACTERS", help="words with other characters are "
                        "left out (default: letters and digits, or what --words has)")
    parser.add_argument("--fonts", nargs="+", default=[], metavar="PATH",
                        help="more fonts: files, or folders to search")
    parser.add_argument("--backgrounds", metavar="FOLDER", help="photographs to write on, among other backgrounds")
    parser.add_argument("--preview", metavar="PNG", help="a picture of the first images, their "
                        "keypoints and their texts")
    parser.add_argument("--num_workers", type=_positive, metavar="N",
                        default=os.cpu_count(), help="default: all cores")
    arguments = parser.parse_args(arguments)
    if arguments.num_shards > arguments.num_images:
        parser.error("--num_shards %d: %d images are not enough for as many files"
                     % (arguments.num_shards, arguments.num_images))
    return arguments


def _number(kind, low, high, expected):
    """-> what turns an argument into a number of a kind within limits."""
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


def make_renderer(arguments):
    """The Renderer that the command line asks for. Says which words it has to leave out."""
    listed = words.read_words(arguments.words) if arguments.words else words.default_words()
    charset = words.normalize(arguments.charset or
                              ("".join(listed) if arguments.words else words.LATIN))
    texts = words.TextSource(listed, charset, arguments.split, arguments.max_words)
    renderer = render.Renderer(texts, fonts.find_faces(sorted(texts.charset), arguments.fonts),
                               arguments.seed, arguments.difficulty,
                               photos.Photos(arguments.backgrounds) if arguments.backgrounds else None)
    allowed = texts.words
    texts.words = [word for word in allowed if renderer.can_write(word)]
    if allowed and not texts.words:
        raise words.WordError("no font can write any of the %d words with the characters of "
                              "--charset; add fonts with --fonts" % len(listed))
    if len(texts.words) < len(listed):
        print("%d of %d words left out: longer than %d characters, with characters outside of "
              "--charset, or with some that no font has"
              % (len(listed) - len(texts.words), len(listed), words.MAX_LENGTH), file=sys.stderr)
    return renderer


def render_all(renderer, num_images, num_workers):
    """Yields Rendered 0 to num_images - 1, in order, from as many processes as asked.

    Workers are at most a few chunks ahead of the consumer, so that memory is bounded.
    """
    pool = multiprocessing.Pool(num_workers, render.start_worker, (renderer,))
    try:
        pending = collections.deque()
        for start in range(0, num_images, _CHUNK):
            chunk = range(start, min(start + _CHUNK, num_images))
            pending.append(pool.apply_async(render.render_chunk, (chunk,)))
            if len(pending) > 4 * num_workers:
                for rendered in pending.popleft().get(_TIMEOUT):
                    yield rendered
        for result in pending:
            for rendered in result.get(_TIMEOUT):
                yield rendered
    except multiprocessing.TimeoutError:
        raise OutputError("a worker process was killed, perhaps for want of memory; try a "
                          "smaller --num_workers")
    finally:
        pool.terminate()
        pool.join()


def write_records(rendered, paths):
    """Writes an iterable of Rendered, the first to the first path and so on in turn."""
    with record_writers(paths) as writers:
        from aster.data import example
        for index, item in enumerate(rendered):
            sample = example.Sample(item.encoded, item.text, keypoints=item.keypoints,
                                    filename="%08d.jpg" % index)
            record = example.serialize(sample, item.width, item.height)
            writers[index % len(writers)].write(record)


def run(arguments):
    renderer = make_renderer(arguments)
    render.render_one(renderer, 0)  # an error in its ways is best seen here

    def label_font(text):
        families = sorted(renderer.faces_for(text), key=lambda faces: "Sans" not in faces[0].family)
        return fonts.load(families[0][0].path, 14, render.is_simple(text))

    paths = shard_paths(arguments.output_path, arguments.num_shards)
    preview = [arguments.preview] if arguments.preview else []
    if arguments.preview in paths:
        raise OutputError(f"--preview and --output_path name the same file, {arguments.preview}")
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
            sheet.draw(first, parts[-1], label_font)
    print("%s: %d images, %d images/s"
          % (arguments.output_path, arguments.num_images,
             arguments.num_images / (time.time() - started)))


def main(arguments=None):
    arguments = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; nothing was written"))
    try:
        run(arguments)
    except render.INPUT_ERRORS + (render.RenderError, OutputError) as error:
        sys.exit(f"create_synthetic_tfrecord: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was written")


if __name__ == "__main__":
    main()
