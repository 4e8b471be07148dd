"""The characters of a checkpoint are stored as text beside it, and compared with those of a configuration."""
import json
import os
import shutil
import sys

import pytest
from experiment import draw_word, make_experiment, run

from aster import character_sets, checkpoint, eval, export, train
from aster.checkpoint import CheckpointError
from aster.config import read_config
from aster.reading.recognizer import Recognizer
from aster.training import loop

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

import pack_model  # noqa: E402

CHARACTERS = "onetwrdx1suaic2yk"
# another character set, and what the message says
OTHERS = [
    (CHARACTERS[1:] + "o", ["at other places of the order: 'n' (U+006E)"]),  # reordered
    ("netowrdx1suaic2yk", ["'n' (U+006E)", "'e' (U+0065)", "'t' (U+0074)", "'o' (U+006F)"]),
    ("noetwrdx1suaic2yk", ["order: 'n' (U+006E) 'o' (U+006F) (predictor Forward)"]),  # exchanged
    (CHARACTERS[:-1] + "\u03ba",
     ["only in the configuration: '\u03ba' (U+03BA)", "only in the checkpoint: 'k' (U+006B)"]),
    ("\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8\u03b9\u03ba\u03bb\u03bc\u03bd\u03be\u03bf\u03c0\u03c1",
     ["'\u03b1' (U+03B1)", "and 7 more"]),  # of the same size
    (CHARACTERS + "\u00e4", ["only in the configuration: '\u00e4' (U+00E4) (predictor"]),
    (CHARACTERS[:-1], ["only in the checkpoint: 'k' (U+006B) (predictor"]),
]


def write_characters(folder, characters):
    with open(os.path.join(folder, "letters.txt"), "wb") as stream:
        stream.write("\n".join(characters).encode("utf-8"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = make_experiment(tmp_path_factory.mktemp("trained") / "E")
    path = os.path.join(folder, "config", "trainval.prototxt")
    with open(path) as stream:
        config = stream.read()
    with open(path, "w") as stream:
        stream.write(config.replace("built_in_set: LOWERCASE", 'text_file: "letters.txt"'))
    write_characters(folder, CHARACTERS)
    loop.train(read_config(folder), folder, clone_on_cpu=True)
    return folder


@pytest.fixture
def folder(tmp_path, trained):
    copy = str(tmp_path / "E")
    shutil.copytree(trained, copy)
    return copy


def refusals(folder, tmp_path):
    """What each of the ways to use a checkpoint says, {way: message}."""
    packed = str(tmp_path / "packed")
    messages = {"eval": run(eval, "--exp_dir", folder, "--norepeat"),
                "export": run(export, "--exp_dir", folder, "--output", tmp_path / "exported"),
                "train": run(train, "--exp_dir", folder, "--set", "train_config { num_steps: 9 }"),
                "pack": run(pack_model, "--exp_dir", folder, "--output_dir", packed)}
    return messages


def test_it_is_text(trained):
    with open(os.path.join(trained, "log", "model.ckpt-3.characters.json"), encoding="utf-8") as stream:
        assert json.load(stream) == {"Forward": CHARACTERS}


@pytest.mark.parametrize("characters, words", OTHERS)
def test_another_character_set_is_refused(folder, characters, words):
    write_characters(folder, characters)
    with pytest.raises(CheckpointError) as error:
        Recognizer.from_experiment(folder)
    for word in words + ["model.ckpt-3: it was trained with another character set", "fine_tune_checkpoint"]:
        assert word in str(error.value)


@pytest.mark.parametrize("characters, words", [OTHERS[2], OTHERS[5]])
def test_another_character_set_is_refused_everywhere(tmp_path, folder, characters, words):
    write_characters(folder, characters)
    before = sorted(os.listdir(os.path.join(folder, "log")))
    for way, message in refusals(folder, tmp_path).items():
        for word in words + ["model.ckpt-3: it was trained with another character set", "fine_tune_checkpoint"]:
            assert word in str(message), (way, message)
    assert sorted(os.listdir(os.path.join(folder, "log"))) == before + ["lock"] * ("lock" not in before)
    assert not (tmp_path / "exported").exists() and not (tmp_path / "packed").exists()


def test_a_checkpoint_without_is_used_as_before(tmp_path, folder):
    os.remove(os.path.join(folder, "log", "model.ckpt-3.characters.json"))
    write_characters(folder, OTHERS[0][0])
    with Recognizer.from_experiment(folder) as recognizer:
        assert list(recognizer.recognize([draw_word("one")]))[0].text is not None
    write_characters(folder, CHARACTERS + "\u00e4")  # of another size
    with pytest.raises(CheckpointError, match="has shape"):
        Recognizer.from_experiment(folder)


def test_the_same_characters_from_another_file_are_the_same(tmp_path, folder):
    with open(os.path.join(folder, "letters.txt"), "w") as stream:
        stream.write(CHARACTERS + "\n")  # in one line
    assert run(eval, "--exp_dir", folder, "--norepeat") is None
    assert run(train, "--exp_dir", folder, "--set", "train_config { num_steps: 4 }") is None


def test_each_checkpoint_has_its_own_and_takes_it_along(folder):
    config = read_config(folder)
    config.train_config.num_steps, config.train_config.save_checkpoint_secs = 12, 0
    loop.train(config, folder, clone_on_cpu=True)
    log = os.path.join(folder, "log")
    steps = [os.path.basename(path) for path in checkpoint.list_checkpoints(log)]
    assert len(steps) == 5  # the others are deleted, and so are their characters
    assert sorted(name for name in os.listdir(log) if name.endswith(".json")) == sorted(
        name + ".characters.json" for name in steps)


@pytest.mark.parametrize("content, words", [
    (b'{"Forward": "one', "characters.json: damaged"), (b"[]", "no JSON object"), (b'{"Forward": 1}', "no JSON object"),
    (b"\xff", "not UTF-8"), (b"", "damaged"), (b"[" * 10000, "damaged"),
    (b"{}", "it lacks the character set of the predictor Forward"), (b'{"Other": "ab"}', "it lacks")])
def test_a_damaged_file_is_named(folder, content, words):
    with open(os.path.join(folder, "log", "model.ckpt-3.characters.json"), "wb") as stream:
        stream.write(content)
    with pytest.raises(CheckpointError, match=words):
        Recognizer.from_experiment(folder)


def test_a_predictor_that_the_checkpoint_lacks_is_not_compared():
    assert not character_sets.describe_differences({"Forward": "ab"}, {"Forward": "ab", "Mine": "cd"})
    text = character_sets.describe_differences({"F": "ab", "B": "ab", "C": "x"}, {"F": "bac", "B": "bac", "C": "y"})
    assert text == ("only in the configuration: 'c' (U+0063); at other places of the order: 'b' (U+0062) 'a' (U+0061) "
                    "(predictor F, B); only in the configuration: 'y' (U+0079); only in the checkpoint: 'x' (U+0078) "
                    "(predictor C)")
