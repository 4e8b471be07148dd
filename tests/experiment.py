"""A tiny experiment for tests: a folder with a configuration and a few drawn words."""
import io
import os
import sys
from string import Template

import numpy as np
from PIL import Image, ImageDraw

from aster import command
from aster.compat import tf
from aster.config import read_config
from aster.data.example import Sample, serialize

WORDS = ["one", "two", "red", "x1", "sun", "tea", "ice", "y2k"]

CONFIG = """
model { multi_predictors_recognition_model {
  spatial_transformer {
    convnet { stn_convnet { tiny: true conv_hyperparams { $norm } } } fc_hyperparams { $norm }
    localization_h: 32 localization_w: 64 num_control_points: 6 init_bias_pattern: "slope" }
  feature_extractor { convnet { crnn_net { tiny: true conv_hyperparams { $norm } } }
    bidirectional_rnn { fw_bw_rnn_cell { lstm_cell { num_units: 8 } } num_output_units: 8 } }
  predictor { name: "Forward" attention_predictor { rnn_cell { lstm_cell { num_units: 8 } }
    num_attention_units: 8 max_num_steps: 6 beam_width: 2
    label_map { character_set { built_in_set: LOWERCASE } label_offset: 2 } } }
} }
train_config {
  batch_size: $batch_size
  data_augmentation_options { resize_image { target_height: 64 target_width: 256 } }
  optimizer { $optimizer }
  num_steps: $num_steps
  $train
}
train_input_reader { queue_capacity: 8 tf_record_input_reader { input_path: "data/words.tfrecord" } }
eval_config { data_preprocessing_steps { resize_image { target_height: 64 target_width: 256 } } $eval }
eval_input_reader { shuffle: false tf_record_input_reader { input_path: "data/words.tfrecord" } }
"""
DEFAULTS = dict(norm="batch_norm { decay: 0.9 }", batch_size=4, num_steps=3, train="", eval="",
                optimizer="adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } }")


def draw_word(word, width=64):
    """JPEG bytes of a word in black on white."""
    image = Image.new("RGB", (64, 24), "white")
    ImageDraw.Draw(image).text((8, 6), word, fill="black")
    image = image.resize((width, 24))
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    return stream.getvalue()


def make_experiment(folder, **options):
    """Writes the experiment into `folder`, and returns its path. `options` replace DEFAULTS."""
    folder = str(folder)
    write_config(folder, **options)
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    with tf.python_io.TFRecordWriter(os.path.join(folder, "data", "words.tfrecord")) as writer:
        for word in WORDS:
            writer.write(serialize(Sample(draw_word(word), word, ("other", word, "words"))))
    return folder


def write_config(folder, **options):
    os.makedirs(os.path.join(folder, "config"), exist_ok=True)
    with open(os.path.join(folder, "config", "trainval.prototxt"), "w") as stream:
        stream.write(Template(CONFIG).substitute(DEFAULTS, **options))


def make_lines_config(config, widths):
    """Changes a configuration to one without rectifier, whose images keep their aspect ratio. Returns it."""
    config.model.multi_predictors_recognition_model.ClearField("spatial_transformer")
    for steps in config.train_config.data_augmentation_options, config.eval_config.data_preprocessing_steps:
        del steps[:]
        resize = steps.add().resize_image_keeping_aspect
        resize.target_height = 32
        resize.target_widths.extend(widths)
    return config


def make_long_words(folder):
    """Changes an experiment: every second word is drawn twice as wide, and long images are resized and rectified to a
    width of their own. Returns its configuration."""
    records = os.path.join(folder, "data", "words.tfrecord")
    with tf.python_io.TFRecordWriter(records) as writer:
        for i, word in enumerate(WORDS):
            writer.write(serialize(Sample(draw_word(word, width=64 << i % 2), word, ("other", word, "words"))))
    path = os.path.join(folder, "config", "trainval.prototxt")
    with open(path) as stream:
        text = stream.read()
    text = text.replace("target_width: 256", "target_width: 256 wide_aspect: 4.5 wide_target_width: 400")
    text = text.replace("localization_h", "wide_input_w: 400 wide_output_w: 160 localization_h")
    with open(path, "w") as stream:
        stream.write(text)
    return read_config(folder)


def run(module, *arguments):
    """Runs a command in this process. Returns what it exits with: None, a number or a message."""
    previous, sys.argv = sys.argv, [module.__name__] + [str(argument) for argument in arguments]
    try:
        command.run(module.main)
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = previous


def random_images(count):
    return np.random.RandomState(0).uniform(0, 255, [count, 64, 256, 3]).astype(np.float32)
