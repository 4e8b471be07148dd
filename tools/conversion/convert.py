"""What all converters do: options, worker processes, shards that can be resumed, and the report.

A converter has a function `load(arguments)` that gives a DataSet: its items (a line of a list, a photo with its words,
and so on; Skipped where a line can't be used), and a function that reads an item:

    read(item) -> iterable of aster.data.example.Sample, or of Skipped for each word that has to be left out

`read` runs in worker processes. An error in it skips the item and names it.
"""
import argparse
import collections
import contextlib
import functools
import os
import sys
import time
import traceback
from typing import Any, Callable, Iterable, NamedTuple, Optional

import find_aster  # noqa: F401
from conversion import output, workers
from conversion.output import OutputError
from conversion.progress import Progress
from tqdm import tqdm

from aster import command
from aster.data.writing import make_record, shard_paths
from aster.errors import printable, safe_for_terminal

_MOST_NAMED = 100  # skipped words that are named one by one
_CHUNK = 64  # items that a worker reads at a time


class Skipped(NamedTuple):
    """A word that is left out, and why."""
    name: str
    reason: str  # words of one reason are counted together
    detail: str = ""  # what the reason was with this word


class DataSet(NamedTuple):
    """What a converter converts."""
    items: Any  # a sequence that has a length and gives slices; an item is a name, or a tuple that starts with a name
    read: Callable[[Any], Iterable]  # item -> Samples and Skipped
    expected: Optional[int] = None  # number of words of the published set, if it is known


class SourceError(Exception):
    """Says what is wrong with a data set as a whole, and what to do."""


def make_parser(description: str) -> argparse.ArgumentParser:
    """Makes a parser with the options that all converters have.

    Args:
      description: what --help shows above the options, as it is.

    Returns:
      The parser, to which a converter can add options.
    """
    parser = command.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, metavar="DIR", help="the data set as it was unpacked")
    parser.add_argument("--output_path", required=True, metavar="FILE", help="the TFRecord file to write")
    parser.add_argument("--num_shards", type=positive, default=1, metavar="N",
                        help="write N files named OUTPUT_PATH-00000-of-0000N and so on (default: 1). If a conversion "
                             "was stopped, start it again with the same options: it goes on after the last complete "
                             "file")
    parser.add_argument("--num_workers", type=positive, default=os.cpu_count(), metavar="N",
                        help="number of worker processes (default: one for each core)")
    parser.add_argument("--lower_case", action="store_true", help="convert texts and lexicons to lower case")
    parser.add_argument("--check", action="store_true",
                        help="fail unless the number of words is that of the published set")
    return parser


def positive(text: str) -> int:
    """Parses a command-line argument.

    Args:
      text: the argument.

    Returns:
      A whole number, 1 or more.

    Raises:
      ValueError or argparse.ArgumentTypeError: the text is not such a number. argparse names the option.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


@safe_for_terminal()
def run(arguments: argparse.Namespace, load: Callable[[argparse.Namespace], DataSet]) -> None:
    """Runs a converter. An error that a user can repair ends it with one line and status 1.

    Args:
      arguments: the parsed options of make_parser.
      load: finds out what to convert. Its file gives the messages their name.

    Raises:
      SystemExit: the conversion failed or was stopped.
    """
    workers.catch_stops()
    name = os.path.splitext(os.path.basename(load.__code__.co_filename))[0]
    try:
        if not os.path.isdir(arguments.data_dir):
            raise SourceError(f"--data_dir {arguments.data_dir} is no folder")
        try:
            data_set = load(arguments)
        finally:  # Python swallows the exception of a signal that comes while it closes a file that nothing refers to
            workers.raise_if_stopped()
        if not len(data_set.items):
            raise SourceError(f"{arguments.data_dir} has no words for these options")
        if len(data_set.items) < arguments.num_shards:
            raise SourceError(f"--num_shards {arguments.num_shards} is more than the {len(data_set.items)} items")
        count = convert(data_set, arguments, name)
    except (SourceError, OutputError, workers.WorkerError) as error:
        sys.exit(printable(f"{name}: {error}"))
    except OSError as error:
        sys.exit(printable(f"{name}: {error.filename or arguments.data_dir}: {error.strerror or error}"))
    except ImportError as error:
        sys.exit(f"{name}: {error}; run: pip install -e \".[convert]\"")
    except KeyboardInterrupt:
        sys.exit("stopped; complete shards are kept")
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        sys.exit(printable(f"{name}: unexpected {type(error).__name__}: {error} (at {place.filename}, line "
                           f"{place.lineno}); complete shards are kept"))
    if arguments.check:
        check(name, count, data_set.expected)


def check(name: str, count: int, expected: Optional[int]) -> None:
    """Compares the number of words with that of the published set, and prints that they are equal.

    Args:
      name: the converter's, for the message.
      count: how many words there are.
      expected: how many there should be; None where that is not known.

    Raises:
      SystemExit: they differ, or the expected number is not known.
    """
    if expected is None:
        sys.exit(f"{name}: the number of words is not known for these options; leave --check out")
    if count != expected:
        sys.exit(f"{name}: {count} words were written, expected {expected}")
    print(f"{count} words, as expected")


def convert(data_set: DataSet, arguments: argparse.Namespace, name: str) -> int:
    """Writes the shards that do not exist yet, and prints a report.

    Args:
      data_set: what to convert.
      arguments: the parsed options of make_parser.
      name: the converter's. Only shards of the same converter with the same options are resumed.

    Returns:
      The number of words in all shards.

    Raises:
      SourceError: there is not one word. Nothing is written.
      OutputError: a file can't be written.
      WorkerError: a worker process was killed.
      KeyboardInterrupt: a signal has stopped the conversion. Complete shards stay.
    """
    items = data_set.items
    paths = shard_paths(arguments.output_path, arguments.num_shards)
    output.check_replaceable(paths)
    progress = Progress(name, arguments, len(items))
    bounds = [len(items) * i // len(paths) for i in range(len(paths) + 1)]
    to_do = [i for i in range(len(paths)) if not progress.has(i, paths[i])]
    chunks = {i: [slice(start, min(start + _CHUNK, bounds[i + 1])) for start in range(bounds[i], bounds[i + 1], _CHUNK)]
              for i in to_do}
    report = _Report()
    import quiet_tensorflow  # noqa: F401 - imported once, before the workers are forked from this process
    started, num_read = time.time(), sum(bounds[i + 1] - bounds[i] for i in to_do)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=num_read, unit="item", smoothing=0.05, disable=None))
        pool, num_workers = None, min(arguments.num_workers, sum(map(len, chunks.values())))
        if arguments.num_workers > 1 and to_do:
            pool = stack.enter_context(workers.start_pool(num_workers))
        work = functools.partial(_read_chunk, data_set.read, arguments.lower_case)
        for i in to_do:
            results = workers.map_in_order(pool, work, (items[chunk] for chunk in chunks[i]), most=4 * num_workers)
            skipped_before = report.count
            written = _write_shard(paths[i], results, report, bar)
            progress.add(i, written, report.count - skipped_before)
    count, num_skipped = progress.finish()
    if not count:
        raise SourceError(f"none of the {len(items)} items gave a word{report.most_common()}; {arguments.output_path} "
                          f"{'stays as it was' if os.path.exists(paths[0]) else 'is not made'}")
    report.show(count - sum(progress.new))
    for i in progress.empty_shards():
        _remove_empty(paths[i])
    speed = sum(progress.new) / max(time.time() - started, 1e-3)
    much = " (more than half: see the reasons above)" if num_skipped > count else ""
    command.say(f"{arguments.output_path}: {count} words written from {len(items)} items, {num_skipped} skipped{much}, "
               f"{speed:.0f} words/s")
    return count


def _write_shard(path, results, report, bar):
    """-> number of words. A file without a word does not appear."""
    written = 0
    with output.complete_files([path]) as parts, output.record_writers(parts) as (writer,):
        for size, records, skipped in results:
            workers.raise_if_stopped()
            for record in records:
                writer.write(record)
            for word in skipped:
                report.add(word)
            written += len(records)
            bar.update(size)
    return written


class _Report:
    """Names and counts what is skipped. Nothing is named twice."""

    def __init__(self):
        self._reasons, self.count = collections.Counter(), 0
        self._named = set()  # reasons

    def add(self, word):
        if self.count < _MOST_NAMED:
            tqdm.write(printable(f"skipped {word.name}: {word.reason}{word.detail}"), file=sys.stderr)
            self._named.add(word.reason)
        self._reasons[word.reason] += 1
        self.count += 1

    def most_common(self):
        return "".join(f"; {times} skipped: {reason}" for reason, times in self._reasons.most_common(3))

    def show(self, num_kept):
        for reason, times in self._reasons.most_common(20):
            if times > 1 or reason not in self._named:
                command.say(f"  skipped {times}: {reason}")
        if num_kept:
            print(f"  {num_kept} of the words were there from before")


def _remove_empty(path):
    """A shard without a word does not exist, since training refuses a file without a record. Nor may it be that of an
    earlier conversion."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    command.say(f"  {path} would have no word, so there is no such file")


def _read_chunk(read, lower_case, items):
    """-> number of items, serialized records, Skipped."""
    records, skipped = [], []
    for item in items:
        try:
            for result in [item] if isinstance(item, Skipped) else read(item):
                if isinstance(result, Skipped):
                    skipped.append(result)
                    continue
                try:
                    records.append(make_record(result, lower_case))
                except ValueError as error:
                    skipped.append(Skipped(result.filename, str(error)))
        except ImportError:  # the installation is at fault, not the item
            raise
        except OSError as error:
            skipped.append(Skipped(_name(item), error.strerror or str(error)))
        except (ValueError, SourceError) as error:
            skipped.append(Skipped(_name(item), str(error)))
        except Exception as error:  # damaged input surprises libraries; one item must not end hours of work
            skipped.append(Skipped(_name(item), " ".join(f"{type(error).__name__}: {error}".split())))
    return len(items), records, skipped


def _name(item):
    """The name of an item, which is a name or starts with one."""
    return str(item if isinstance(item, str) else item[0])[:200]
