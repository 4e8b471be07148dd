"""Results on several data sets, of one experiment or several side by side: the numbers and their tables."""
import collections
import csv
import heapq
import io
import itertools
import json
import logging
import math
import os
import re
from typing import Any, NamedTuple, Tuple

from aster.evaluation.evaluator import recognize_records
from aster.evaluation.metrics import RecognitionMetrics, comparable
from aster.protos import input_reader_pb2
from aster.reading.nearest_word import nearest_word
from aster.reading.pictures import thumbnail

_log = logging.getLogger(__name__)
NUM_FAILURES = 24  # pictures in the page
PROTOCOL = ("Word accuracy: the share of words whose letters and digits are all right, case and punctuation ignored. "
            "Intervals are of 95 % (Wilson). Every row names its subset, since rows of different subsets can't be "
            "compared. With a lexicon, the text is replaced by the nearest word of the record's own by edit distance. "
            "Words preferred: the model's own list, the same for all test sets; other texts can be read too. "
            "\"Paper\": Shi et al., PAMI 2018, without a lexicon, and the number of words that it is of; others report "
            "857 or 1,095 words of IC13, 867 of IC03 and 1,811 or 2,077 of IC15.")
# What a file's name has to hold, what the paper reports without a lexicon, and of how many words.
_PAPER = ((r"iiit5k.*test|iiit5k(?!.*train)", 0.934, 3000), (r"svt_?p|perspective", 0.785, 645),
          (r"svt(?!.*train)", 0.895, 647), (r"ic03(?!.*train)", 0.945, 860), (r"ic13(?!.*train)", 0.918, 1015),
          (r"ic15(?!.*train)", 0.761, 1922), (r"cute", 0.795, 288))


class Word(NamedTuple):
    """A word of a data set as one model read it; `corrected` by its lexicon, or None without one."""
    truth: str
    text: str
    score: float
    right: bool
    filename: str
    lexicon_size: int
    corrected: Any
    thumbnail: bytes = b""  # JPEG of the image as the model saw it, where models are compared


class DataSet(NamedTuple):
    """A name and the TFRecord files of a test set."""
    name: str
    pattern: str


class Result(NamedTuple):
    """What a model read in a data set: all Words, and the failures it was surest of, (Word, Reading) with details.
    preferred_words: size of the word list that the model prefers."""
    experiment: str
    data_set: str
    words: Tuple[Word, ...]
    failures: Tuple[Any, ...]
    skipped: int
    preferred_words: int = 0


class Row(NamedTuple):
    """A row of the table. accuracy, low, high (95 %): 0..1; ned: mean normalized edit distance; paper: its accuracy on
    paper_words words, in the row of that subset, or if there is none in the first."""
    experiment: str
    data_set: str
    subset: str
    lexicon: str
    count: int
    accuracy: float
    low: float
    high: float
    ned: float
    paper: Any = None
    paper_words: Any = None


def find_data_sets(places):
    """Files, patterns and folders of TFRecord files -> list of DataSet; shards NAME-00000-of-00008 are one."""
    found = collections.OrderedDict()
    for place in places:
        paths = [place]
        if os.path.isdir(place):
            paths = [os.path.join(place, name) for name in sorted(os.listdir(place)) if ".tfrecord" in name]
            if not paths:
                raise ValueError(f"{place}: no .tfrecord file in this folder")
        for path in paths:
            pattern = re.sub(r"-\d{5}-of-(\d{5})$", r"-?????-of-\1", path)
            name = re.sub(r"\.tfrecords?", "", os.path.basename(pattern).replace("-?????-of-", "-of-"))
            found.setdefault(pattern, re.sub(r"-of-\d{5}$", "", name))
    counts = collections.Counter(found.values())
    return [DataSet(name if counts[name] == 1 else pattern, pattern) for pattern, name in found.items()]


def evaluate_data_set(recognizer, experiment, data_set, options, base_dir, keep=NUM_FAILURES, thumbnails=False):
    """Reads a whole DataSet -> Result. The `keep` worst failures come with their pictures."""
    reader = input_reader_pb2.InputReader(shuffle=False, num_epochs=1)
    reader.tf_record_input_reader.input_path = data_set.pattern
    # whole, so that subsets are those of the literature, and models are judged alike
    steps = [step for step in options.data_preprocessing_steps if not step.HasField("string_filtering")]
    report, judged = recognize_records(recognizer, reader, steps, base_dir, "--datasets", details=True)
    words, worst, order = [], [], itertools.count()
    for item in judged:
        corrected = nearest_word(item.reading.text, item.lexicon) if item.lexicon else None
        truth = comparable(item.truth, recognizer.ascii_only)
        word = Word(item.truth, item.reading.text, item.reading.score,
                    comparable(item.reading.text, recognizer.ascii_only) == truth, item.filename, len(item.lexicon),
                    corrected, thumbnail(item.reading.image) if thumbnails else b"")
        words.append(word)
        if not word.right:
            heapq.heappush(worst, (word.score, next(order), word, item.reading))
            if len(worst) > keep:
                heapq.heappop(worst)
    failures = tuple((word, reading) for _, _, word, reading in sorted(worst, reverse=True, key=lambda item: item[:2]))
    _log.info("%s: %s", data_set.name, report)
    return Result(experiment, data_set.name, tuple(words), failures, report.skipped, recognizer.num_preferred_words)


def rows(result, ascii_only=True):
    """The rows of a Result: subsets that the literature tells apart, without and with the records' lexicons."""
    made, none = [], "none, %d words preferred" % result.preferred_words if result.preferred_words else "none"
    for subset, words in _subsets(result.words):
        made.append(_row(result, subset, none, [(word.text, word.truth) for word in words], ascii_only))
        with_lexicon = [word for word in words if word.corrected is not None]
        if with_lexicon:
            sizes = sorted(word.lexicon_size for word in with_lexicon)
            made.append(_row(result, subset, "%d words" % sizes[len(sizes) // 2],
                             [(word.corrected, word.truth) for word in with_lexicon], ascii_only))
    for pattern, paper, count in _PAPER:
        if re.search(pattern, result.data_set.lower()):
            places = [i for i, row in enumerate(made) if row.lexicon == none and row.count == count] or [0]
            made[places[0]] = made[places[0]]._replace(paper=paper, paper_words=count)
            break
    return made


def _subsets(words):
    """(name, words): all, and those of them that are alphanumeric, and have three letters at least, where fewer."""
    found = [("all", words)]
    for name, pattern in (("alphanumeric", r"^\w+$"), ("alphanumeric, 3 or longer", r"^\w{3,}$")):
        some = [word for word in words if re.match(pattern, word.truth)]
        if 0 < len(some) < len(found[-1][1]):
            found.append((name, some))
    return found


def _row(result, subset, lexicon, pairs, ascii_only):
    """Row of (text, truth) pairs."""
    metrics = RecognitionMetrics(ascii_only)
    right = sum([metrics.update(text, truth) for text, truth in pairs])
    summary = metrics.summary()
    low, high = wilson(right, len(pairs))
    return Row(result.experiment, result.data_set, subset, lexicon, summary["count"], summary["word_accuracy"], low,
               high, summary["normalized_edit_distance"])


def paper_text(row):
    """What stands in the table's last column."""
    return "" if row.paper is None else "%.1f (%d words)" % (100 * row.paper, row.paper_words)


def wilson(right, count, z=1.959964):
    """The 95 % interval of a share (Wilson 1927) -> (low, high)."""
    if not count:
        return 0.0, 1.0
    share = right / float(count)
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4.0 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(only_first, only_second):
    """Two-sided p-value that two models err alike, from the words that only one of them read right (exact binomial)."""
    count = only_first + only_second
    log_choose = [math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1)
                  for i in range(min(only_first, only_second) + 1)]
    tail = sum(math.exp(value - count * math.log(2)) for value in log_choose)
    return min(1.0, 2 * tail)


class Comparison(NamedTuple):
    """Two models on one data set: counts of words that both, one or none read right, and the p-value."""
    data_set: str
    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    different: Tuple[Any, ...]  # (Word, Word) where one is right


def compare(first, second):
    """Two Results of one data set -> Comparison."""
    pairs = list(zip(first.words, second.words))
    if len(first.words) != len(second.words) or any(a.truth != b.truth for a, b in pairs):
        raise ValueError(f"{first.data_set}: {first.experiment} and {second.experiment} did not read the same words; do their preprocessing steps differ?")
    counts = collections.Counter((a.right, b.right) for a, b in pairs)
    return Comparison(first.data_set, first.experiment, second.experiment, counts[True, True], counts[True, False],
                      counts[False, True], counts[False, False], mcnemar(counts[True, False], counts[False, True]),
                      tuple(pair for pair in pairs if pair[0].right != pair[1].right))


def markdown(table, comparisons=()):
    lines = ["| model | test set | subset | words | lexicon | accuracy, % | 95 % interval | NED | paper |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in table:
        lines.append("| %s | %s | %s | %d | %s | %.1f | %.1f to %.1f | %.4f | %s |" % (
            row.experiment, row.data_set, row.subset, row.count, row.lexicon, 100 * row.accuracy, 100 * row.low,
            100 * row.high, row.ned, paper_text(row)))
    if comparisons:
        lines += ["", "| test set | A | B | both right | only A | only B | neither | p (McNemar) |",
                  "|---|---|---|---|---|---|---|---|"]
        lines += ["| %s | %s | %s | %d | %d | %d | %d | %.3g |" % pair[:8] for pair in comparisons]
    return "\n".join(lines + ["", PROTOCOL, ""])


def csv_table(table):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(table)
    return stream.getvalue()


def json_table(table, comparisons=()):
    return json.dumps({"protocol": PROTOCOL, "rows": [row._asdict() for row in table], "comparisons": [
        {name: value for name, value in pair._asdict().items() if name != "different"} for pair in comparisons]},
        indent=2, ensure_ascii=False) + "\n"
