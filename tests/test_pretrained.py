"""The models that come with the library: the one that does, and how others are named."""
import json
import os
import sys

import pytest
from experiment import WORDS, draw_word, make_experiment, run

from aster import demo, doctor, export, pretrained
from aster import eval as eval_command
from aster import new as new_command
from aster import train as train_command
from aster.compat import tf
from aster.config import read_config
from aster.data.example import Sample, serialize
from aster.data.preprocess import text_filters
from aster.evaluation.metrics import comparable
from aster.pretrained import ENGLISH, SAMPLES
from aster.reading.recognizer import Recognizer
from aster.training.loop import train

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

import pack_model  # noqa: E402

REAL_WORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared", "data", "real_words")


@pytest.fixture(scope="module")
def recognizer():
    with Recognizer.from_experiment() as recognizer:
        yield recognizer


def test_it_reads_the_samples(recognizer):
    names = sorted(os.listdir(SAMPLES))
    readings = recognizer.recognize([os.path.join(SAMPLES, name) for name in names])
    right = [reading.text == os.path.splitext(name)[0].partition("_")[2].lower()
             for name, reading in zip(names, readings)]
    assert len(right) == 8 and all(right), list(zip(names, right))


def test_it_is_small_and_described():
    files = [os.path.join(folder, name) for folder, _, names in os.walk(ENGLISH) for name in names]
    assert sum(map(os.path.getsize, files)) < 25e6
    with open(os.path.join(ENGLISH, "README.md"), encoding="utf-8") as stream:
        card = stream.read()
    for said in "data", "seed", "accuracy", "can't read":
        assert said in card.lower()


@pytest.mark.skipif(not os.path.isdir(REAL_WORDS), reason="needs ../shared/data/real_words")
@pytest.mark.parametrize("name, at_least", [("iiit5k_train", 0.75), ("svt_train", 0.70), ("ic15_train_1000", 0.45)])
def test_real_photos(recognizer, name, at_least):
    """Every eighth word of each set; the targets are those of the first release."""
    with open(os.path.join(REAL_WORDS, name + ".tsv"), encoding="utf-8") as stream:
        lines = [line.rstrip("\n").split("\t") for line in stream][::8]
    readings = recognizer.recognize([os.path.join(REAL_WORDS, line[0]) for line in lines])
    right = [comparable(reading.text) == comparable(line[1]) for reading, line in zip(readings, lines)]
    assert sum(right) / len(right) >= at_least


# Several models

@pytest.fixture(scope="module")
def folder_of_models(tmp_path_factory):
    """A folder with `english` and `any_case`, a tiny model with capitals and without a word list."""
    folder = tmp_path_factory.mktemp("models [1]")
    source = make_experiment(tmp_path_factory.mktemp("source"), eval="data_preprocessing_steps { string_filtering { "
                             "include_charset { built_in_set: ALLCASES_SYMBOLS } } }")
    path = os.path.join(source, "config", "trainval.prototxt")
    with open(path) as stream:
        text = stream.read()
    with open(path, "w") as stream:
        stream.write(text.replace("LOWERCASE", "ALLCASES_SYMBOLS"))
    train(read_config(source), source, clone_on_cpu=True)
    assert run(pack_model, "--exp_dir", source, "--output_dir", folder / "any_case") is None
    (folder / "english").symlink_to(ENGLISH)
    (folder / "samples").symlink_to(SAMPLES)
    (folder / "untrained" / "config").mkdir(parents=True)
    (folder / "untrained" / "config" / "trainval.prototxt").write_text("")
    return str(folder)


@pytest.fixture
def any_case(folder_of_models, monkeypatch):
    """The folder of the model `any_case`, which is one of the library's."""
    monkeypatch.setattr(pretrained, "FOLDER", folder_of_models)
    return os.path.join(folder_of_models, "any_case")


def records_of(tmp_path, name="words"):
    """TFRecords with words in capitals -> their path."""
    path = str(tmp_path / (name + ".tfrecord"))
    with tf.python_io.TFRecordWriter(path) as writer:
        for word in WORDS:
            writer.write(serialize(Sample(draw_word(word), word.upper() + "!")))
    return path


def test_the_models_of_the_library():
    assert pretrained.list()[0] == "english" and pretrained.path("english") == ENGLISH


def test_models_have_names(any_case, tmp_path, monkeypatch):
    assert pretrained.list() == ["english", "any_case"]  # the default one first
    assert pretrained.path("any_case") == any_case
    with pytest.raises(ValueError, match=r"'anycase' \(did you mean any_case\?\); there are: english, any_case$"):
        pretrained.path("anycase")
    with pytest.raises(ValueError, match="no pretrained model is named 'untrained'; there are: english, any_case$"):
        pretrained.path("untrained")
    monkeypatch.chdir(tmp_path)
    for folder in "any_case", "mine":
        os.mkdir(folder)
    found = [pretrained.find(model) for model in ("any_case", "./any_case", "mine")]
    assert found == [any_case, "./any_case", "mine"]
    for nothing in None, 3, "":
        with pytest.raises(ValueError, match="no pretrained model is named"):
            pretrained.find(nothing)
    with pytest.raises(ValueError, match="^nowhere: no such experiment folder, and no pretrained model is named"):
        pretrained.find("nowhere")


def test_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", str(tmp_path))
    with pytest.raises(ValueError, match="there are: none"):
        pretrained.path("english")
    finding, = doctor.check_model()
    assert finding.state == "note" and finding.repair == "git checkout aster/pretrained"


def test_a_recognizer_of_a_name(any_case):
    with Recognizer.from_pretrained("any_case", overrides=["eval_config { mixed_precision: false }"]) as recognizer:
        assert "A" in recognizer.charsets[0].characters and recognizer.num_preferred_words == 0
    with Recognizer.from_pretrained("any_case", lexicon=["Tea"]) as recognizer:
        reading, = recognizer.recognize([draw_word("tea")])
        assert reading.text == "Tea"
    with Recognizer.from_pretrained() as recognizer:
        assert recognizer.num_preferred_words > 0
    with pytest.raises(ValueError, match="no pretrained model is named 'nowhere'"):
        Recognizer.from_pretrained("nowhere")


def test_commands_take_a_name_or_a_folder(any_case, tmp_path, capsys):
    image, texts = tmp_path / "tea.jpg", []
    image.write_bytes(draw_word("tea"))
    for model in ("--model", "any_case"), ("--exp_dir", any_case):
        assert run(demo, *model, "--input_image", image, "--json", tmp_path / "texts.json") is None
        texts.append(json.loads((tmp_path / "texts.json").read_text()))
    assert texts[0] == texts[1]
    assert run(export, "--model", "any_case", "--output", tmp_path / "1") is None
    assert run(eval_command, "--model", "any_case", "--datasets", records_of(tmp_path), "--report",
               tmp_path / "report", "--protocol", "exact") is None
    assert json.loads((tmp_path / "report" / "report.json").read_text())
    assert "any_case" in capsys.readouterr().out
    assert "name test sets with --datasets" in run(eval_command, "--model", "any_case", "--norepeat")


@pytest.mark.parametrize("module, more", [
    (demo, ["--input_image", "x"]), (export, ["--output", "x"]), (eval_command, ["--norepeat"])])
def test_a_name_that_is_wrong(any_case, module, more, capsys):
    for arguments, problem in ((["--model", "any_case", "--exp_dir", any_case], "not allowed with argument"),
                               (["--model", "english", "--exp_dir", ENGLISH], "not allowed with argument"),
                               (["--model", "anycase"], "(did you mean any_case?); there are: english, any_case"),
                               (["--model", any_case], "An experiment folder is named by --exp_dir"),
                               (["--model", ""], "no pretrained model is named ''")):
        assert run(module, *arguments, *more) == 2
        assert problem in capsys.readouterr().err


def test_fine_tuning_goes_on_from_any_model(any_case, tmp_path, caplog):
    """Without a word list, and with capitals and punctuation, which stay."""
    words = [records_of(tmp_path, name) for name in ("train", "test")]
    folder, options = str(tmp_path / "mine"), ("--records", words[0], "--test_records", words[1])
    assert run(new_command, folder, "--from", "anycase", *options).startswith("error: anycase: no such experiment")
    assert run(new_command, folder, "--from", "any_case", *options) is None
    assert "characters" not in caplog.text and os.listdir(os.path.join(folder, "config")) == ["trainval.prototxt"]
    config = read_config(folder)
    assert config.model == read_config(any_case).model
    keep, = text_filters(config.train_config.data_augmentation_options, folder)
    assert keep.apply("Tea, 5!") == "Tea,5!"
    assert os.path.dirname(config.train_config.fine_tune_checkpoint) == os.path.join(any_case, "log")
    caplog.set_level("INFO")
    assert run(train_command, "--exp_dir", folder, "--set", "train_config { num_steps: 1 batch_size: [2] }") is None
    assert f"started from {any_case}" in caplog.text and "takes out of" not in caplog.text
    with Recognizer.from_experiment(folder) as recognizer:
        assert "T" in recognizer.charsets[0].characters


def test_the_doctor_lists_them(any_case):
    finding, = doctor.check_model()
    assert finding.state == "ok" and finding.what.endswith(": english, any_case")
