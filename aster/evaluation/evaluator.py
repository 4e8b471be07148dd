"""Evaluating the checkpoints of an experiment on its eval_input_reader."""
import contextlib
import logging
import os
import time

from aster import checkpoint
from aster.compat import session_config, tf
from aster.data.dataset import check_inputs, make_dataset
from aster.evaluation.lexicon import nearest_word
from aster.evaluation.metrics import RecognitionMetrics
from aster.model.build import build_model
from aster.parallel import InParts
from aster.visualize import draw_recognition, encode_png

_log = logging.getLogger(__name__)
BATCH_SIZE = 32


def evaluate(config, exp_dir, checkpoint_path):
    """Reads the eval_input_reader once with the checkpoint -> results, a dict; exp_dir/log/eval gets summaries."""
    options = config.eval_config
    with tf.Graph().as_default():
        with checkpoint.constants(checkpoint_path, options.use_moving_averages):
            model = build_model(config.model, exp_dir)
            charsets = [predictor.charset for predictor in model.predictors]
            check_inputs([config.eval_input_reader], options.data_preprocessing_steps, charsets, exp_dir,
                         "eval_input_reader", is_training=False, max_characters=model.max_characters)
            stream = make_dataset([config.eval_input_reader], [BATCH_SIZE], options.data_preprocessing_steps,
                                  is_training=False, charsets=charsets, base_dir=exp_dir, field="eval_input_reader")
            images = tf.placeholder(tf.float32, stream.batch.images.shape)
            recognition = model.recognize(images)
        ascii_only = all(max(charset.characters) < "\x80" for charset in charsets)
        metrics, drawn = RecognitionMetrics(ascii_only), []
        with tf.Session(config=session_config(reading=True, bfloat16=options.bfloat16)) as session:
            session.run(stream.initializer)
            started = time.time()
            for values in _run(session, stream, images, recognition):
                _update(metrics, drawn, values, options)
                if metrics.count >= options.num_examples:
                    break
    result = _result(config, metrics, stream.report, checkpoint.global_step(checkpoint_path))
    _log.info("%s", stream.report)
    _log.info("%s at step %d: word accuracy %.2f %%, normalized edit distance %.4f, %d words, %d skipped, "
              "%.1f images/s", result["dataset"], result["global_step"], 100 * result["word_accuracy"],
              result["normalized_edit_distance"], result["count"], result["skipped"],
              result["count"] / (time.time() - started))
    _write_summary(os.path.join(exp_dir, "log", "eval"), result, drawn)
    return result


def _run(session, stream, images, recognition):
    """Yields what was read from the data and by the model, batch by batch."""
    data = {"truths": stream.batch.texts, "lexicons": stream.batch.lexicons, "inputs": stream.batch.images}
    fetches = {"texts": recognition.texts}
    if recognition.rectification:
        fetches.update(recognition.rectification._asdict())
    with contextlib.closing(InParts(lambda part: session.run(fetches, {images: part}))) as read:
        while True:
            try:
                values = session.run(data)
            except tf.errors.OutOfRangeError:
                return
            except tf.errors.InvalidArgumentError:
                if stream.report.error:
                    raise ValueError(stream.report.error)
                raise
            yield dict(values, **read(values["inputs"]))


def _update(metrics, drawn, values, options):
    """Adds a batch to the metrics, and pictures to `drawn` until there are as many as asked for."""
    for i in range(min(len(values["texts"]), options.num_examples - metrics.count)):
        truth, predicted = values["truths"][i].decode("utf-8"), values["texts"][i].decode("utf-8")
        if options.eval_with_lexicon:
            lexicon = values["lexicons"][i].decode("utf-8")
            predicted = nearest_word(predicted, lexicon.split("\t") if lexicon else ())
        right = metrics.update(predicted, truth)
        if len(drawn) < options.num_visualizations and not (right and options.only_visualize_incorrect):
            drawn.append(draw_recognition(
                values["inputs"][i], "%s (truth: %s)" % (predicted, truth),
                values["control_points"][i] if "control_points" in values else None,
                values["images"][i] if "images" in values else None))


def _result(config, metrics, report, global_step):
    summary = metrics.summary()
    return {"dataset": config.eval_input_reader.tf_record_input_reader.input_path, "count": summary["count"],
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
        value.image.encoded_image_string = encode_png(image)
    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(folder)
        writer.add_summary(summary, result["global_step"])
        writer.close()
