"""The experiment's own files come before those of the working directory, by one rule for all fields."""
import os

import pytest
from google.protobuf import text_format

from aster import checkpoint, custom
from aster.compat import tf
from aster.data.charset import load_characters
from aster.data.records import find_record_files
from aster.protos import custom_pb2, label_map_pb2, model_pb2
from aster.reading.lexicon import load_word_list


def write_records(path):
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        writer.write(b"a record")


def find_characters(path, base_dir):
    return load_characters(label_map_pb2.CharacterSet(text_file=path), base_dir)[0]


def find_words(path, base_dir):
    class Predictor:
        charset = load_characters  # not reached: the file is empty, which the message names
    config = text_format.Parse(f'word_list {{ text_file: "{path}" }}', model_pb2.MultiPredictorsRecognitionModel())
    with pytest.raises(ValueError) as error:
        load_word_list(config, [Predictor], base_dir)
    return str(error.value)


def find_module(path, base_dir):
    return custom.build(custom_pb2.Custom(factory=f"{path}:where"), base_dir)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An experiment and a working directory with files of the same names; "here" has more."""
    for folder in "experiment", "here":
        (tmp_path / folder / "sub").mkdir(parents=True)
        names = ["both", "sub/both"] + (["only"] if folder == "here" else [])
        for name in names:
            (tmp_path / folder / (name + ".txt")).write_text(folder[0])
            write_records(tmp_path / folder / (name + ".tfrecord-0"))
            (tmp_path / folder / (name + ".ckpt-1.index")).write_text("")
            module = tmp_path / folder / f"places_{name}.py"
            if "/" not in name:
                module.write_text(f"def where():\n    return {folder!r}\n")
    monkeypatch.chdir(str(tmp_path / "here"))
    return str(tmp_path / "experiment")


@pytest.mark.parametrize("name, first", [("both", "e"), ("sub/both", "e"), ("only", "h")])
def test_characters(folders, name, first):
    assert find_characters(name + ".txt", folders) == first


@pytest.mark.parametrize("pattern", ["both.tfrecord-0", "sub/both.tf*", "b*-?", "both.tfrecord-0,sub/*tfrecord*"])
def test_records(folders, pattern):
    found = find_record_files(pattern, folders)
    assert len(found) == 1 + pattern.count(",") and all(path.startswith(folders) for path in found)
    assert find_record_files("only*rec*", folders) == ["only.tfrecord-0"]


def test_a_pattern_comes_before_a_file_of_that_name_elsewhere(folders):
    write_records("b*-0")
    assert find_record_files("b*-0", folders) == [os.path.join(folders, "both.tfrecord-0")]


def test_a_path_below_the_experiment_is_not_looked_up_twice(folders, monkeypatch):
    monkeypatch.chdir(os.path.dirname(folders))
    os.makedirs("experiment/experiment")
    write_records("experiment/experiment/both.tfrecord-0")
    assert find_record_files("both.tfrecord-0", "experiment") == ["experiment/both.tfrecord-0"]


@pytest.mark.parametrize("path", ["both.ckpt-1", "both.ckpt-1.index", "sub/both.ckpt-1", "sub"])
def test_checkpoints(folders, path):
    assert checkpoint.find_checkpoint(path, folders).startswith(folders)
    assert checkpoint.find_checkpoint("only.ckpt-1", folders) == "only.ckpt-1"


def test_a_checkpoint_comes_before_a_folder_elsewhere(folders):
    os.mkdir("both.ckpt-1")
    assert checkpoint.find_checkpoint("both.ckpt-1", folders) == os.path.join(folders, "both.ckpt-1")


def test_word_lists(folders, tmp_path):
    (tmp_path / "experiment" / "both.txt").write_text("")
    assert os.path.join(folders, "both.txt") in find_words("both.txt", folders)


def test_modules(folders, monkeypatch):
    monkeypatch.setattr("sys.path", [path for path in __import__("sys").path if path not in ("", os.getcwd())])
    assert find_module("places_both", folders) == "experiment"
    assert find_module("places_only", folders) == "here"  # also in a console script, whose path lacks the folder
    assert find_module("places_both", os.path.join(folders, "sub")) == "here"  # not that of the experiment before
    assert find_module("places_both", folders) == "experiment"
