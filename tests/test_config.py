import ast
import glob
import os
import re
import shutil
import subprocess
import sys

import pytest
from google.protobuf import text_format

from aster.config import (
    CONFIG_IN_EXP_DIR,
    ConfigError,
    check_clones,
    is_repeated,
    read_config,
    unused_fields,
    walk,
)
from aster.pretrained import ENGLISH
from aster.protos import pipeline_pb2

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QUICKSTART = os.path.join(ROOT, "experiments", "quickstart", "config", "trainval.prototxt")


def quickstart(old="", new=""):
    """The text of the quickstart's configuration with every match of regular expression `old` replaced."""
    with open(QUICKSTART) as stream:
        text = stream.read()
    assert re.search(old, text)
    return re.sub(old, lambda _: new, text)


EXPERIMENTS = sorted(glob.glob(os.path.join(ROOT, "experiments", "*", ""))) + [ENGLISH]


@pytest.mark.parametrize("folder", EXPERIMENTS)
def test_the_experiments_are_valid_and_short(folder):
    path = os.path.join(folder, CONFIG_IN_EXP_DIR)
    with open(path) as stream:
        text = stream.read()
    assert unused_fields(read_config(path)) == []
    assert restated_defaults(text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())) == []
    if os.path.basename(folder.rstrip(os.sep)) in ("quickstart", "english"):
        assert text.count("\n") <= 50, f"write {path} in 50 lines or fewer"


def restated_defaults(config):
    """The fields of a message that say what they would mean anyway."""
    restated = []
    for path, message in walk(config):
        for field, value in message.ListFields():
            in_oneof = field.containing_oneof is not None  # names the member that is meant, whatever its value
            no_penalty = (field.message_type is not None and field.message_type.name == "Regularizer"
                          and all(penalty.weight == 0 for _, penalty in value.ListFields()))
            usual_label = field.name == "label_offset"
            is_default = not is_repeated(field) and field.message_type is None and value == field.default_value
            if is_default and not in_oneof or no_penalty or usual_label:
                restated.append(f"{path}.{field.name}")
            if field.name == "initializer" and message.DESCRIPTOR.name == "Hyperparams" and str(value).split() == [
                    "variance_scaling_initializer", "{", "}"]:
                restated.append(f"{path}.{field.name}")
    return restated


def test_a_restated_default_is_found():
    config = text_format.Parse("""model { multi_predictors_recognition_model { spatial_transformer {
        num_control_points: 20 margin_x: 0 fc_hyperparams { regularizer { l2_regularizer { weight: 0 } }
        initializer { variance_scaling_initializer { } } } } character_set { built_in_set: LOWERCASE } } }""",
                               pipeline_pb2.TrainEvalPipelineConfig())
    prefix = "model.multi_predictors_recognition_model.spatial_transformer."
    assert sorted(restated_defaults(config)) == [prefix + name for name in (
        "fc_hyperparams.initializer", "fc_hyperparams.regularizer", "num_control_points")]


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
    ("spatial_transformer {", "spatial_transformer { num_control_points: 7", "num_control_points", "even number"),
    ("spatial_transformer {", 'spatial_transformer { init_bias_pattern: "cosine"', "init_bias_pattern",
     "identity, slope or sine"),
    ('"Backward" attention_predictor {', '"Backward" attention_predictor { label_map { label_offset: 0 }',
     "predictor[1].attention_predictor.label_map.label_offset", "must be 2"),
    ("character_set { built_in_set: LOWERCASE }", "", "predictor[0].attention_predictor.label_map",
     "or a character_set in the model"),
    ("character_set { built_in_set: LOWERCASE }", "character_set { }", "recognition_model.character_set",
     "expected one of text_file, text_string, built_in_set"),
    (r"convnet { crnn_net {[^\n]*", "", "feature_extractor", "expected one of crnn_net, resnet, stn_convnet, custom"),
    ("feature_extractor {", "feature_extractor { custom { factory: 'a:b' }", "feature_extractor.custom", "in place of"),
    ("lower_case: true", "include_charset { }", "include_charset", "expected one of text_file"),
    ("rnn_cell { lstm_cell { num_units: 64", "rnn_cell { lstm_cell { num_units: 0",
     "rnn_cell.lstm_cell.num_units", "1 or more"),
    ("data_augmentation_options { resize_image {", "data_augmentation_options { resize_image_keeping_aspect { "
     "target_widths: [64, 32] } } data_augmentation_options { resize_image {",
     "data_augmentation_options[0].resize_image_keeping_aspect.target_widths", "ascending"),
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
    ("gradient_clipping_by_norm: 1", "gradient_clipping_by_norm: inf", "gradient_clipping_by_norm", "finite"),
    ("eval_config {", "eval_config { num_examples: 0", "eval_config.num_examples", "1 or more"),
    ("beam_width: 5", "beam_width: 0", "predictor[0].attention_predictor.beam_width", "1 or more"),
    ('name: "Backward"', 'name: "Forward"', "predictor[1].name", "another predictor"),
    ('input_path: "data/train.tfrecord"', "", "train_input_reader[0].tf_record_input_reader", "input_path"),
    ("manual_step_learning_rate {", "exponential_decay_learning_rate { decay_steps: 0 } } } } optimizer {"
     " adam_optimizer { learning_rate { manual_step_learning_rate {", "optimizer", "multiple"),
    (r"schedule { step: \d+", "schedule { step: 9000", "schedule", "must grow"),
    (r"manual_step_learning_rate {[^}]*}[^}]*}[^}]*}", "one_cycle_learning_rate { num_steps: 1000 }",
     "one_cycle_learning_rate.num_steps", "more than the 1000"),
    ("manual_step_learning_rate {", "manual_step_learning_rate { initial_learning_rate: -0.002",
     "manual_step_learning_rate.initial_learning_rate", "expected 0 or more"),
    (r"schedule { step: 4200 learning_rate: ", "schedule { step: 4200 learning_rate: -",
     "schedule[0].learning_rate", "expected 0 or more"),
    ("crnn_net {", "crnn_net { num_channels: [8, 8]", "crnn_net.num_channels", "expected 7 numbers"),
    ("stn_convnet {", "stn_convnet { num_channels: [8, 8, 8, 0, 8, 8]", "stn_convnet.num_channels", "of 1 or more"),
    ("data_augmentation_options { resize_image { target_height: 64 target_width: 256 } }", "",
     "data_augmentation_options", "no step gives"),
    ("batch_size:", "freeze_variables: '(' batch_size:", "freeze_variables[0]", "regular expression"),
    ("regression_loss { l2_regression_loss { weight: 10 } }", "", "regression_loss", "l2_regression_loss"),
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
    line = text[:second].count("\n") + 1
    with pytest.raises(ConfigError) as info:
        read_config(path)
    assert str(info.value).startswith(f"{path}:{line}: {field}")


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
        stream.write(quickstart("batch_size:", "from_detection_checkpoint: true batch_size:"))
    assert unused_fields(read_config(path)) == ["train_config.from_detection_checkpoint"]


def message_types(descriptor=pipeline_pb2.TrainEvalPipelineConfig.DESCRIPTOR, known=None):
    """The descriptors of a message type and of all types that it uses."""
    known = {} if known is None else known
    if descriptor.full_name not in known:
        known[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                message_types(field.message_type, known)
    return list(known.values())


def names_in_the_code():
    """What the code may name a field by: attributes, and words in strings."""
    names = set()
    for path in glob.glob(os.path.join(ROOT, "aster", "**", "*.py"), recursive=True):
        if not path.endswith("_pb2.py"):
            with open(path, encoding="utf-8") as stream:
                tree = ast.parse(stream.read())
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute):
                    names.add(node.attr)
                elif isinstance(node, ast.keyword) and node.arg:
                    names.add(node.arg)
                elif isinstance(getattr(node, "value", getattr(node, "s", None)), str):
                    names.add(getattr(node, "value", getattr(node, "s", None)))
    return names


def test_the_fields_that_nothing_reads_are_the_deprecated_ones():
    names = names_in_the_code()
    # names that mean something else in the code: tensor.op, and messages of other types that share them
    ambiguous = {"Hyperparams.op", "LanguageModelRnnCell.rnn_cell"}
    for message in message_types():
        for field in message.fields:
            oneof = field.containing_oneof
            is_read = field.name in names or oneof is not None and oneof.name in names
            if f"{message.name}.{field.name}" not in ambiguous:
                assert is_read == (not field.GetOptions().deprecated), f"{message.name}.{field.name}"


def test_every_deprecated_field_is_named(tmp_path):
    def fill(message, path=""):
        """Sets each deprecated field in `message` and in the messages that it holds -> their paths."""
        paths = []
        for field in message.DESCRIPTOR.fields:
            if field.GetOptions().deprecated and not is_repeated(field):
                setattr(message, field.name, field.default_value)
                paths.append(f"{path}.{field.name}" if path else field.name)
        for field, value in message.ListFields():
            for i, inner in enumerate(value if is_repeated(field) else [value]):
                if field.message_type is not None:
                    name = f"{path}.{field.name}" if path else field.name
                    paths += fill(inner, f"{name}[{i}]" if is_repeated(field) else name)
        return paths
    config = read_config(QUICKSTART)
    named = fill(config)
    assert len(named) > 20 and sorted(unused_fields(config)) == sorted(named)


# Characters, named once

def write(folder, text):
    path = str(folder / "x.prototxt")
    with open(path, "w") as stream:
        stream.write(text)
    return path


def test_label_maps_and_text_filters_inherit_the_characters_of_the_model(tmp_path):
    text = quickstart("built_in_set: LOWERCASE", 'text_string: "a b"')
    config = read_config(write(tmp_path, text.replace(
        '"Backward" attention_predictor {', '"Backward" attention_predictor { label_map { '
        'unk_label: 3 character_set { text_string: "c" } }')))
    forward, backward = config.model.multi_predictors_recognition_model.predictor
    assert forward.attention_predictor.label_map.character_set.text_string == "a b"
    assert forward.attention_predictor.label_map.label_offset == 2
    own = backward.attention_predictor.label_map
    assert (own.character_set.text_string, own.unk_label, own.label_offset) == ("c", 3, 2)
    steps = config.train_config.data_augmentation_options
    assert steps[1].string_filtering.include_charset.text_string == "a b"


def test_a_filter_without_characters_is_an_error_where_the_model_names_none(tmp_path):
    own = "label_map { character_set { built_in_set: LOWERCASE } }"
    text = quickstart("character_set {.*}", "").replace("attention_predictor {", "attention_predictor { " + own)
    line = text[:text.index("string_filtering")].count("\n") + 1
    with pytest.raises(ConfigError) as info:
        read_config(write(tmp_path, text))
    assert f":{line}: train_config.data_augmentation_options[1].string_filtering.include_charset: is missing" in str(
        info.value)


# Overrides

def test_an_override_changes_what_it_names_and_nothing_else():
    config = read_config(QUICKSTART, ["train_config { num_steps: 100 }", 'eval_config { num_examples: 7 }',
                                      "train_config { num_steps: 200 optimizer { momentum_optimizer { learning_rate { "
                                      "constant_learning_rate { learning_rate: 0.5 } } } } }"])
    expected = read_config(QUICKSTART)
    expected.train_config.num_steps = 200
    expected.eval_config.num_examples = 7
    optimizer = expected.train_config.optimizer
    optimizer.momentum_optimizer.learning_rate.constant_learning_rate.learning_rate = 0.5
    assert config == expected and optimizer.WhichOneof("optimizer") == "momentum_optimizer"


def test_a_repeated_field_of_an_override_replaces_the_list(tmp_path):
    text = quickstart("train_input_reader {", "train_input_reader { num_readers: 3")
    config = read_config(write(tmp_path, text), [
        "train_config { batch_size: 8 }", "train_config { batch_size: [4, 4] }",
        'train_input_reader { tf_record_input_reader { input_path: "a" } } '
        'train_input_reader { tf_record_input_reader { input_path: "b" } }'])
    assert list(config.train_config.batch_size) == [4, 4]
    assert [(reader.tf_record_input_reader.input_path, reader.num_readers) for reader in config.train_input_reader] == [
        ("a", 8), ("b", 8)]
    assert len(config.train_config.data_augmentation_options) == 2  # not named: as in the file


def test_an_override_may_name_the_characters():
    override = 'model { multi_predictors_recognition_model { character_set { text_string: "x" } } }'
    config = read_config(QUICKSTART, [override])
    for predictor in config.model.multi_predictors_recognition_model.predictor:
        assert predictor.attention_predictor.label_map.character_set.text_string == "x"


@pytest.mark.parametrize("override, expected", [
    ("train_config { num_stepz: 100 }", "--set:1:16: .*no field named \"num_stepz\".*num_stepz: 100 }'"),
    ("num_steps=100", "--set:1:.*'num_steps=100'"),
    ("train_config { save_checkpoint_secs: 0 }",
     r"--set: train_config.save_checkpoint_secs: is 0, expected 1 or more \(in 'train_config .*'\)$"),
    ("train_config { batch_size: [8, 8] }", "--set: train_config.batch_size: there are 2 batch sizes for 1"),
    ("train_config { batch_size: 0 }", r"--set: train_config.batch_size\[0\]: is 0"),
    ('model { multi_predictors_recognition_model { predictor { attention_predictor { beam_width: 1 } } } }',
     r"--set: model.multi_predictors_recognition_model.predictor\[0\].attention_predictor.rnn_cell: is missing"),
    ("train_config { optimizer { momentum_optimizer { } } }",
     "--set: train_config.optimizer.momentum_optimizer: has no learning_rate"),
])
def test_an_error_in_an_override_names_it(override, expected):
    with pytest.raises(ConfigError) as info:
        read_config(QUICKSTART, ["train_config { num_steps: 7 }", override])
    assert re.match(expected, str(info.value)), str(info.value)


def test_an_error_of_the_file_keeps_its_line_beside_an_override(tmp_path):
    text = quickstart("batch_size", "save_summaries_steps: 0 batch_size")
    path = write(tmp_path, text)
    line = text[:text.index("save_summaries_steps")].count("\n") + 1
    with pytest.raises(ConfigError) as info:
        read_config(path, ["train_config { num_steps: 7 }"])
    assert str(info.value).startswith(f"{path}:{line}: train_config.save_summaries_steps: is 0")


def test_lines_of_elements_of_one_list(tmp_path):
    text = quickstart()
    first, second = text.index("  predictor {"), text.index("  keypoint_supervision")
    predictors = text[first:second].replace("predictor { name", "{ name").replace('{ name: "B', ', { name: "B').replace(
        "beam_width: 5 reverse", "beam_width: 0 reverse")
    text = text[:first] + "  predictor: [\n" + predictors + "]\n" + text[second:]
    path = write(tmp_path, text)
    line = text[:text.index("beam_width: 0")].count("\n") + 1
    with pytest.raises(ConfigError) as info:
        read_config(path)
    assert str(info.value).startswith(
        f"{path}:{line}: model.multi_predictors_recognition_model.predictor[1].attention_predictor.beam_width: is 0")
