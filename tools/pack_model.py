#!/usr/bin/env python
"""Makes a small model for reading out of a trained experiment, as aster/models has one.

    python tools/pack_model.py --exp_dir experiments/english --output_dir aster/models/english

The output is an experiment folder: its checkpoint has the moving averages only, as float16, and its configuration
neither training nor readers.
"""
import argparse
import os
import sys

# The checkout serves where aster is not installed.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np  # noqa: E402
from google.protobuf import text_format  # noqa: E402

from aster import checkpoint, command  # noqa: E402
from aster.compat import tf  # noqa: E402
from aster.config import CONFIG_IN_EXP_DIR, read_config  # noqa: E402
from aster.model.build import build_model  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exp_dir", required=True, help="a trained experiment; its latest checkpoint is taken")
    parser.add_argument("--output_dir", required=True)
    arguments = parser.parse_args()
    config = read_config(arguments.exp_dir)
    path = checkpoint.find_checkpoint(os.path.join(arguments.exp_dir, "log"))
    values = model_values(config, path, arguments.exp_dir)
    for field in ("train_config", "train_input_reader", "eval_input_reader"):
        config.ClearField(field)
    config.eval_config.use_moving_averages = False
    for name in os.path.dirname(CONFIG_IN_EXP_DIR), "log":
        command.check_writable(os.path.join(arguments.output_dir, name), is_folder=True)
    command.write_text(os.path.join(arguments.output_dir, CONFIG_IN_EXP_DIR),
                       lambda stream: stream.write(text_format.MessageToString(config)))
    saved = save(values, os.path.join(arguments.output_dir, "log", "model.ckpt"), checkpoint.global_step(path))
    size = sum(value.nbytes for value in values.values())
    print("%s: %d values, %.1f MB" % (saved, sum(value.size for value in values.values()), size / 1e6))


def model_values(config, path, exp_dir):
    """{name: float16 array} of all that reading needs."""
    values = {}
    with tf.Graph().as_default(), tf.Session() as session:
        build_model(config.model, exp_dir).recognize(
            tf.placeholder(tf.float32, [1] + _image_size(config)))
        variables = tf.global_variables()
        checkpoint.restore(session, path, variables, config.eval_config.use_moving_averages)
        for variable, value in zip(variables, session.run(variables)):
            values[variable.op.name] = value.astype(np.float16)
            if not np.isfinite(values[variable.op.name]).all():
                raise ValueError("%s: %s has values too large for float16" % (path, variable.op.name))
    return values


def _image_size(config):
    steps = config.eval_config.data_preprocessing_steps
    sizes = [step.resize_image for step in steps if step.HasField("resize_image")]
    return [sizes[-1].target_height, sizes[-1].target_width, 3]


def save(values, path, step):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable(name, initializer=tf.constant(value)) for name, value in values.items()]
        variables.append(tf.get_variable("global_step", initializer=tf.constant(step, tf.int64)))
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(variables).save(session, path, global_step=step, write_meta_graph=False)


if __name__ == "__main__":
    command.run(main)
