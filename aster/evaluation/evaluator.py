"""Evaluating the checkpoints of an experiment on its eval_input_reader."""
import logging
import os
import time

from aster import checkpoint
from aster.compat import tf
from aster.data.dataset import check_inputs, make_dataset
from aster.evaluation.lexicon import nearest_word
from aster.evaluation.metrics import RecognitionMetrics
from aster.model.build import build_model
from aster.visualize import draw_recognition, encode_png

_log = logging.getLogger(__name__)
BATCH_SIZE = 32


class Evaluator:
    """Builds the graph once; `evaluate` then reads all images with one checkpoint. Use it in a `with`."""

    def __init__(self, config, exp_dir):
        self._options = config.eval_config
        self._dataset = config.eval_input_reader.tf_record_input_reader.input_path
        self._log_dir = os.path.join(exp_dir, "log", "eval")
        with tf.Graph().as_default() as graph:
            model = build_model(config.model, exp_dir)
            charsets = [predictor.charset for predictor in model.predictors]
            self._ascii_only = all(max(charset.characters) < "\x80" for charset in charsets)
            steps = self._options.data_preprocessing_steps
            check_inputs([config.eval_input_reader], steps, charsets, exp_dir, "eval_input_reader")
            self._stream = make_dataset([config.eval_input_reader], [BATCH_SIZE], steps, is_training=False,
                                        charsets=charsets, base_dir=exp_dir, field="eval_input_reader")
            self._recognition = model.recognize(self._stream.batch.images)
            self._variables = checkpoint.model_variables()
            self._session = tf.Session(graph=graph)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()

    def evaluate(self, path):
        """Reads the data once with the checkpoint at `path` -> results, a dict; exp_dir/log/eval has summaries."""
        checkpoint.restore(self._session, path, self._variables, self._options.use_moving_averages)
        self._session.run(self._stream.initializer)
        metrics = RecognitionMetrics(self._ascii_only)
        drawn, started = [], time.time()
        limit = self._options.num_examples
        fetches = {"batch": [self._stream.batch.texts, self._stream.batch.lexicons, self._stream.batch.images],
                   "recognition": self._fetches()}
        while metrics.count < limit:
            try:
                values = self._session.run(fetches)
            except tf.errors.OutOfRangeError:
                break
            except tf.errors.InvalidArgumentError:
                if self._stream.report.error:
                    raise ValueError(self._stream.report.error)
                raise
            self._update(metrics, values, limit, drawn)
        summary = metrics.summary()
        result = {"dataset": self._dataset, "count": summary["count"], "word_accuracy": summary["word_accuracy"],
                  "normalized_edit_distance": summary["normalized_edit_distance"],
                  "with_lexicon": self._options.eval_with_lexicon, "skipped": self._stream.report.skipped,
                  "global_step": checkpoint.global_step(path)}
        _log.info("%s", self._stream.report)
        _log.info("%s at step %d: word accuracy %.2f %%, normalized edit distance %.4f, %d words, %d skipped, "
                  "%.1f images/s", self._dataset, result["global_step"], 100 * result["word_accuracy"],
                  result["normalized_edit_distance"], result["count"], result["skipped"],
                  result["count"] / (time.time() - started))
        self._write_summary(result, drawn)
        return result

    def _fetches(self):
        fetches = {"texts": self._recognition.texts, "scores": self._recognition.scores}
        if self._recognition.rectification:
            fetches.update(self._recognition.rectification._asdict())
        return fetches

    def _update(self, metrics, values, limit, drawn):
        texts, lexicons, images = values["batch"]
        recognition = values["recognition"]
        for i in range(min(len(texts), limit - metrics.count)):
            truth, predicted = texts[i].decode("utf-8"), recognition["texts"][i].decode("utf-8")
            if self._options.eval_with_lexicon:
                lexicon = lexicons[i].decode("utf-8")
                predicted = nearest_word(predicted, lexicon.split("\t") if lexicon else ())
            right = metrics.update(predicted, truth)
            if len(drawn) < self._options.num_visualizations and not (right and self._options.only_visualize_incorrect):
                drawn.append(draw_recognition(
                    images[i], "%s (truth: %s)" % (predicted, truth),
                    recognition["control_points"][i] if "control_points" in recognition else None,
                    recognition["images"][i] if "images" in recognition else None))

    def _write_summary(self, result, drawn):
        summary = tf.Summary()
        for name in ("word_accuracy", "normalized_edit_distance"):
            summary.value.add(tag="eval/" + name, simple_value=result[name])
        for i, image in enumerate(drawn):
            value = summary.value.add(tag="recognition/%d" % i)
            value.image.height, value.image.width, value.image.colorspace = image.height, image.width, 3
            value.image.encoded_image_string = encode_png(image)
        with tf.Graph().as_default():
            writer = tf.summary.FileWriter(self._log_dir)
            writer.add_summary(summary, result["global_step"])
            writer.close()
