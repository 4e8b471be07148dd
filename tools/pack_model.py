#!/usr/bin/env python
"""Makes a small model for reading out of a trained experiment, as aster/pretrained has one.

    python tools/pack_model.py --exp_dir experiments/english --output_dir aster/pretrained/english

The output is an experiment folder: its checkpoint has the moving averages only, as float16, and its configuration
neither training nor readers; files of character sets and words come along. Of several experiments with one model it has
the mean, which often reads better than each (Wortsman et al. 2022, "Model soups") where one was fine-tuned from the
other.
"""
import argparse
import contextlib
import glob
import os
import shutil
import sys

# The checkout serves where aster is not installed.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np  # noqa: E402
from google.protobuf import message, text_format  # noqa: E402

from aster import checkpoint, command  # noqa: E402
from aster.compat import tf  # noqa: E402
from aster.config import CONFIG_IN_EXP_DIR, read_config  # noqa: E402
from aster.data.preprocess import preprocessed_shape  # noqa: E402
from aster.files import find_file  # noqa: E402
from aster.model.build import build_model  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exp_dir", required=True, nargs="+", metavar="E",
                        help="a trained experiment, whose latest checkpoint is taken; of several the mean, with the "
                        "words and the preprocessing of the first")
    parser.add_argument("--output_dir", required=True)
    arguments = parser.parse_args()
    config = read_config(arguments.exp_dir[0])
    for folder in arguments.exp_dir[1:]:
        if network(folder) != network(arguments.exp_dir[0]):
            raise ValueError(f"{folder}: its model is configured otherwise than that of {arguments.exp_dir[0]}; their mean would mean nothing")
    paths = [checkpoint.find_checkpoint(os.path.join(folder, "log")) for folder in arguments.exp_dir]
    values = mean([model_values(config, path, arguments.exp_dir[0]) for path in paths])
    for field in ("train_config", "train_input_reader", "eval_input_reader"):
        config.ClearField(field)
    config.eval_config.use_moving_averages = False
    for name in os.path.dirname(CONFIG_IN_EXP_DIR), "log":
        command.check_writable(os.path.join(arguments.output_dir, name), is_folder=True)
    bring_files(config, arguments.exp_dir[0], arguments.output_dir, {})
    command.write_text(os.path.join(arguments.output_dir, CONFIG_IN_EXP_DIR),
                       lambda stream: stream.write(text_format.MessageToString(config)))
    saved = save(values, os.path.join(arguments.output_dir, "log"), sum(map(checkpoint.global_step, paths)))
    size = sum(value.nbytes for value in values.values())
    print("%s: %d values, %.1f MB" % (saved, sum(value.size for value in values.values()), size / 1e6))


def network(exp_dir):
    """The configuration of a model without its words, which no weight depends on."""
    model = read_config(exp_dir).model
    model.multi_predictors_recognition_model.ClearField("word_list")
    return model


def model_values(config, path, exp_dir):
    """{name: array} of all that reading needs."""
    with tf.Graph().as_default(), tf.Session() as session:
        shape = preprocessed_shape(config.eval_config.data_preprocessing_steps, exp_dir)
        build_model(config.model, exp_dir).recognize(tf.placeholder(tf.float32, [1] + shape))
        variables = tf.global_variables()
        checkpoint.restore(session, path, variables, config.eval_config.use_moving_averages)
        return {variable.op.name: value for variable, value in zip(variables, session.run(variables))}


def mean(models):
    """Of several {name: array} the mean, as float16."""
    values = {name: np.mean([model[name] for model in models], axis=0).astype(np.float16) for name in models[0]}
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} has values too large for float16")
    return values


def bring_files(part, exp_dir, output_dir, brought):
    """Copies the files that a configuration names, and names them as they lie in the folder of the output. brought:
    {name: source} of those copied already."""
    for field, value in part.ListFields():
        if field.name == "text_file":  # of characters, or of words
            source = find_file(value, exp_dir)
            part.text_file = os.path.basename(value)
            if os.path.realpath(brought.setdefault(part.text_file, source)) != os.path.realpath(source):
                raise ValueError(f"{brought[part.text_file]} and {source} would be one file of {output_dir}; rename one of them")
            with contextlib.suppress(shutil.SameFileError):
                shutil.copy(source, os.path.join(output_dir, part.text_file))
        elif field.message_type:
            for inner in [value] if isinstance(value, message.Message) else value:
                bring_files(inner, exp_dir, output_dir, brought)


def save(values, folder, step):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable(name, initializer=tf.constant(value)) for name, value in values.items()]
        variables.append(tf.get_variable("global_step", initializer=tf.constant(step, tf.int64)))
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver(variables).save(session, os.path.join(folder, "model.ckpt"), global_step=step,
                                              write_meta_graph=False)
    # without the folder's place on this machine, which TensorFlow would write
    command.write_text(os.path.join(folder, "checkpoint"), lambda stream: stream.write(
        f'model_checkpoint_path: "{os.path.basename(path)}"\n'))
    for old in glob.glob(os.path.join(glob.escape(folder), "model.ckpt-*")):
        if not old.startswith(path + "."):  # of an earlier release
            os.remove(old)
    return path


if __name__ == "__main__":
    command.run(main)
