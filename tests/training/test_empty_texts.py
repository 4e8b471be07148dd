"""Training on images without text: a model learns to read nothing in them, by decoders of both directions."""
import io
import os

import numpy as np
import pytest
from experiment import draw_word, write_config
from PIL import Image

from aster import checkpoint
from aster.compat import tf
from aster.config import CONFIG_IN_EXP_DIR, read_config
from aster.data.example import Sample, serialize
from aster.evaluation.evaluator import evaluate
from aster.reading.recognizer import Recognizer
from aster.training.loop import train


def draw_noise(seed):
    """PNG bytes of an image without text, which is not of one color."""
    pixels = np.random.RandomState(seed).randint(0, 100, [24, 64, 3]).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def make_experiment(folder, reader_options, num_steps):
    """Half of its records are words, and half are noise with an empty text."""
    write_config(folder, num_steps=num_steps, batch_size=8, train="seed: 1 gradient_clipping_by_global_norm: 1",
                 optimizer="adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.005 } } }")
    path = os.path.join(folder, CONFIG_IN_EXP_DIR)
    with open(path) as stream:
        text = stream.read()
    predictor = text[text.index("predictor {"):text.index("} }\ntrain_config")]
    backward = predictor.replace('"Forward"', '"Backward"').replace("beam_width", "reverse: true beam_width")
    text = text.replace(predictor, predictor + backward).replace(
        "train_input_reader {", "train_input_reader { " + reader_options)
    with open(path, "w") as stream:
        stream.write(text)
    os.makedirs(os.path.join(folder, "data"))
    with tf.python_io.TFRecordWriter(os.path.join(folder, "data", "words.tfrecord")) as writer:
        for i in range(8):
            writer.write(serialize(Sample(draw_word("tea"), "x", ("x", "y"))))
            writer.write(serialize(Sample(draw_noise(i), "", ("x", "y"))))
    return read_config(folder)


def test_a_model_learns_to_read_nothing(tmp_path):
    folder = str(tmp_path)
    config = make_experiment(folder, "allow_empty_text: true", num_steps=500)
    train(config, folder, clone_on_cpu=True)
    with Recognizer.from_experiment(folder) as recognizer:
        readings = list(recognizer.recognize([draw_noise(seed) for seed in range(100, 108)], details=True))
        word, = recognizer.recognize([draw_word("tea")])
    assert [reading.texts for reading in readings] == [{"Forward": "", "Backward": ""}] * 8
    assert word.text == "x"
    path = checkpoint.find_checkpoint(os.path.join(folder, "log"))
    for with_lexicon in False, True:  # an empty text is not replaced by the nearest word
        config.eval_config.eval_with_lexicon = with_lexicon
        result = evaluate(config, folder, path)
        assert (result["count"], result["word_accuracy"], result["normalized_edit_distance"]) == (16, 1.0, 0.0)


def test_by_default_they_are_left_out(tmp_path, caplog):
    folder = str(tmp_path)
    train(make_experiment(folder, "", num_steps=2), folder, clone_on_cpu=True)
    assert "its text is empty; allow_empty_text of the reader" in caplog.text


@pytest.mark.parametrize("sync", ["true", "false"])
def test_a_batch_of_empty_texts(tmp_path, sync):
    """Its texts have no characters at all."""
    folder = str(tmp_path)
    config = make_experiment(folder, "allow_empty_text: true", num_steps=2)
    for predictor in config.model.multi_predictors_recognition_model.predictor:
        predictor.attention_predictor.sync = sync == "true"
    with tf.python_io.TFRecordWriter(os.path.join(folder, "data", "words.tfrecord")) as writer:
        for i in range(8):
            writer.write(serialize(Sample(draw_noise(i), "")))
    train(config, folder, clone_on_cpu=True)
    assert checkpoint.find_checkpoint(os.path.join(folder, "log")).endswith("-2")
