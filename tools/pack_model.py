#!/usr/bin/env python
"""Makes a small model for reading from a trained experiment.

    python tools/pack_model.py --exp_dir experiments/english --output_dir aster/pretrained/english

The output is an experiment folder. Its checkpoint has the moving averages only, as float16. Its configuration has
neither training nor readers. Files of character sets and words are copied.

From several experiments with the same model it makes the mean of their parameters. This mean often reads better than
each of them, if one was fine-tuned from the other (Wortsman et al. 2022, "Model soups").
"""
import argparse
import contextlib
import os
import shutil
from typing import Any, Dict, Sequence

import find_aster  # noqa: F401
import numpy as np
import quiet_tensorflow  # noqa: F401
from google.protobuf import message

from aster import character_sets, checkpoint, command
from aster.compat import session_config, tf
from aster.config import CONFIG_IN_EXP_DIR, read_config
from aster.data.preprocess import preprocessed_shape
from aster.files import find_file, written_whole
from aster.model.build import build_model
from aster.short_prototxt import short_prototxt
from aster.training.saver import delete_checkpoint

FIRST_LINE = "# Written by tools/pack_model.py, which may replace this folder's model.\n"


def main():
    parser = command.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp_dir", required=True, nargs="+", metavar="E",
                        help="a trained experiment, whose latest checkpoint is taken; or several, of which the first "
                        "one gives the words and the preprocessing")
    parser.add_argument("--output_dir", required=True, metavar="DIR", help="the folder to write")
    command.add_trust(parser)
    arguments = parser.parse_args()
    exp_dir, output_dir = arguments.exp_dir[0], arguments.output_dir
    check_output(output_dir, arguments.exp_dir)
    config = command.read_experiment(exp_dir, trust=arguments.trust)
    command.check_writable(output_dir, is_folder=True)
    for folder in arguments.exp_dir[1:]:
        if network(folder) != network(exp_dir):
            raise ValueError(f"{folder}: its model is configured otherwise than that of {exp_dir}; only models with "
                             "the same configuration have a mean")
    paths = [checkpoint.find_checkpoint(os.path.join(folder, "log")) for folder in arguments.exp_dir]
    parameters = mean([read_parameters(config, path, exp_dir) for path in paths])
    for field in ("train_config", "train_input_reader", "eval_input_reader"):
        config.ClearField(field)
    config.eval_config.ClearField("use_moving_averages")
    with written_whole(output_dir) as folder:
        for name in os.path.dirname(CONFIG_IN_EXP_DIR), "log":
            os.makedirs(os.path.join(folder, name))
        copy_text_files(config, exp_dir, folder, copied={})
        command.write_text(os.path.join(folder, CONFIG_IN_EXP_DIR),
                           lambda stream: stream.write(FIRST_LINE + short_prototxt(config)))
        saved = save(parameters, os.path.join(folder, "log"), sum(map(checkpoint.global_step, paths)),
                     build_model(config.model, folder).characters)
    saved = os.path.join(output_dir, "log", os.path.basename(saved))
    for old in checkpoint.list_checkpoints(os.path.dirname(saved)):  # of earlier runs of this tool
        if old != saved:
            delete_checkpoint(old)
    number, size = (sum(getattr(array, what) for array in parameters.values()) for what in ("size", "nbytes"))
    command.say(f"{saved}: {number} parameters, {size / 1e6:.1f} MB")


def check_output(output_dir: str, exp_dirs: Sequence[str]) -> None:
    """Refuses an output folder in which something could be lost.

    Args:
      output_dir: the folder; it may be missing.
      exp_dirs: the experiments to pack.

    Raises:
      ValueError: it is one of the experiments, or has files that this tool has not written.
    """
    if os.path.realpath(output_dir) in map(os.path.realpath, exp_dirs):
        raise ValueError(f"{output_dir}: it is one of the experiments to pack; name another --output_dir")
    if not any(files for _, _, files in os.walk(output_dir)):
        return
    path = os.path.join(output_dir, CONFIG_IN_EXP_DIR)
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        if "tools/pack_model.py" in stream.readline() and not read_config(output_dir).HasField("train_config"):
            return
    raise ValueError(f"{output_dir}: it has files that are not a packed model; name an --output_dir that is new or "
                     "empty")


def network(exp_dir: str) -> message.Message:
    """Reads the part of a model's configuration that its parameters depend on.

    Args:
      exp_dir: the experiment folder.

    Returns:
      The configuration of the model, without its words.

    Raises:
      ConfigError: the configuration can't be read.
    """
    model = read_config(exp_dir).model
    model.multi_predictors_recognition_model.ClearField("word_list")
    return model


def read_parameters(config: message.Message, path: str, exp_dir: str) -> Dict[str, np.ndarray]:
    """Reads the parameters that a model needs for reading.

    Args:
      config: the TrainEvalPipelineConfig of the model.
      path: the checkpoint.
      exp_dir: the folder of the files that the configuration names.

    Returns:
      {name: array}; moving averages where the configuration evaluates with them.

    Raises:
      ValueError: the checkpoint is damaged or of another model.
    """
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        shape = preprocessed_shape(config.eval_config.data_preprocessing_steps, exp_dir)
        model = build_model(config.model, exp_dir)
        character_sets.check(path, model.characters)
        model.recognize(tf.placeholder(tf.float32, [1] + shape))
        variables = tf.global_variables()
        checkpoint.restore(session, path, variables, use_moving_averages=config.eval_config.use_moving_averages)
        return {variable.op.name: array for variable, array in zip(variables, session.run(variables))}


def mean(models: Sequence[Dict[str, np.ndarray]]) -> Dict[str, np.ndarray]:
    """Computes the mean of the parameters of several models.

    Args:
      models: the parameters of each model, {name: array}.

    Returns:
      Their mean, as float16.

    Raises:
      ValueError: a parameter is too large for float16.
    """
    parameters = {name: np.mean([model[name] for model in models], axis=0).astype(np.float16) for name in models[0]}
    for name, array in parameters.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values too large for float16")
    return parameters


def copy_text_files(config: Any, exp_dir: str, output_dir: str, *, copied: Dict[str, str]) -> None:
    """Copies the files that a configuration names, and changes the names to those of the copies.

    Args:
      config: a message of the configuration. Messages inside it are changed too.
      exp_dir: the folder of the files.
      output_dir: where to copy them.
      copied: {name: source} of the files that are copied already.

    Raises:
      ValueError: two different files have the same name.
    """
    for field, value in config.ListFields():
        if field.name == "text_file":  # of characters, or of words
            source = find_file(value, exp_dir)
            config.text_file = os.path.basename(value)
            if os.path.realpath(copied.setdefault(config.text_file, source)) != os.path.realpath(source):
                raise ValueError(f"{copied[config.text_file]} and {source} would be one file of the output; "
                                 "rename one of them")
            shutil.copy(source, os.path.join(output_dir, config.text_file))
        elif field.message_type:
            for inner in [value] if isinstance(value, message.Message) else value:
                copy_text_files(inner, exp_dir, output_dir, copied=copied)


def save(parameters: Dict[str, np.ndarray], folder: str, step: int, characters: Dict[str, str]) -> str:
    """Writes a checkpoint.

    Args:
      parameters: {name: array}.
      folder: where to write.
      step: the global step that the checkpoint shall have.
      characters: the character sets, {name of a predictor: its characters}.

    Returns:
      The path of the checkpoint, without the endings of its files.
    """
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        variables = [tf.get_variable(name, initializer=tf.constant(array)) for name, array in parameters.items()]
        variables.append(tf.get_variable("global_step", initializer=tf.constant(step, tf.int64)))
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver(variables).save(session, os.path.join(folder, f"model.ckpt-{step}"),
                                              write_meta_graph=False, write_state=False)
    command.write_text(character_sets.path_beside(path),
                       lambda stream: stream.write(character_sets.to_text(characters)))
    # TensorFlow would write where the folder is on this machine.
    command.write_text(os.path.join(folder, "checkpoint"), lambda stream: stream.write(
        f'model_checkpoint_path: "{os.path.basename(path)}"\n'))
    return path


if __name__ == "__main__":
    command.run(main)
