"""Custom components: the experiment that docs/extending.md explains, and the messages about mistakes."""
import os
import shutil
import sys

import pytest
from experiment import draw_word
from google.protobuf import text_format

import aster.train
from aster import command, custom
from aster.checkpoint import CheckpointError, find_checkpoint, list_checkpoints
from aster.compat import IS_TF1
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


def add_variable(folder, module, statement, early="None"):
    """Writes a module with an encoder that has a variable of its own, made by a statement. `early` is what its factory
    makes."""
    with open(os.path.join(folder, module + ".py"), "w") as stream:
        stream.write(f"""from parts import encoder as whole
from aster.compat import tf


def encoder(channels):
    early = {early}

    def encode(images, is_training):
        return [{statement} * sequence for sequence in whole(channels)(images, is_training)]
    return encode
""")


def test_only_get_variable_makes_variables(copy):
    """Others would be trained, and be missing, or have no trained values, in whatever reads."""
    add_variable(copy, "scaled", 'tf.get_variable("scale", [])')
    edit(copy, ('"parts:encoder"', '"scaled:encoder"'), ("num_steps: 1500", "num_steps: 1"))
    assert train(read_config(copy), copy, clone_on_cpu=True) == 1
    add_variable(copy, "wrong", 'tf.Variable(1.0, name="scale")')
    edit(copy, ('"scaled:encoder"', '"wrong:encoder"'))
    with pytest.raises(CheckpointError, match=r"the variable scale can't get its value .* by tf.get_variable"):
        Recognizer.from_experiment(copy)
    shutil.rmtree(os.path.join(copy, "log"))
    message = "the variable .*scale was not made by tf.get_variable"
    with pytest.raises(ValueError, match=message):
        train(read_config(copy), copy, clone_on_cpu=True)
    statements = [('tf.Variable(1.0, name="scale", trainable=False)', "None"),
                  ("early", 'tf.Variable(1.0, name="scale")')]
    for number, (statement, early) in enumerate(statements):
        add_variable(copy, f"wrong{number}", statement, early)
        edit(copy, (f'"wrong{number - 1 if number else ""}:encoder"', f'"wrong{number}:encoder"'))
        with pytest.raises(ValueError, match=message):
            train(read_config(copy), copy, clone_on_cpu=True)
    assert not list_checkpoints(os.path.join(copy, "log"))
    add_variable(copy, "right", "early", 'tf.get_variable("scale", [])')
    edit(copy, ('"wrong1:encoder"', '"right:encoder"'))
    assert train(read_config(copy), copy, clone_on_cpu=True) == 1


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


# Functions that fail: every message names the factory, file and line of the user's code, and the error

def failing(kind, statement):
    """A module whose function `make` gives a component of this kind that does `statement` when it is called."""
    body = {
        "encoder": "def make(**_):\n    def use(images, is_training):\n        STATEMENT\n    return use",
        "step": "def make(**_):\n    def use(image):\n        STATEMENT\n    return use",
        "reader": "def make(**_):\n    def use():\n        STATEMENT\n        yield None\n    return use",
        "predictor": ("class Decoder:\n    name, reverse, max_characters = 'D', False, 3\n"
                      "    def teacher_force(self, *_):\n        STATEMENT\n    def decode(self, *_):\n        pass\n"
                      "def make(**_):\n    return Decoder()"),
    }[kind]
    return "import sys\n" + body.replace("STATEMENT", statement) + "\n"


PARTS = {"encoder": '"parts:encoder"', "step": '"parts:invert"', "reader": '"parts:drawn_words"',
         "predictor": '"parts:predictor"'}
STATEMENTS = ["raise RuntimeError('no way')", "sys.exit(0)", "raise TypeError('no way')"]


def put_in(folder, kind, module):
    """Puts a module in the place of one component, in training."""
    path = os.path.join(folder, "broken.py")
    with open(path, "w") as stream:
        stream.write(module)
    edit(folder, (PARTS[kind], '"broken:make"'))
    return path


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("kind", sorted(PARTS))
def test_a_component_that_fails_is_named(copy, kind, statement):
    module = failing(kind, statement)
    path = put_in(copy, kind, module)
    line = module[:module.index(statement)].count("\n") + 1
    if kind == "step" and "exit" in statement and not IS_TF1:
        line = 3  # AutoGraph, which runs the step, tells the line of errors only: here, that of the function
    with pytest.raises(ValueError) as info:
        train(read_config(copy), copy, clone_on_cpu=True)
    message = str(info.value)
    assert "\n" not in message and "factory 'broken:make' failed: " in message, message
    assert f"({path}, line {line})" in message
    assert ("SystemExit: 0" if "exit" in statement else "no way") in message


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("kind", sorted(PARTS))
def test_a_factory_that_fails_is_named(copy, kind, statement):
    path = put_in(copy, kind, f"import sys\ndef make(**_):\n    {statement}\n")
    with pytest.raises(ValueError) as info:
        train(read_config(copy), copy, clone_on_cpu=True)
    assert "factory 'broken:make' failed: " in str(info.value) and f"({path}, line 3)" in str(info.value)


@pytest.mark.parametrize("statement", STATEMENTS + ["raise OSError(2, 'no way')", "import no_such_module", "x = = 1"])
def test_a_module_that_fails_ends_a_command_with_one_line(copy, monkeypatch, statement):
    path = put_in(copy, "encoder", f"import sys\n\n{statement}\n")
    monkeypatch.setattr(sys, "argv", ["train", "--exp_dir", copy, "--clone_on_cpu", "--trust"])
    with pytest.raises(SystemExit) as info:
        command.run(aster.train.main)
    message = info.value.code
    assert message.startswith("error: factory 'broken:make' can't be imported (") and "\n" not in message
    assert "broken.py, line 3" in message
    assert path in message or "SyntaxError" in message


def test_a_reader_that_fails_later_is_named(copy):
    path = put_in(copy, "reader", """from parts import drawn_words
def make(**options):
    def use():
        for number, sample in enumerate(drawn_words(**options)()):
            yield sample
            if number == 6000:
                raise RuntimeError("the network is gone")
    return use
""")
    edit(copy, ("train_input_reader {", "train_input_reader { shuffle: false"))
    with pytest.raises(ValueError, match="the network is gone") as info:
        train(read_config(copy), copy, clone_on_cpu=True)
    assert str(info.value).startswith("train_input_reader: factory 'broken:make' failed: RuntimeError")
    assert f"({path}, line 7)" in str(info.value)


@pytest.mark.parametrize("field", ["text=None", "text='\\ud800'", "encoded=memoryview(b'x')", "lexicon=[1]"])
def test_a_sample_that_is_no_word_is_named(copy, field):
    put_in(copy, "reader", f"""from parts import drawn_words
def make(**options):
    def use():
        for number, sample in enumerate(drawn_words(**options)()):
            yield sample._replace({field}) if number == 3 else sample
    return use
""")
    with pytest.raises(ValueError, match="broken:make': sample 3 of its function is no word"):
        train(read_config(copy), copy, clone_on_cpu=True)


def test_the_line_is_that_of_the_users_code_and_not_of_what_it_calls(copy):
    with open(os.path.join(copy, "helper.py"), "w") as stream:
        stream.write("import json\n\n\ndef read(text):\n    return json.loads(text)\n")
    put_in(copy, "encoder", "import helper\n\n\ndef make(**_):\n    return helper.read('{')\n")
    with pytest.raises(ValueError) as info:
        train(read_config(copy), copy, clone_on_cpu=True)
    assert f"({os.path.join(copy, 'helper.py')}, line 5)" in str(info.value)


@pytest.mark.parametrize("member", ["name", "reverse", "max_characters", "teacher_force", "decode"])
def test_a_decoder_that_lacks_something_is_named(copy, member):
    module = failing("predictor", "pass")
    module = module.replace("def make(**_):\n", f"def make(**_):\n    del Decoder.{member}\n")
    put_in(copy, "predictor", module)
    with pytest.raises(ValueError, match=f"'broken:make' must return a decoder, but .* has no {member}"):
        train(read_config(copy), copy, clone_on_cpu=True)


def test_a_built_in_step_that_can_not_be_done_is_named(copy):
    edit(copy, ('data_augmentation_options { custom { factory: "parts:invert"',
                'data_augmentation_options { subtract_channel_mean { means: [1, 2] } } '
                'data_augmentation_options { custom { factory: "parts:invert"'))
    with pytest.raises(ValueError, match=r"^preprocessing step \d, subtract_channel_mean: means .* 2 .* 3 channels$"):
        train(read_config(copy), copy, clone_on_cpu=True)
