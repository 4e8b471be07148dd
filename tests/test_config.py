import os
import re
import shutil
import subprocess
import sys

import pytest

from aster.config import ConfigError, check_clones, read_config, unused_fields

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QUICKSTART = os.path.join(ROOT, "experiments", "quickstart", "config", "trainval.prototxt")


def quickstart(old="", new=""):
    """The text of the quickstart's configuration with every match of regular expression `old` replaced."""
    with open(QUICKSTART) as stream:
        text = stream.read()
    assert re.search(old, text)
    return re.sub(old, lambda _: new, text)


def test_the_experiments_in_the_box_are_valid():
    for name in os.listdir(os.path.join(ROOT, "experiments")):
        folder = os.path.join(ROOT, "experiments", name)
        if os.path.isdir(folder):
            assert unused_fields(read_config(folder)) == []


@pytest.mark.parametrize("missing, changed, problem", [
    ("*_pb2.py", 0, "is not built"), ("label_map_pb2.py", 0, "is not built"), ("", 100, "is older than protos/")])
def test_a_checkout_that_is_not_built_says_how_to_build_it(tmp_path, missing, changed, problem):
    shutil.copytree(os.path.join(ROOT, "aster"), str(tmp_path / "aster"), ignore=shutil.ignore_patterns(missing))
    shutil.copytree(os.path.join(ROOT, "protos"), str(tmp_path / "protos"))
    built = max(os.path.getmtime(str(path)) for path in (tmp_path / "aster" / "protos").iterdir())
    os.utime(str(tmp_path / "protos" / "model.proto"), (built + changed, built + changed))
    done = subprocess.run([sys.executable, "-m", "aster.demo"], cwd=str(tmp_path), universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        problem + "; in ASTER's checkout run: python setup.py build_ext --inplace")


@pytest.mark.parametrize("old, new, field, problem", [
    ("tiny: true", "tinny: true", 'tinny', "no field named"),
    (r"batch_size: \d+", "batch_size: 64 batch_size: 64", "train_config.batch_size", "2 batch sizes for 1"),
    (r"batch_size: \d+", "batch_size: 0", "train_config.batch_size[0]", "expected 1 or more"),
    ("num_control_points: 20", "num_control_points: 7", "num_control_points", "even number"),
    ('init_bias_pattern: "identity"', 'init_bias_pattern: "cosine"', "init_bias_pattern", "identity, slope or sine"),
    ("label_offset: 2", "", "label_map.label_offset", "must be 2"),
    ("multi_predictors_recognition_model {", "multi_predictors_recognition_model { word_list { }",
     "word_list.text_file", "one word a line"),
    ("multi_predictors_recognition_model {",
     'multi_predictors_recognition_model { word_list { text_file: "a" bonus_per_character: -1 }',
     "word_list.bonus_per_character", "0 or more"),
    ("multi_predictors_recognition_model {", "multi_predictors_recognition_model { reading { certain_probability: 0 }",
     "reading.certain_probability", "more than 0, up to 1"),
    ("multi_predictors_recognition_model {", "multi_predictors_recognition_model { reading { tall_ratio: 1 }",
     "reading.tall_ratio", "more than 1"),
    ("multi_predictors_recognition_model {", "multi_predictors_recognition_model { reading { number_share: 1.5 }",
     "reading.number_share", "0 to 1"),
    ("gradient_clipping_by_norm: 1.0", "gradient_clipping_by_norm: inf", "gradient_clipping_by_norm", "finite"),
    ("eval_config {", "eval_config { num_examples: 0", "eval_config.num_examples", "1 or more"),
    ("beam_width: 5", "beam_width: 0", "predictor[0].attention_predictor.beam_width", "1 or more"),
    ('name: "Backward"', 'name: "Forward"', "predictor[1].name", "another predictor"),
    ('input_path: "data/train.tfrecord"', "", "train_input_reader[0].tf_record_input_reader", "input_path"),
    ("manual_step_learning_rate {", "exponential_decay_learning_rate { decay_steps: 0 } } } } optimizer {"
     " adam_optimizer { learning_rate { manual_step_learning_rate {", "optimizer", "multiple"),
    (r"schedule { step: \d+", "schedule { step: 9000", "schedule", "must grow"),
    (r"manual_step_learning_rate {[^}]*}[^}]*}[^}]*}", "one_cycle_learning_rate { num_steps: 1000 }",
     "one_cycle_learning_rate.num_steps", "more than the 1000"),
    ("initial_learning_rate: 0.002", "initial_learning_rate: -0.002",
     "manual_step_learning_rate.initial_learning_rate", "expected 0 or more"),
    (r"schedule { step: 4200 learning_rate: ", "schedule { step: 4200 learning_rate: -",
     "schedule[0].learning_rate", "expected 0 or more"),
    ("crnn_net {", "crnn_net { num_channels: [8, 8]", "crnn_net.num_channels", "expected 7 numbers"),
    ("stn_convnet {", "stn_convnet { num_channels: [8, 8, 8, 0, 8, 8]", "stn_convnet.num_channels", "of 1 or more"),
    ("data_augmentation_options { resize_image { target_height: 64 target_width: 256 } }", "",
     "data_augmentation_options", "no step gives"),
    ("batch_size:", "freeze_variables: '(' batch_size:", "freeze_variables[0]", "regular expression"),
    ("regression_loss { l2_regression_loss { weight: 10.0 } }", "", "regression_loss", "l2_regression_loss"),
])
def test_an_error_names_file_line_and_field(tmp_path, old, new, field, problem):
    path = str(tmp_path / "bad.prototxt")
    text = quickstart(old, new)
    with open(path, "w") as stream:
        stream.write(text)
    with pytest.raises(ConfigError) as info:
        read_config(path)
    message = str(info.value)
    assert message.startswith(path + ":") and field in message and problem in message, message
    assert int(message[len(path) + 1:].split(":")[0]) >= 1


def test_the_line_is_that_of_the_right_predictor(tmp_path):
    text = quickstart()
    second = text.rindex("num_attention_units: 64")
    text = text[:second] + "num_attention_units: 0 " + text[second + len("num_attention_units: 64"):]
    path = str(tmp_path / "bad.prototxt")
    with open(path, "w") as stream:
        stream.write(text)
    field = "model.multi_predictors_recognition_model.predictor[1].attention_predictor.num_attention_units"
    expected = "%s:%d: %s" % (path, text[:second].count("\n") + 1, field)
    with pytest.raises(ConfigError) as info:
        read_config(path)
    assert str(info.value).startswith(expected)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"model {", b"hello", b"model: 3", b"\x00" * 100,
                                     b"model { model_x {} }", b"train_config { batch_size: -1 }"])
def test_what_is_no_configuration(tmp_path, content):
    path = str(tmp_path / "bad.prototxt")
    with open(path, "wb") as stream:
        stream.write(content)
    with pytest.raises(ConfigError, match="bad.prototxt"):
        read_config(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="trainval.prototxt.*No such file"):
        read_config(str(tmp_path))


def test_clones_must_share_equally():
    config = read_config(QUICKSTART)
    check_clones(config, 2, QUICKSTART)
    with pytest.raises(ConfigError, match=r"batch_size\[0\] is [0-9]+, which 3 clones"):
        check_clones(config, 3, QUICKSTART)


def test_fields_without_effect_are_named(tmp_path):
    path = str(tmp_path / "x.prototxt")
    with open(path, "w") as stream:
        stream.write(quickstart("batch_size:", "sync_replicas: true batch_size:"))
    assert unused_fields(read_config(path)) == ["train_config.sync_replicas"]
