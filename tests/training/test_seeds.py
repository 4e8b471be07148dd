"""Runs with a seed: the same numbers again, whether a run is interrupted or not."""
import os
import subprocess
import sys

import numpy as np
import pytest
from experiment import make_experiment, make_lines_config, make_long_words, run, write_config

from aster import checkpoint
from aster import train as train_command
from aster.compat import IS_TF1, tf
from aster.config import ConfigError, read_config
from aster.training.loop import train

STEPS = "".join(f"data_augmentation_options {{ {step} }} " for step in (
    "random_warp { max_rotation: 5 max_perspective: 0.05 }", "random_blur {}", "random_distort_color {}",
    "resize_image_random_method { target_height: 64 target_width: 256 }"))


def parameters(folder):
    """All that a checkpoint and its optimizer's hold, as bytes."""
    path = checkpoint.find_checkpoint(os.path.join(str(folder), "log"))
    values = {}
    for part in path, checkpoint.optimizer_path(path):
        reader = tf.train.NewCheckpointReader(part)
        values.update((name, np.asarray(reader.get_tensor(name)).tobytes())
                      for name in reader.get_variable_to_shape_map())
    return values


def train_to(folder, num_steps, train_options="", change=None):
    make_experiment(folder, num_steps=num_steps, train=train_options)
    config = read_config(str(folder))
    train(change(config) if change else config, str(folder))
    return parameters(folder)


def test_a_seed_repeats_a_run_also_an_interrupted_one(tmp_path):
    options = "seed: 7 " + STEPS
    whole = train_to(tmp_path / "whole", 6, options)
    assert train_to(tmp_path / "again", 6, options) == whole
    for num_steps in (4, 6):
        parts = train_to(tmp_path / "parts", num_steps, options)
    assert parts == whole
    assert train_to(tmp_path / "other", 6, options.replace("7", "8", 1)) != whole


@pytest.mark.parametrize("kind", ["lines", "long words"])
def test_a_seed_repeats_a_run_on_images_of_several_widths(tmp_path, kind):
    def change(folder):
        if kind == "lines":
            return lambda config: make_lines_config(config, [64, 96])
        return lambda config: make_long_words(str(folder))
    whole = train_to(tmp_path / "whole", 5, "seed: 3", change(tmp_path / "whole"))
    for num_steps in (2, 5):
        parts = train_to(tmp_path / "parts", num_steps, "seed: 3", change(tmp_path / "parts"))
    assert parts == whole


def test_without_a_seed_runs_differ(tmp_path):
    assert train_to(tmp_path / "one", 2) != train_to(tmp_path / "two", 2)


def test_another_seed_is_told_when_training_is_resumed(tmp_path, caplog):
    train_to(tmp_path, 2, "seed: 3")
    train_to(tmp_path, 3, "seed: 3")
    assert "data start from the beginning" not in caplog.text
    train_to(tmp_path, 4, "seed: 4")
    assert "the readers or the seed are not those of the training that is resumed; the data start" in caplog.text


def test_a_seed_may_come_later(tmp_path, caplog):
    """The optimizer's values are taken up all the same; only the place in the data is not known."""
    train_to(tmp_path, 2)
    train_to(tmp_path, 3, "seed: 3")
    assert "start anew" not in caplog.text and "another optimizer" not in caplog.text
    assert "the training that is resumed had no seed, so its place in the data is not saved" in caplog.text
    caplog.clear()
    train_to(tmp_path, 4)
    assert "start anew" not in caplog.text and "no seed" not in caplog.text


def test_averages_that_come_later_start_anew(tmp_path, caplog):
    def without_averages(config):
        config.train_config.optimizer.use_moving_average = False
        return config
    train_to(tmp_path, 1, change=without_averages)
    train_to(tmp_path, 2)
    assert "variables start anew" in caplog.text and "optimizer.ckpt-1 lacks them" in caplog.text


def test_the_option_is_the_field(tmp_path):
    whole = train_to(tmp_path / "field", 2, "seed: 5")
    folder = make_experiment(tmp_path / "option", num_steps=2)
    assert run(train_command, "--exp_dir", folder, "--seed", "5") is None
    assert parameters(folder) == whole


def test_deterministic_needs_a_seed(tmp_path):
    make_experiment(tmp_path)
    write_config(str(tmp_path), train="deterministic: true")
    with pytest.raises(ConfigError, match="deterministic: needs a seed"):
        read_config(str(tmp_path))


@pytest.mark.skipif(not IS_TF1, reason="TensorFlow 1.4 can't")
def test_deterministic_needs_tensorflow_2(tmp_path):
    with pytest.raises(ValueError, match="deterministic needs TensorFlow 2"):
        train_to(tmp_path, 2, "seed: 5 deterministic: true")


@pytest.mark.skipif(IS_TF1, reason="TensorFlow 1.4 can't be deterministic")
def test_what_is_tried_on_gpus_works_where_training_is_deterministic():
    """TensorFlow then refuses random operations without a seed, in the whole process."""
    code = """
from aster.compat import make_deterministic, tf
from aster.data.copied import copy_problem
from aster.training.exchange import exchange_problem
from aster.training.update import compile_problem
make_deterministic()
try:
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.random_uniform([1]))
except RuntimeError:
    print([copy_problem("/cpu:1"), compile_problem("/cpu:0"), exchange_problem(["/cpu:1", "/cpu:2"])])
"""
    assert subprocess.check_output([sys.executable, "-c", code], universal_newlines=True) == "['', '', '']\n"
