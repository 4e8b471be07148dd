"""A packed model reads as the experiment that it comes from."""
import os
import shutil
import sys

import numpy as np
import pytest
from experiment import WORDS, draw_word, make_experiment
from google.protobuf import text_format
from test_config import restated_defaults

from aster import command
from aster.config import CONFIG_IN_EXP_DIR, read_config
from aster.pretrained import ENGLISH
from aster.protos import pipeline_pb2
from aster.reading.recognizer import Recognizer
from aster.training.loop import train

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import pack_model as tool  # noqa: E402


def test_a_packed_model_reads_the_same(tmp_path, monkeypatch):
    folder = make_experiment(tmp_path / "experiment", num_steps=20, eval="use_moving_averages: true")
    train(read_config(folder), folder, clone_on_cpu=True)
    packed = str(tmp_path / "packed")
    monkeypatch.setattr(sys, "argv", ["pack_model", "--exp_dir", folder, folder, "--output_dir", packed])
    command.run(tool.main)
    config = read_config(packed)
    assert not config.HasField("train_config") and not config.eval_config.use_moving_averages
    read = []
    for exp_dir in folder, packed:
        with Recognizer.from_experiment(exp_dir) as recognizer:
            read.append(list(recognizer.recognize([draw_word(word) for word in WORDS])))
    assert [reading.text for reading in read[0]] == [reading.text for reading in read[1]]
    scores = [[reading.score for reading in readings] for readings in read]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.05)
    logs = [os.path.join(exp_dir, "log") for exp_dir in (folder, packed)]
    sizes = [sum(os.path.getsize(os.path.join(log, name)) for name in os.listdir(log) if name.startswith("model.ckpt"))
             for log in logs]
    assert sizes[1] < 0.4 * sizes[0]
    with open(os.path.join(packed, "log", "checkpoint")) as stream:
        assert str(tmp_path) not in stream.read()


def test_character_sets_come_along_and_old_checkpoints_go(tmp_path, monkeypatch):
    folder = make_experiment(tmp_path / "experiment")
    path = os.path.join(folder, "config", "trainval.prototxt")
    with open(path) as stream:
        config = stream.read()
    with open(path, "w") as stream:
        stream.write(config.replace('built_in_set: LOWERCASE', 'text_file: "letters.txt"'))
    with open(os.path.join(folder, "letters.txt"), "w") as stream:
        stream.write("\n".join("onetwrdx1suaic2yk"[:13]))
    train(read_config(folder), folder, clone_on_cpu=True)
    packed = str(tmp_path / "packed")

    def pack(*exp_dirs):
        monkeypatch.setattr(sys, "argv", ["pack_model", "--exp_dir"] + list(exp_dirs) + ["--output_dir", packed])
        command.run(tool.main)
    pack(folder)
    first = str(tmp_path / "first")
    shutil.copytree(packed, first)
    pack(folder, first)  # a later step: the sum of both
    os.rename(folder, folder + "-elsewhere")
    with Recognizer.from_experiment(packed) as recognizer:
        assert list(recognizer.recognize([draw_word("one")]))[0].text is not None
    assert sorted(os.listdir(os.path.join(packed, "log"))) == [
        "checkpoint", "model.ckpt-6.characters.json", "model.ckpt-6.data-00000-of-00001", "model.ckpt-6.index"]

    two = str(tmp_path / "two")
    shutil.copytree(packed, two)
    os.mkdir(os.path.join(two, "more"))
    shutil.copy(os.path.join(two, "letters.txt"), os.path.join(two, "more"))
    with open(os.path.join(two, "config", "trainval.prototxt")) as stream:
        config = stream.read()
    with open(os.path.join(two, "config", "trainval.prototxt"), "w") as stream:
        stream.write(config.replace("multi_predictors_recognition_model {", "multi_predictors_recognition_model { "
                                    'word_list { text_file: "more/letters.txt" }'))
    pack(first, two)  # the words are no part of the network
    with pytest.raises(SystemExit, match="would be one file"):
        pack(two)

    other = make_experiment(tmp_path / "other", norm="batch_norm { decay: 0.8 }")
    with pytest.raises(SystemExit, match="configured otherwise"):
        pack(first, other)


def test_the_pretrained_model_packed_again_has_a_short_configuration(tmp_path, monkeypatch):
    packed = str(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pack_model", "--exp_dir", ENGLISH, "--output_dir", packed])
    command.run(tool.main)
    with open(os.path.join(packed, CONFIG_IN_EXP_DIR)) as stream:
        text = stream.read()
    assert text.count("\n") <= 50 and text.startswith(tool.FIRST_LINE)
    assert restated_defaults(text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())) == []
    assert read_config(packed) == read_config(ENGLISH)


@pytest.mark.parametrize("arguments", [
    ["--exp_dir", "x", "--output_dir", ""], ["--exp_dir", "x", "", "--output_dir", "x"]])
def test_an_empty_name_is_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pack_model"] + arguments)
    with pytest.raises(SystemExit) as stop:
        command.run(tool.main)
    assert stop.value.code == 2 and "is empty; name a file or folder" in capsys.readouterr().err


def test_the_mean():
    found = tool.mean([{"a": np.array([1.0, 2.0])}, {"a": np.array([3.0, 5.0])}])["a"]
    assert found.dtype == np.float16 and found.tolist() == [2.0, 3.5]
    with pytest.raises(ValueError, match="too large"):
        tool.mean([{"a": np.array([1e6])}])
