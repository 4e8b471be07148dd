"""What all converters do: options, workers, shards that can be resumed, and the report.

A converter gives a sequence of items (a line, an image with its words, ...; Skipped where a line can't be used)
and a function that reads one:

    read(item) -> iterable of aster.data.example.Sample, or of Skipped where a word has to be left out

`read` runs in worker processes; a ValueError or OSError in it skips the item.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import ctypes
import functools
import hashlib
import json
import os
import signal
import sys
import time
from typing import NamedTuple

from conversion.output import OutputError, complete_files, record_writers, shard_paths
from tqdm import tqdm

# The checkout serves where aster is not installed.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_MOST_NAMED = 100  # skipped words that are named one by one


class Skipped(NamedTuple):
    """A word that is left out, and why."""
    name: str
    reason: str


class SourceError(Exception):
    """Says what is wrong with a data set as a whole, and what to do."""


def make_parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, metavar="DIR", help="the data set as it was unpacked")
    parser.add_argument("--output_path", required=True, metavar="FILE", help="the TFRecord file to write")
    parser.add_argument("--num_shards", type=positive, default=1, metavar="N",
                        help="write N files, OUTPUT_PATH-00000-of-0000N and so on; stopped and started again, a "
                             "conversion goes on after the last complete one")
    parser.add_argument("--num_workers", type=positive, default=os.cpu_count(), metavar="N", help="default: all cores")
    parser.add_argument("--lower_case", action="store_true", help="lower-case texts and lexicons")
    parser.add_argument("--check", action="store_true",
                        help="exit with an error unless the number of words is that of the published set")
    return parser


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def run(arguments, load):
    """Runs a converter: load(arguments) -> (items, read, expected count or None). Errors end in one line."""
    _stops.clear()
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, _stop)
    name = os.path.splitext(os.path.basename(load.__code__.co_filename))[0]
    try:
        if not os.path.isdir(arguments.data_dir):
            raise SourceError(f"--data_dir {arguments.data_dir} is no folder")
        items, read, expected = load(arguments)
        if not len(items):
            raise SourceError(f"{arguments.data_dir} has no words for these options")
        if len(items) < arguments.num_shards:
            raise SourceError("--num_shards %d is more than the %d items" % (arguments.num_shards, len(items)))
        count = convert(items, read, arguments, name)
    except (SourceError, OutputError) as error:
        sys.exit(f"{name}: {error}")
    except ImportError as error:
        sys.exit(f"{name}: {error}; run: pip install -e \".[convert]\"")
    except concurrent.futures.process.BrokenProcessPool:
        sys.exit(f"{name}: a worker process was killed, perhaps for want of memory; try a smaller --num_workers")
    except KeyboardInterrupt:
        sys.exit("stopped; complete shards are kept")
    if arguments.check:
        check(name, count, expected)


_stops = []  # the signals received
_starting = []  # holds something while a worker may be starting


def _stop(number, _):
    """An exception alone would not do: raised within a library's callback, it can be swallowed."""
    _stops.append(number)
    if not _starting:
        raise KeyboardInterrupt


def _submit(pool, function, chunk):
    """An exception between the start of a worker and its entry in the pool's list would leave it behind."""
    _starting.append(True)
    try:
        return pool.submit(function, chunk)
    finally:
        _starting.pop()


def check(name, count, expected):
    if expected is None:
        sys.exit(f"{name}: no count is known for these options, so that --check can't compare")
    if count != expected:
        sys.exit("%s: %d words were written, expected %d" % (name, count, expected))
    print("%d words, as expected" % count)


def convert(items, read, arguments, name, chunk=64):
    """Writes the shards that are not there yet -> number of words in all. `name` is the converter's."""
    paths = shard_paths(arguments.output_path, arguments.num_shards)
    progress = _Progress(name, arguments, len(items))
    bounds = [len(items) * i // len(paths) for i in range(len(paths) + 1)]
    to_do = [i for i in range(len(paths)) if not progress.has(i, paths[i])]
    reasons = collections.Counter()
    from aster.compat import tf  # noqa: F401 - imported once, before the workers are forked from this process
    started, read_count = time.time(), sum(bounds[i + 1] - bounds[i] for i in to_do)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=read_count, unit="item", smoothing=0.05, disable=None))
        pool = None
        if arguments.num_workers > 1:
            pool = stack.enter_context(concurrent.futures.ProcessPoolExecutor(arguments.num_workers))
        for i in to_do:
            written = 0
            chunks = (items[start:min(start + chunk, bounds[i + 1])]
                      for start in range(bounds[i], bounds[i + 1], chunk))
            with complete_files([paths[i]]) as parts, record_writers(parts) as (writer,):
                work = functools.partial(_read_chunk, read, arguments.lower_case, pool is not None)
                for size, records, skipped in _in_order(pool, work, chunks, 4 * arguments.num_workers):
                    if _stops:
                        raise KeyboardInterrupt
                    for record in records:
                        writer.write(record)
                    for one in skipped:
                        if sum(reasons.values()) < _MOST_NAMED:
                            tqdm.write("skipped {}: {}".format(*one), file=sys.stderr)
                        reasons[one.reason] += 1
                    written += len(records)
                    bar.update(size)
            progress.add(i, written)
    count = progress.finish()
    _report(arguments.output_path, count, len(items), reasons, sum(progress.new), time.time() - started)
    return count


def _report(path, count, num_items, reasons, new, seconds):
    print("%s: %d words written from %d items, %d skipped, %d words/s" %
          (path, count, num_items, sum(reasons.values()), new / max(seconds, 1e-3)))
    for reason, times in reasons.most_common(20):
        print("  skipped %d: %s" % (times, reason))
    if new < count:
        print("  %d of the words were there from before" % (count - new))


def _in_order(pool, function, chunks, most):
    """Results in order; workers are at most `most` chunks ahead, so that memory is bounded. No pool: no workers."""
    if pool is None:
        for chunk in chunks:
            yield function(chunk)
        return
    pending = collections.deque()
    for chunk in chunks:
        pending.append(_submit(pool, function, chunk))
        if len(pending) > most:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _read_chunk(read, lower_case, in_worker, items):
    """-> number of items, serialized records, Skipped."""
    if in_worker:
        _settle_worker()
    records, skipped = [], []
    for item in items:
        try:
            for result in [item] if isinstance(item, Skipped) else read(item):
                if isinstance(result, Skipped):
                    skipped.append(result)
                    continue
                try:
                    records.append(_serialize(result, lower_case))
                except ValueError as error:
                    skipped.append(Skipped(result.filename, str(error)))
        except OSError as error:
            skipped.append(Skipped(_name(item), error.strerror or str(error)))
        except ValueError as error:
            skipped.append(Skipped(_name(item), str(error)))
    return len(items), records, skipped


@functools.lru_cache(maxsize=None)
def _settle_worker():
    """Once in each worker: the main process alone says when to stop, and a worker ends with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _name(item):
    """Items are names, or start with one."""
    return str(item if isinstance(item, str) else item[0])[:200]


def _serialize(sample, lower_case):
    """Sample -> bytes; raises ValueError unless its image decodes and it has a text."""
    from aster.data import example, image
    width, height = image.check_image(sample.encoded)
    if not sample.text:
        raise ValueError("its text is empty")
    if lower_case:
        sample = sample._replace(text=sample.text.lower(), lexicon=[word.lower() for word in sample.lexicon])
    return example.serialize(sample, width, height)


class _Progress:
    """Which shards are complete, in a file beside them until all are; options that differ start anew."""

    def __init__(self, name, arguments, num_items):
        options = {name: value for name, value in vars(arguments).items() if name not in ("num_workers", "check")}
        described = json.dumps([name, options, num_items], sort_keys=True, default=str)
        self._path = arguments.output_path + ".progress"
        self._key = hashlib.sha1(described.encode("utf-8")).hexdigest()
        self._counts = {}
        self.new = []
        try:
            with open(self._path) as stream:
                content = json.load(stream)
            if content["key"] == self._key:
                self._counts = {int(i): count for i, count in content["counts"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def has(self, index, path):
        return index in self._counts and os.path.exists(path)

    def add(self, index, count):
        self._counts[index] = count
        self.new.append(count)
        with complete_files([self._path]) as (part,), open(part, "w") as stream:
            json.dump({"key": self._key, "counts": self._counts}, stream)

    def finish(self):
        if os.path.exists(self._path):
            os.remove(self._path)
        return sum(self._counts.values())


