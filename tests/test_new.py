"""An experiment that goes on from a trained model, made and trained by the commands."""
import json
import os

import pytest
from experiment import WORDS, draw_word, make_experiment, run

from aster import checkpoint, command
from aster import new as new_command
from aster import train as train_command
from aster.compat import tf
from aster.config import read_config
from aster.data.example import Sample, serialize
from aster.data.new_characters import add_characters
from aster.data.preprocess import text_filters
from aster.evaluation.history import EvaluationHistory
from aster.model.build import build_model
from aster.pretrained import ENGLISH
from aster.training.loop import train

LOWERCASE = "0123456789abcdefghijklmnopqrstuvwxyz"


def write_words(path, words):
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        for word in words:
            drawn = word.encode("ascii", "replace").decode()  # older fonts lack other letters
            writer.write(serialize(Sample(draw_word(drawn), word)))
    return str(path)


@pytest.fixture
def source(tmp_path):
    """A tiny trained experiment with its own word list."""
    folder = make_experiment(tmp_path / "source", num_steps=2)
    train(read_config(folder), folder, clone_on_cpu=True)
    return folder


@pytest.fixture
def words(tmp_path):
    return {name: write_words(tmp_path / f"{name}.tfrecord", WORDS) for name in (
        "records", "test_records", "other_records", "other_test_records")}


def options(words):
    return [text for name, path in words.items() for text in ("--" + name, path)]


def accuracy(folder, step):
    with open(os.path.join(folder, "log", "evaluations.jsonl")) as stream:
        records = [json.loads(line) for line in stream]
    record, = [record for record in records if record["step"] == step]
    return [data_set["word_accuracy"] for data_set in record["data_sets"]]


def test_training_goes_on_and_never_gets_worse(tmp_path, source, words, caplog, capsys):
    folder = str(tmp_path / "mine")
    assert run(new_command, folder, "--from", source, *options(words)) is None
    assert f"python -m aster.train --exp_dir {folder}" in capsys.readouterr().out
    config = read_config(folder)
    assert list(config.train_config.batch_size) == [16, 48] and config.train_config.num_steps == 300
    assert config.model == read_config(source).model
    caplog.set_level("INFO")
    short = "train_config { num_steps: 2 batch_size: [2, 2] optimizer { adam_optimizer { learning_rate { "
    short += "one_cycle_learning_rate { max_learning_rate: 1e-9 num_steps: 2 num_warmup_steps: 1 } } } } }"
    assert run(train_command, "--exp_dir", folder, "--set", short) is None
    lines = [message for message in caplog.messages if "at the start" in message]
    assert len(lines) == 2 and lines[0].startswith(words["test_records"] + ": ")
    assert "at step 0, which is the best: 0 words won, 0 lost (McNemar's test: p = 1)" in lines[0]
    # what is evaluated first is what the other training ended with, also where moving averages are evaluated
    with tf.Graph().as_default():
        start = command.find_checkpoint(folder, "0")
        reader, before = map(tf.train.NewCheckpointReader, (start, config.train_config.fine_tune_checkpoint))
        name = "FeatureExtractor/Convnet/conv1/weights"
        for stored in name, checkpoint.average_name(name):
            assert (reader.get_tensor(stored) == before.get_tensor(name)).all()
    assert accuracy(folder, 0) == accuracy(folder, 2)
    assert command.find_checkpoint(folder, "best").endswith("best/model.ckpt-0")
    latest = os.path.join(folder, "log", "model.ckpt-2")
    assert command.find_checkpoint(folder, "latest") == command.find_checkpoint(folder) == latest


def test_from_the_pretrained_model(tmp_path, words, caplog):
    del words["other_records"], words["other_test_records"]
    folder = str(tmp_path / "mine")
    assert run(new_command, folder, *options(words)) is None
    assert "the model may forget how to read others" in caplog.text
    config = read_config(folder)
    model = config.model.multi_predictors_recognition_model
    assert list(config.train_config.batch_size) == [64]
    assert model.word_list.text_file == os.path.join(ENGLISH, "words.txt")
    assert os.path.dirname(config.train_config.fine_tune_checkpoint) == os.path.join(ENGLISH, "log")
    with open(os.path.join(folder, "config", "trainval.prototxt")) as stream:
        assert len(stream.readlines()) < 80  # the model's fields, and 20 of training
    assert "exists already" in run(new_command, folder, *options(words))


@pytest.mark.parametrize("change, message", [
    ({"records": "nosuch.tfrecord"}, "--records: no such file: nosuch.tfrecord"),
    ({"test_records": "nosuch.tfrecord"}, "--test_records: no such file"),
    ({"other_test_records": "nosuch.tfrecord"}, "--other_test_records: no such file")])
def test_what_is_missing_is_named_before_anything_is_written(tmp_path, words, change, message):
    folder = tmp_path / "mine"
    assert message in run(new_command, str(folder), *options(dict(words, **change)))
    assert not folder.exists()


def test_a_path_with_a_comma(tmp_path, words):
    odd = tmp_path / "a, [b]*"
    odd.mkdir()
    words["records"] = write_words(odd / "t[r].tfrecord", WORDS)
    folder = str(tmp_path / "mine")
    assert run(new_command, folder, *options(words)) is None
    assert read_config(folder).train_input_reader[0].tf_record_input_reader.input_path == words["records"]


@pytest.mark.parametrize("train", ["records", "other_records"])
@pytest.mark.parametrize("test", ["test_records", "other_test_records"])
def test_test_words_are_not_trained_on(tmp_path, words, train, test):
    message = f"--{train} and --{test} name the same file, "
    link = tmp_path / "link.tfrecord"
    link.symlink_to(words[train])
    for path in words[train], str(link), f"{words[test]},{words[train]}":
        assert message in run(new_command, str(tmp_path / "m"), *options(dict(words, **{test: path})))
    assert "name the same file" in run(new_command, str(tmp_path / "m"), *options(
        dict(words, **{test: str(tmp_path / "*.tfrecord")})))
    assert not (tmp_path / "m").exists()


def test_test_words_that_are_copies_are_named(tmp_path, words, caplog):
    words = {name: words[name] for name in ("records", "test_records")}
    message = "--records and --test_records name two copies of one file, "
    assert run(new_command, str(tmp_path / "copies"), *options(words)) is None and message in caplog.text
    caplog.clear()
    write_words(words["test_records"], ["other"])
    assert run(new_command, str(tmp_path / "apart"), *options(words)) is None and "copies" not in caplog.text


def test_each_kind_of_test_words_has_files_of_its_own(tmp_path, words):
    words["other_test_records"] = words["test_records"]
    assert "--test_records and --other_test_records name the same file" in run(
        new_command, str(tmp_path / "m"), *options(words))
    assert not (tmp_path / "m").exists()


def test_new_characters_are_learnt(tmp_path, source, words, caplog):
    """Before, they became the first character of the set, and the source's word list stayed."""
    words["records"] = write_words(tmp_path / "pl.tfrecord", ["źdźbło", "łąka", "o\u0328"])
    words["other_records"] = write_words(tmp_path / "other.tfrecord", ["one", "a-b"])
    folder = str(tmp_path / "mine")
    assert run(new_command, folder, "--from", source, *options(words)) is None
    assert "'ł' (U+0142) x 2" in caplog.text and "'-' (U+002D) x 1" in caplog.text
    config = read_config(folder)
    name, = build_model(config.model, folder).characters.values()
    assert name == LOWERCASE + "-ąłźǫ"
    short = "train_config { num_steps: 1 batch_size: [2, 2] }"
    caplog.clear()
    caplog.set_level("INFO")
    assert run(train_command, "--exp_dir", folder, "--set", short) is None
    assert "outside the character set" not in "".join(
        message for message in caplog.messages if message.startswith("train_input_reader"))
    assert "only in the configuration: '-'" in caplog.text
    assert "exists already" in run(new_command, folder, "--from", source, *options(words))


def test_new_characters_of_the_pretrained_model(tmp_path, words, caplog):
    """Its string_filtering would take the letters out; other marks are not its business."""
    words["records"] = write_words(tmp_path / "pl.tfrecord", ["Źdźbło!", "łąka"])
    folder = str(tmp_path / "mine")
    assert run(new_command, folder, *options(words)) is None
    assert f"word_list, {os.path.join(ENGLISH, 'words.txt')}, is left out" in caplog.text
    config = read_config(folder)
    assert not config.model.multi_predictors_recognition_model.HasField("word_list")
    assert set(build_model(config.model, folder).characters.values()) == {LOWERCASE + "ąłź"}
    keep, = text_filters(config.train_config.data_augmentation_options, folder)
    assert keep.apply("Źdźbło!") == "źdźbło"


def test_new_characters_need_stored_character_sets(tmp_path, source, words):
    words["records"] = write_words(tmp_path / "pl.tfrecord", ["łąka"])
    os.remove(os.path.join(source, "log", "model.ckpt-2.characters.json"))
    message = run(new_command, str(tmp_path / "mine"), "--from", source, *options(words))
    assert "'ł' (U+0142) x 1" in message and "write them to" in message and "model.ckpt-2.characters.json" in message
    assert not (tmp_path / "mine").exists()


def test_an_alphabet_that_a_run_was_given_is_not_lost(tmp_path, source, words):
    """Trained with --set to another alphabet: the configuration does not say what the checkpoint's labels mean."""
    path = os.path.join(source, "log", "model.ckpt-2.characters.json")
    with open(path, "w") as stream:
        json.dump({"Forward": LOWERCASE[::-1]}, stream)
    message = run(new_command, str(tmp_path / "mine"), "--from", source, *options(words))
    assert "trained with another character set than the configuration's: at other places of the order" in message
    assert not (tmp_path / "mine").exists()


def test_what_has_no_new_characters_keeps_its_own(tmp_path, source, words, caplog):
    folder = str(tmp_path / "mine")
    words["records"] = write_words(tmp_path / "own.tfrecord", ["one\n", "two"])
    assert run(new_command, folder, "--from", source, *options(words)) is None
    assert "characters" not in caplog.text and os.listdir(os.path.join(folder, "config")) == ["trainval.prototxt"]


def test_characters_of_sets_of_several_kinds():
    """Each set keeps its own; a space has a line of the file."""
    config = read_config(ENGLISH)
    model = config.model.multi_predictors_recognition_model
    model.predictor[0].attention_predictor.label_map.character_set.text_string = "ab"
    files = add_characters(config, " b", ENGLISH)
    assert sorted(files.values()) == sorted(["a\nb\n \n", "".join(c + "\n" for c in LOWERCASE) + " \n"])
    assert model.predictor[1].attention_predictor.label_map.character_set.text_file == model.character_set.text_file


def test_a_template(tmp_path):
    folder = str(tmp_path / "mine")
    assert run(new_command, folder, "--template", "english") is None
    model = read_config(folder).model.multi_predictors_recognition_model
    assert os.path.isfile(model.word_list.text_file)
    assert "is an experiment already" in run(new_command, folder, "--template", "quickstart")


def test_a_template_replaces_no_file(tmp_path):
    (tmp_path / "parts.py").write_text("my own")
    assert "parts.py exists already" in run(new_command, str(tmp_path), "--template", "custom_encoder")
    assert (tmp_path / "parts.py").read_text() == "my own" and not (tmp_path / "config").exists()
    assert run(new_command, str(tmp_path), "--template", "ctc") is None  # which has no parts.py


def test_a_template_takes_no_other_arguments(tmp_path, words, capsys):
    folder = str(tmp_path / "mine")
    for others in (["--records", words["records"]], ["--from", "english"], ["--trust"], ["--checkpoint", "best"],
                   options(words)):
        assert run(new_command, folder, "--template", "ctc", *others) == 2
        message = capsys.readouterr().err
        assert "--template copies a configuration as it is" in message
        assert all(option in message.split("takes no")[1] for option in others if option.startswith("--"))
    assert not os.path.exists(folder)


def test_the_schedule_grows_slowly(tmp_path, words):
    words["records"] = write_words(tmp_path / "many.tfrecord", WORDS * 113)  # 904
    folder = str(tmp_path / "mine")
    assert run(new_command, folder, *options(words)) is None
    assert read_config(folder).train_config.num_steps == 601


def test_comparison_of_the_best_with_the_start(tmp_path):
    folder = make_experiment(tmp_path)
    config = read_config(folder)
    history = EvaluationHistory(config, folder)
    assert list(history.compare_best_with_start()) == []
    os.makedirs(os.path.join(folder, "log"))

    def record(step, *marks):
        return json.dumps({"step": step, "data_sets": [
            {"dataset": f"d{i}", "right": right, "word_accuracy": right.count("1") / len(right.replace("-", ""))}
            for i, right in enumerate(marks)]}) + "\n"
    (tmp_path / "log" / "evaluations.jsonl").write_text(
        record(0, "0000000011-", "11") + record(5, "1111111101-", "11") + record(9, "1111111101-", "11")
        + record(12, "1111111111-") + "{cut", )
    assert list(history.compare_best_with_start()) == [
        "d0: 20.00 % at the start, 90.00 % at step 5, which is the best: 8 words won, 1 lost (McNemar's test: p = "
        "0.039)",
        "d1: 100.00 % at the start, 100.00 % at step 5, which is the best: 0 words won, 0 lost (McNemar's test: p = 1)"]


@pytest.mark.parametrize("text, is_kept", [("Tea", True), ("T\u00e9a", False)])
def test_the_word_list_stays_if_only_the_case_is_new(text, is_kept, caplog):
    config = read_config(ENGLISH)
    config.train_config.data_augmentation_options.add().resize_image.target_width = 256
    start = checkpoint.find_checkpoint(os.path.join(ENGLISH, "log"))
    with tf.Graph().as_default():
        predictors = build_model(config.model, ENGLISH).predictors
    new_command._learn_characters(config, predictors, [text], start, ENGLISH)
    assert "A new letter starts from the same letter" in caplog.text
    assert config.model.multi_predictors_recognition_model.HasField("word_list") == is_kept
