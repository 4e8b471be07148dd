"""Evaluating the checkpoints of an experiment on its eval_input_reader."""
import itertools
import logging
import os
import time
from typing import NamedTuple, Tuple

from aster import checkpoint
from aster.compat import tf
from aster.data.dataset import check_inputs, make_dataset
from aster.evaluation.metrics import RecognitionMetrics
from aster.reading.nearest_word import nearest_word
from aster.reading.pictures import draw_reading, encode
from aster.reading.recognizer import Reading, Recognizer

_log = logging.getLogger(__name__)
BATCH_SIZE = 32


class EvaluatedSample(NamedTuple):
    """What a record says, and what was read of it."""
    truth: str
    lexicon: Tuple[str, ...]
    filename: str
    reading: Reading


def evaluate(config, exp_dir, checkpoint_path):
    """Reads the eval_input_reader once with the checkpoint -> results, a dict; exp_dir/log/eval gets summaries."""
    options = config.eval_config
    drawn = []
    with Recognizer(config, checkpoint_path, exp_dir) as recognizer:
        report, judged = recognize_records(recognizer, config.eval_input_reader, options.data_preprocessing_steps, exp_dir,
                                      details=options.num_visualizations > 0)
        metrics = RecognitionMetrics(recognizer.ascii_only)
        started = time.time()
        for item in itertools.islice(judged, options.num_examples):
            predicted = item.reading.text
            if options.eval_with_lexicon:
                predicted = nearest_word(predicted, item.lexicon)
            right = metrics.update(predicted, item.truth)
            if len(drawn) < options.num_visualizations and not (right and options.only_visualize_incorrect):
                drawn.append(draw_reading(item.reading._replace(text=predicted), item.truth))
    result = _result(config, metrics, report, checkpoint.global_step(checkpoint_path))
    _log.info("%s", report)
    _log.info("%s at step %d: word accuracy %.2f %%, normalized edit distance %.4f, %d words, %d skipped, "
              "%.1f images/s", result["dataset"], result["global_step"], 100 * result["word_accuracy"],
              result["normalized_edit_distance"], result["count"], result["skipped"],
              result["count"] / (time.time() - started))
    _write_summary(os.path.join(exp_dir, "log", "eval"), result, drawn)
    return result


def recognize_records(recognizer, reader, steps, base_dir, field="eval_input_reader", details=False):
    """-> (the ReadReport of an InputReader, which grows while it is read; an iterator of EvaluatedSample).

    Truths are the records' texts as the PreprocessingStep messages leave them.
    Raises what `dataset.check_inputs` raises.
    """
    graph = tf.Graph()
    with graph.as_default():
        check_inputs([reader], steps, recognizer.charsets, base_dir=base_dir, field=field,
                     is_training=False, max_characters=recognizer.max_characters)
        stream = make_dataset([reader], [BATCH_SIZE], steps, is_training=False,
                              charsets=recognizer.charsets, base_dir=base_dir, field=field)
    return stream.report, _read(recognizer, graph, stream, details)


def _read(recognizer, graph, stream, details):
    samples = _samples(graph, stream)
    while True:
        chunk = list(itertools.islice(samples, BATCH_SIZE))
        if not chunk:
            return
        images, *columns = zip(*chunk)
        for truth, lexicon, filename, reading in zip(*columns, recognizer.recognize_preprocessed(images, details)):
            words = lexicon.decode("utf-8").split("\t") if lexicon else ()
            yield EvaluatedSample(truth.decode("utf-8"), tuple(words), filename.decode("utf-8", "replace"), reading)


def _samples(graph, stream):
    """Yields (image, text, lexicon, filename) of each sample."""
    batch = stream.batch
    with tf.Session(graph=graph) as session:
        session.run(stream.initializer)
        while True:
            try:
                columns = session.run([batch.images, batch.texts, batch.lexicons, batch.filenames])
            except tf.errors.OutOfRangeError:
                return
            except tf.errors.InvalidArgumentError:
                if stream.report.error:
                    raise ValueError(stream.report.error)
                raise
            yield from zip(*columns)


def _result(config, metrics, report, global_step):
    summary, reader = metrics.summary(), config.eval_input_reader
    return {"dataset": reader.tf_record_input_reader.input_path or reader.custom.factory, "count": summary["count"],
            "word_accuracy": summary["word_accuracy"],
            "normalized_edit_distance": summary["normalized_edit_distance"],
            "with_lexicon": config.eval_config.eval_with_lexicon, "skipped": report.skipped,
            "global_step": global_step}


def _write_summary(folder, result, drawn):
    summary = tf.Summary()
    for name in ("word_accuracy", "normalized_edit_distance"):
        summary.value.add(tag="eval/" + name, simple_value=result[name])
    for i, image in enumerate(drawn):
        value = summary.value.add(tag="recognition/%d" % i)
        value.image.height, value.image.width, value.image.colorspace = image.height, image.width, 3
        value.image.encoded_image_string = encode(image)
    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(folder)
        writer.add_summary(summary, result["global_step"])
        writer.close()
