"""Evaluating a checkpoint of an experiment on its eval_input_reader."""
import collections
import gc
import itertools
import logging
import os
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from aster import checkpoint
from aster.compat import check_not_forked, session_config, tf
from aster.data.dataset import check_inputs, make_dataset
from aster.errors import describe
from aster.evaluation.metrics import PROTOCOLS, RecognitionMetrics, writable_characters
from aster.reading.nearest_word import nearest_word
from aster.reading.pictures import draw_reading, encode
from aster.reading.recognizer import Reading, Recognizer
from aster.training.events import EventFile

_log = logging.getLogger(__name__)
BATCH_SIZE = 32
_PICTURE_WIDTH = 800  # pixels; TensorBoard keeps a file of them for every checkpoint


class EvaluatedSample(NamedTuple):
    """A record, and what was read of it. `truth` is its text, and `lexicon` its own words, if it has any."""
    truth: str
    lexicon: Tuple[str, ...]
    filename: str
    reading: Reading


def default_protocol(recognizer: Recognizer) -> str:
    """Returns the protocol of a model for which none is named: that of the benchmarks if it writes ASCII only."""
    return "benchmark" if recognizer.ascii_only else "letters"


def evaluate(config: Any, exp_dir: str, checkpoint_path: str, *, reader: int = 0, protocols: Sequence[str] = (),
             on_result: Optional[Callable[[Dict[str, Any]], None]] = None,
             on_word: Optional[Callable[[Optional[bool]], None]] = None) -> Dict[str, Any]:
    """Evaluates a checkpoint on the first `num_examples` words of one eval_input_reader.

    Numbers and some pictures also go to exp_dir/log/eval, for TensorBoard, those of a second reader to log/eval_1. If
    they can't, the log says so.

    Args:
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder.
      checkpoint_path: the path of the checkpoint, without an ending.
      reader: the number of the eval_input_reader, from 0.
      protocols: keys of metrics.PROTOCOLS; none stands for `default_protocol`.
      on_result: a function of the result that is called as soon as there is one: before the pictures.
      on_word: a function that is told of each word whether it is right by the first protocol, or None if the truth has
        nothing to compare.

    Returns:
      "dataset"; "protocol", the first of them, and what `RecognitionMetrics.summary` returns for it; "protocols", which
      has the same for each of them; "texts_from_lexicons", how many texts were replaced by the nearest word of their
      record's lexicon, and "with_lexicon", whether any was; "skipped" (records) and "global_step".

    Raises:
      CheckpointError: the checkpoint is damaged or of another model.
      ValueError: the data can't be used, or no truth has anything that one of the protocols compares.
    """
    try:
        return _evaluate(config, exp_dir, checkpoint_path, reader, protocols, on_result, on_word)
    finally:  # graphs are cycles: training would hold the parameters of several until Python happens to collect them
        gc.collect()


def _evaluate(config, exp_dir, checkpoint_path, number, protocols, on_result, on_word):
    """See `evaluate`, which also frees the graphs that are made here."""
    reader, field = config.eval_input_reader[number], "eval_input_reader"
    field = field if len(config.eval_input_reader) == 1 else f"{field}[{number}]"
    options, global_step = config.eval_config, checkpoint.global_step(checkpoint_path)  # it may be gone at the end
    to_draw: List[Tuple[EvaluatedSample, Optional[str]]] = []  # with the word of its lexicon, where that is another
    with Recognizer(config, checkpoint_path, exp_dir) as recognizer:
        report, samples = recognize_records(
            recognizer, reader, options.data_preprocessing_steps, base_dir=exp_dir, field=field,
            details=options.num_visualizations > 0)
        default, writable = default_protocol(recognizer), writable_characters(recognizer.charsets)
        metrics = collections.OrderedDict((name, RecognitionMetrics(name, writable)) for name in protocols or [default])
        first, from_lexicons, started = next(iter(metrics)), 0, time.time()
        for sample in itertools.islice(samples, options.num_examples):
            text = sample.reading.text or ""
            corrected = nearest_word(text, sample.lexicon) if options.eval_with_lexicon else text
            from_lexicons += bool(options.eval_with_lexicon and sample.lexicon)
            is_right = {name: metric.update(corrected, sample.truth) for name, metric in metrics.items()}[first]
            if on_word:
                on_word(is_right)
            if len(to_draw) < options.num_visualizations and not (is_right is not False
                                                                  and options.only_visualize_incorrect):
                to_draw.append((sample, corrected if corrected != text else None))
        seconds = time.time() - started
    result = _result(reader, metrics, from_lexicons=from_lexicons, skipped=report.skipped, global_step=global_step)
    if on_result:
        on_result(result)
    _log.info("%s; %.1f images/s", report, (result["count"] + result["empty_truths"]) / seconds)
    _write_summary(os.path.join(exp_dir, "log", f"eval_{number}" if number else "eval"), result, default, to_draw)
    return result


def summary_lines(result: Dict[str, Any]) -> List[str]:
    """Says in a line for each protocol what `evaluate` returned.

    Args:
      result: what `evaluate` returned.

    Returns:
      The lines, without line breaks.
    """
    lines = []
    for name, summary in result["protocols"].items():
        numbers = f"nothing to compare ({name})" if not summary["count"] else (
            f"word accuracy {100 * summary['word_accuracy']:.2f} % ({name}), "
            f"character error rate {summary['character_error_rate']:.4f}, "
            f"normalized edit distance {summary['normalized_edit_distance']:.4f}")
        lexicon = f"{result['texts_from_lexicons']} texts taken from lexicons, " if result["with_lexicon"] else ""
        empty = f"{summary['empty_truths']} empty truths left out, " if summary["empty_truths"] else ""
        lines.append(f"{result['dataset']} at step {result['global_step']}: {numbers}, {lexicon}{empty}"
                     f"{summary['count']} words, {result['skipped']} skipped")
    return lines


def recognize_records(recognizer: Recognizer, reader: Any, steps: Sequence[Any], *, base_dir: str,
                      field: str = "eval_input_reader", details: bool = False
                      ) -> Tuple[Any, Iterator[EvaluatedSample]]:
    """Recognizes the images of TFRecord files.

    Args:
      recognizer: an open Recognizer.
      reader: an InputReader message.
      steps: PreprocessingStep messages. A string_filtering among them is left out: truths are the records' own texts,
        and the protocol says what of them is compared.
      base_dir: the experiment folder, in which relative paths are looked up first.
      field: the reader's name in the configuration, for messages.
      details: whether the Readings have details.

    Returns:
      A ReadReport, which is complete once all samples are read; and an iterator of EvaluatedSample.

    Raises:
      ValueError: the data can't be used, see `check_inputs`; or this process was forked from one that had used
        TensorFlow.
    """
    check_not_forked()
    graph = tf.Graph()
    steps = [step for step in steps if not step.HasField("string_filtering")]
    with graph.as_default():
        check_inputs([reader], steps, recognizer.charsets, base_dir=base_dir, field=field, is_training=False,
                     max_characters=recognizer.max_characters)
        stream = make_dataset([reader], [BATCH_SIZE], steps, is_training=False, charsets=recognizer.charsets,
                              base_dir=base_dir, field=field)
    return stream.report, _recognize_batches(recognizer, graph, stream, details)


def _recognize_batches(recognizer: Recognizer, graph: Any, stream: Any, details: bool) -> Iterator[EvaluatedSample]:
    samples = _samples(graph, stream)
    while True:
        batch = list(itertools.islice(samples, BATCH_SIZE))
        if not batch:
            return
        images, *columns = zip(*batch)
        for truth, lexicon, filename, reading in zip(*columns, recognizer.recognize_preprocessed(images, details)):
            words = lexicon.decode("utf-8").split("\t") if lexicon else ()
            yield EvaluatedSample(truth.decode("utf-8"), tuple(words), filename.decode("utf-8", "replace"), reading)


def _samples(graph: Any, stream: Any) -> Iterator[Tuple[np.ndarray, bytes, bytes, bytes]]:
    """Yields (image, text, lexicon, filename) of each sample."""
    batch = stream.batch
    with tf.Session(graph=graph, config=session_config()) as session:
        session.run(stream.initializer)
        while True:
            try:
                columns = session.run([batch.images, batch.texts, batch.lexicons, batch.filenames])
            except tf.errors.OutOfRangeError:
                return
            except tf.errors.OpError as error:
                if stream.report.error:  # what the pipeline found wrong with the data, in words
                    raise ValueError(stream.report.error) from error
                raise
            yield from zip(*columns)


def _result(reader: Any, metrics: Dict[str, RecognitionMetrics], *, from_lexicons: int, skipped: int,
            global_step: int) -> Dict[str, Any]:
    first = next(iter(metrics))
    result = {"dataset": reader.tf_record_input_reader.input_path or reader.custom.factory, "protocol": first}
    result.update(metrics[first].summary())
    result.update(protocols={name: metric.summary() for name, metric in metrics.items()},
                  with_lexicon=from_lexicons > 0, texts_from_lexicons=from_lexicons, skipped=skipped,
                  global_step=global_step)
    if not any(metric.count for metric in metrics.values()):
        raise ValueError(f"{result['dataset']}: none of the {metrics[first].empty_truths} texts has what the protocol "
                         f"{first} compares ({PROTOCOLS[first]}); name another one with --protocol")
    return result


def _write_summary(folder: str, result: Dict[str, Any], default: str,
                   to_draw: Sequence[Tuple[EvaluatedSample, Optional[str]]]) -> None:
    """Writes an event file with the numbers, and with pictures of the samples. The result is there already, so nothing
    that goes wrong here is more than a line in the log. A curve has one protocol: that of the default has no name."""
    summary = tf.Summary()
    for protocol, numbers in result["protocols"].items():
        prefix = "eval/" if protocol == default else f"eval/{protocol}/"
        for name in ("word_accuracy", "character_error_rate", "normalized_edit_distance"):
            if numbers["count"]:
                summary.value.add(tag=prefix + name, simple_value=numbers[name])
    for i, (sample, corrected) in enumerate(to_draw):
        try:
            picture = draw_reading(sample.reading, sample.truth, corrected=corrected, width=_PICTURE_WIDTH)
        except ImportError as error:
            _log.error("no pictures for TensorBoard: %s; install it with: pip install matplotlib", error)
            break
        except Exception as error:  # whatever a record may hold
            _log.error("no picture for TensorBoard of record %r with the text %.50r: %s", sample.filename,
                       sample.truth, describe(error))
            continue
        image = summary.value.add(tag=f"recognition/{i}").image
        image.height, image.width, image.colorspace = picture.height, picture.width, 3
        image.encoded_image_string = encode(picture)
    try:
        EventFile(folder).add(summary, result["global_step"])
    except Exception as error:
        _log.error("no summary for TensorBoard: %s", describe(error))
