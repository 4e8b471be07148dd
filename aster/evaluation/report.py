"""Accuracy on several data sets, of one experiment or several: what was recognized, and the rows of the table.

tables.py writes the rows as text, page.py as an HTML page.
"""
import collections
import heapq
import itertools
import logging
import os
import re
from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from aster.compat import tf
from aster.data.dataset import check_inputs
from aster.evaluation.evaluator import EvaluatedSample, default_protocol, recognize_records
from aster.evaluation.metrics import RecognitionMetrics, wilson, writable_characters
from aster.evaluation.published import paper_figure
from aster.protos import input_reader_pb2
from aster.reading.nearest_word import nearest_word
from aster.reading.pictures import thumbnail
from aster.reading.recognizer import Reading, Recognizer

_log = logging.getLogger(__name__)
NUM_FAILURES = 24  # pictures in the page
_FIELD = "--datasets"  # for messages


class DataSet(NamedTuple):
    """A test set: its name, and the pattern of its TFRecord files."""
    name: str
    pattern: str


class Word(NamedTuple):
    """A word of a data set, as one model recognized it.

    Attributes:
      truth: the true text.
      text: the text read.
      score: the text's summed log-probability.
      right: whether the text is right, by the first protocol of the report; None where the truth has nothing that this
        protocol compares.
      filename: the name of the image file.
      lexicon_size: words in the record's own lexicon; 0 if it has none.
      corrected: the word of this lexicon that is nearest to the text; None without a lexicon.
      thumbnail: a JPEG file of the image as the model saw it; empty unless models are compared.
    """
    truth: str
    text: str
    score: float
    right: Optional[bool]
    filename: str
    lexicon_size: int
    corrected: Optional[str]
    thumbnail: bytes = b""


class Result(NamedTuple):
    """What a model recognized in a data set.

    Attributes:
      experiment: the model's name.
      data_set: the data set's name.
      words: all words.
      failures: those of the wrong texts that have the highest scores, highest first, as (Word, Reading with details).
      skipped: records that could not be used.
      preferred_words: size of the model's own word list; 0 if it has none.
      writable: the characters that the model can write, see `metrics.comparable`.
    """
    experiment: str
    data_set: str
    words: Tuple[Word, ...]
    failures: Tuple[Tuple[Word, Reading], ...]
    skipped: int
    preferred_words: int = 0
    writable: FrozenSet[str] = frozenset()


class Row(NamedTuple):
    """A row of the table: the accuracy of one model on one subset of a data set, with or without the lexicons.

    Shares are None in a row without words.

    Attributes:
      experiment: the model's name.
      data_set: the data set's name.
      subset: "all", or which of its words these are.
      lexicon: which words the texts were limited to, or "none".
      protocol: what of the texts was compared, a key of metrics.PROTOCOLS.
      count: words in this row.
      empty_truths: further words, which are left out since the protocol compares nothing of their truths.
      accuracy: word accuracy, 0..1.
      low: lower end of its 95 % interval.
      high: upper end of its 95 % interval.
      cer: character error rate, all edits divided by all characters of the truths.
      ned: mean normalized edit distance, of the edits divided by the characters of the truth.
      paper: the accuracy without a lexicon that the ASTER paper reports for this data set, 0..1. It stands in the row
        with as many words as the paper's figure is of. If no row has so many, it stands in the data set's first row.
        It is by the protocol "benchmark".
      paper_words: the words that the paper's figure is of.
    """
    experiment: str
    data_set: str
    subset: str
    lexicon: str
    protocol: str
    count: int  # type: ignore[assignment]
    empty_truths: int
    accuracy: Optional[float]
    low: float
    high: float
    cer: Optional[float]
    ned: Optional[float]
    paper: Optional[float] = None
    paper_words: Optional[int] = None


def find_data_sets(places: Sequence[str]) -> List[DataSet]:
    """Finds test sets. The shards NAME-00000-of-00008 and so on are one data set.

    It does not look into the files; `check_data_set` does.

    Args:
      places: TFRecord files, patterns of their names, and folders of them.

    Returns:
      The data sets. Each has its file's name, or its whole pattern if two files have the same name.

    Raises:
      ValueError: a folder has no TFRecord file.
    """
    names: Dict[str, str] = collections.OrderedDict()  # by pattern
    for place in places:
        paths = [place]
        if os.path.isdir(place):
            paths = [os.path.join(place, name) for name in sorted(os.listdir(place)) if ".tfrecord" in name]
            if not paths:
                raise ValueError(f"{place}: no .tfrecord file in this folder")
        for path in paths:
            if os.path.exists(path):  # not a file of this name in the experiment folder
                path = os.path.abspath(path)
            pattern = re.sub(r"-\d{5}-of-(\d{5})$", r"-?????-of-\1", path)
            name = re.sub(r"\.tfrecords?", "", os.path.basename(pattern).replace("-?????-of-", "-of-"))
            names.setdefault(pattern, re.sub(r"-of-\d{5}$", "", name))
    counts = collections.Counter(names.values())
    return [DataSet(name if counts[name] == 1 else pattern, pattern) for pattern, name in names.items()]


def check_data_set(data_set: DataSet, *, options: Any, base_dir: str) -> None:
    """Looks at a data set before any is read, since reading them may take hours.

    Args:
      data_set: the data set.
      options: the model's EvalConfig message.
      base_dir: the experiment folder.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: the data can't be used.
    """
    reader, steps = _reader_and_steps(data_set, options)
    with tf.Graph().as_default():
        check_inputs([reader], steps, base_dir=base_dir, field=_FIELD, is_training=False)


def _reader_and_steps(data_set: DataSet, options: Any) -> Tuple[Any, List[Any]]:
    """The InputReader of a data set, and the steps by which a model preprocesses it."""
    reader = input_reader_pb2.InputReader(shuffle=False, num_epochs=1)
    reader.tf_record_input_reader.input_path = data_set.pattern
    return reader, list(options.data_preprocessing_steps)


def evaluate_data_set(recognizer: Recognizer, experiment: str, data_set: DataSet, *, options: Any, base_dir: str,
                      protocol: str = "", thumbnails: bool = False) -> Result:
    """Recognizes all words of a data set.

    Args:
      recognizer: an open Recognizer.
      experiment: the model's name.
      data_set: the data set.
      options: the model's EvalConfig message.
      base_dir: the experiment folder.
      protocol: by which `right` of a Word is; "" stands for the model's default.
      thumbnails: whether each Word has a small picture.

    Returns:
      The Result.

    Raises:
      ValueError: the data can't be used.
    """
    reader, steps = _reader_and_steps(data_set, options)
    report, samples = recognize_records(recognizer, reader, steps, base_dir=base_dir, field=_FIELD, details=True)
    words: List[Word] = []
    failures: List[Tuple[float, int, Word, Reading]] = []  # a heap, on top of it the one with the lowest score
    order = itertools.count()  # tells failures of equal scores apart: Readings have no order
    protocol, writable = protocol or default_protocol(recognizer), writable_characters(recognizer.charsets)
    for sample in samples:
        word = _word(sample, protocol, writable, thumbnails)
        words.append(word)
        if word.right is False:
            heapq.heappush(failures, (word.score, next(order), word, sample.reading))
            if len(failures) > NUM_FAILURES:
                heapq.heappop(failures)
    failures.sort(reverse=True, key=lambda failure: failure[:2])
    _log.info("%s: %s", data_set.name, report)
    return Result(experiment, data_set.name, tuple(words), tuple(failure[2:] for failure in failures), report.skipped,
                  recognizer.num_preferred_words, writable)


def _word(sample: EvaluatedSample, protocol: str, writable: FrozenSet[str], with_thumbnail: bool) -> Word:
    reading, text = sample.reading, sample.reading.text or ""
    return Word(sample.truth, text, reading.score or 0.0,
                RecognitionMetrics(protocol, writable).update(text, sample.truth), sample.filename,
                len(sample.lexicon), nearest_word(text, sample.lexicon) if sample.lexicon else None,
                thumbnail(reading.image) if with_thumbnail and reading.image is not None else b"")


def rows(result: Result, protocols: Sequence[str] = ("benchmark",)) -> List[Row]:
    """Makes the rows of a result: for each protocol and each subset one without lexicons, and one with them if the
    records have any.

    Args:
      result: the Result.
      protocols: keys of metrics.PROTOCOLS.

    Returns:
      The rows.
    """
    return [row for protocol in protocols for row in _rows(result, protocol)]


def _rows(result: Result, protocol: str) -> List[Row]:
    table = []
    none = f"none, {result.preferred_words} words preferred" if result.preferred_words else "none"
    for subset, words in _subsets(result.words):
        table.append(_row(result, subset, none, protocol, [(word.text, word.truth) for word in words]))
        with_lexicon = [word for word in words if word.corrected is not None]
        if with_lexicon:
            sizes = sorted(word.lexicon_size for word in with_lexicon)
            table.append(_row(result, subset, f"{sizes[len(sizes) // 2]} words", protocol,
                              [(word.corrected or "", word.truth) for word in with_lexicon]))
    figure = paper_figure(result.data_set) if protocol == "benchmark" else None
    if figure:
        places = [i for i, row in enumerate(table) if row.lexicon == none and row.count == figure.num_words] or [0]
        table[places[0]] = table[places[0]]._replace(paper=figure.accuracy, paper_words=figure.num_words)
    return table


def _subsets(words: Sequence[Word]) -> List[Tuple[str, Sequence[Word]]]:
    """(name, words) of the subsets that the literature tells apart; one that leaves out no word is not listed."""
    subsets = [("all", words)]
    for name, pattern in (("alphanumeric", r"^\w+$"), ("alphanumeric, 3 or longer", r"^\w{3,}$")):
        some = [word for word in words if re.match(pattern, word.truth)]
        if 0 < len(some) < len(subsets[-1][1]):
            subsets.append((name, some))
    return subsets


def _row(result: Result, subset: str, lexicon: str, protocol: str, pairs: Sequence[Tuple[str, str]]) -> Row:
    """The row of (text, truth) pairs."""
    metrics = RecognitionMetrics(protocol, result.writable)
    num_right = sum(bool(metrics.update(text, truth)) for text, truth in pairs)
    low, high = wilson(num_right, metrics.count)
    summary = metrics.summary()
    return Row(result.experiment, result.data_set, subset, lexicon, protocol, metrics.count, metrics.empty_truths,
               summary["word_accuracy"], low, high, summary["character_error_rate"],
               summary["normalized_edit_distance"])
