"""Custom components: the experiment that docs/extending.md explains, and the messages about mistakes."""
import os
import shutil

import pytest
from experiment import draw_word
from google.protobuf import text_format

from aster import custom
from aster.checkpoint import find_checkpoint
from aster.config import CONFIG_IN_EXP_DIR, ConfigError, read_config
from aster.data.preprocess import preprocessed_shape
from aster.evaluation.evaluator import evaluate
from aster.protos import custom_pb2, preprocessor_pb2
from aster.reading.recognizer import Recognizer
from aster.training.loop import train

EXPERIMENT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "experiments", "custom_encoder")


@pytest.fixture
def copy(tmp_path):
    """The experiment without what it may have made."""
    folder = str(tmp_path / "custom")
    shutil.copytree(EXPERIMENT, folder, ignore=shutil.ignore_patterns("log", "__pycache__"))
    return folder


def edit(folder, *pairs):
    path = os.path.join(folder, CONFIG_IN_EXP_DIR)
    with open(path) as stream:
        text = stream.read()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    with open(path, "w") as stream:
        stream.write(text)


def test_every_part_trains_evaluates_and_reads(copy):
    edit(copy, ("num_steps: 1500", "num_steps: 8"), ("number: 200", "number: 40"))
    config = read_config(copy)
    assert train(config, copy, clone_on_cpu=True) == 8
    result = evaluate(config, copy, find_checkpoint(os.path.join(copy, "log")))
    assert result["count"] == 40 and result["dataset"] == "parts:drawn_words"
    with Recognizer.from_experiment(copy) as recognizer:
        reading, = recognizer.recognize([draw_word("12")], details=True)
        assert len(reading.attention) == len(reading.text) <= 6
    with pytest.raises(ValueError, match="lexicon"):
        Recognizer.from_experiment(copy, lexicon=["12"])


def test_a_convnet_of_ones_own_before_the_libraries_encoder(copy):
    edit(copy, ('custom { factory: "parts:encoder" args { name: "channels" number: 16 } }',
                'convnet { custom { factory: "parts:convnet" args { name: "channels" number: 4 } } }'
                'bidirectional_rnn { fw_bw_rnn_cell { lstm_cell { num_units: 4 } } num_output_units: 4 }'),
         ("target_height: 32", "target_height: 8"), ("num_steps: 1500", "num_steps: 2"))
    assert train(read_config(copy), copy, clone_on_cpu=True) == 2


@pytest.mark.parametrize("returned", ["tf.reduce_mean(images, axis=1)", "[images]", "[]", "[None]"])
def test_an_encoder_must_give_sequences(copy, returned):
    with open(os.path.join(copy, "wrong.py"), "w") as stream:
        stream.write("from aster.compat import tf\n\n\n"
                     f"def encoder(channels):\n    return lambda images, is_training: {returned}\n")
    edit(copy, ('"parts:encoder"', '"wrong:encoder"'))
    with pytest.raises(ValueError, match=r"'wrong:encoder' must give .* a list of feature sequences \[B, T, C\]"):
        train(read_config(copy), copy, clone_on_cpu=True)


@pytest.mark.parametrize("returned", ["None", "tf.reduce_mean(image, axis=2)"])
def test_a_preprocessing_step_must_give_an_image(tmp_path, returned):
    (tmp_path / "steps.py").write_text("from aster.compat import tf\n\n\n"
                                       f"def step():\n    return lambda image: {returned}\n")
    step = text_format.Parse('custom { factory: "steps:step" }', preprocessor_pb2.PreprocessingStep())
    with pytest.raises(ValueError, match=r"'steps:step' must give a function that returns an image \[H, W, C\]"):
        preprocessed_shape([step], str(tmp_path))


def build(text, base_dir=EXPERIMENT):
    return custom.build(text_format.Parse(text, custom_pb2.Custom()), base_dir)


def test_arguments_of_all_kinds():
    made = build('factory: "collections:OrderedDict" args { name: "a" number: 3 } args { name: "b" number: 0.5 } '
                 'args { name: "c" text: "x" } args { name: "d" flag: true }')
    assert made == {"a": 3, "b": 0.5, "c": "x", "d": True} and isinstance(made["a"], int)


def test_experiments_may_have_modules_of_one_name(tmp_path):
    for number in "12":
        (tmp_path / number).mkdir()
        (tmp_path / number / "parts.py").write_text(f"def number():\n    return {number}\n")
    found = [build('factory: "parts:number"', str(tmp_path / number)) for number in "1221"]
    assert found == [1, 2, 2, 1]
    assert callable(build('factory: "parts:encoder"'))


@pytest.mark.parametrize("text, problem", [
    ('factory: "no_such_module:f"', "no_such_module:f.*can't be imported"),
    ('factory: "parts:nothing"', "parts:nothing.*can't be imported"),
    ('factory: "parts:encoder" args { name: "width" number: 3 }', "does not take these arguments, width")])
def test_what_is_wrong_with_a_factory(text, problem):
    with pytest.raises(ValueError, match=problem):
        build(text)


@pytest.mark.parametrize("old, new, problem", [
    ('"parts:encoder"', '"parts.encoder"', "package.module:function"),
    ('args { name: "channels" number: 16 }', 'args { name: "channels" }', "one of number, text, flag"),
    ("label_map { character_set { built_in_set: LOWERCASE } }", "", "expected a label_map"),
    ("feature_extractor {", "feature_extractor { convnet { crnn_net { } }", "in place of convnet")])
def test_the_configuration_is_checked(copy, old, new, problem):
    edit(copy, (old, new))
    with pytest.raises(ConfigError, match=problem):
        read_config(copy)
