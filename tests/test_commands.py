"""The three commands, from arguments to files, in one small experiment."""
import csv
import io
import json
import os
import subprocess
import sys

import pytest
from experiment import WORDS, draw_word, make_experiment, run, write_config
from PIL import Image

from aster import command, demo, errors, export
from aster import eval as eval_command
from aster import train as train_command
from aster.reading.recognizer import Recognizer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = make_experiment(tmp_path_factory.mktemp("experiment"))
    assert run(train_command, "--exp_dir", folder, "--num_clones", 2, "--clone_on_cpu") is None
    return folder


@pytest.mark.parametrize("options", ["", "use_moving_averages: true", "eval_with_lexicon: true", "num_examples: 5"])
def test_eval(trained, tmp_path, options):
    write_config(trained, eval=options)
    path = str(tmp_path / "results.json")
    assert run(eval_command, "--exp_dir", trained, "--norepeat", "--json", path) is None
    with open(path) as stream:
        result = json.load(stream)
    assert result["count"] == (5 if "num_examples" in options else len(WORDS))
    assert result["global_step"] == 3 and result["skipped"] == 0 and result["dataset"] == "data/words.tfrecord"
    assert 0.0 <= result["word_accuracy"] <= 1.0 and result["normalized_edit_distance"] >= 0.0
    assert os.listdir(os.path.join(trained, "log", "eval"))


def test_the_result_of_an_evaluation_is_on_stdout(trained, capsys):
    write_config(trained)
    assert run(eval_command, "--exp_dir", trained, "--norepeat") is None
    line, = capsys.readouterr().out.splitlines()
    assert line.startswith("data/words.tfrecord at step 3: word accuracy ") and line.endswith(" 8 words, 0 skipped")


def test_set_changes_the_configuration_for_a_run(trained, tmp_path, capsys):
    folder = make_experiment(tmp_path)
    assert run(train_command, "--exp_dir", folder, "--set", "train_config { num_steps: 1 save_summaries_steps: 1 }",
               "--set", "train_config { num_steps: 2 }") is None
    capsys.readouterr()
    assert run(eval_command, "--exp_dir", folder, "--norepeat", "--set", "eval_config { num_examples: 5 }") is None
    assert "at step 2: " in capsys.readouterr().out
    (tmp_path / "tea.jpg").write_bytes(draw_word("tea"))
    assert run(demo, "--exp_dir", trained, "--input_image", tmp_path / "tea.jpg", "--json", tmp_path / "texts.json",
               "--set", "model { multi_predictors_recognition_model { predictor { name: 'Second' attention_predictor { "
               "rnn_cell { lstm_cell { } } label_map { character_set { built_in_set: DIGITS } } } } } }") \
        .startswith("error: ")  # the checkpoint lacks the second predictor


@pytest.mark.parametrize("module", [train_command, eval_command, demo])
def test_a_mistake_in_set_is_named(module, trained):
    more = {demo: ["--input_image", "x.png"], eval_command: ["--norepeat"]}.get(module, [])
    assert "--set" in run(module, "--exp_dir", trained, "--set", "train_config { steps: 1 }", *more)


def test_demo(trained, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for i, mode in enumerate(["RGB", "L", "RGBA", "P", "1"]):
        Image.new("RGB", (30 + i, 20), (i * 50, 0, 0)).convert(mode).save(str(images / (f"{mode}.png")))
    (images / "word.jpg").write_bytes(draw_word("tea"))
    path, out = str(tmp_path / "texts.json"), str(tmp_path / "out")
    assert run(demo, "--exp_dir", trained, "--input_image", images, "--output_dir", out, "--json", path) is None
    with open(path) as stream:
        results = json.load(stream)
    names = [os.path.basename(r["path"]) for r in results]
    assert names == ["1.png", "L.png", "P.png", "RGB.png", "RGBA.png", "word.jpg"]
    assert len(os.listdir(out)) == 6 and capsys.readouterr().out.count("\n") == 6
    # one by one, the same
    for result in results[:3]:
        assert run(demo, "--exp_dir", trained, "--input_image", result["path"], "--json", path) is None
        with open(path) as stream:
            alone, = json.load(stream)
        assert alone["text"] == result["text"] and alone["score"] == pytest.approx(result["score"], abs=1e-3)


def test_demo_takes_patterns_and_a_list_on_standard_input(trained, tmp_path, monkeypatch, capsys):
    for name in "a1.png", "a2.png", "b.png":
        (tmp_path / name).write_bytes(draw_word("tea"))
    path = tmp_path / "texts.csv"
    monkeypatch.setattr(sys, "stdin", io.StringIO("%s\n\n" % (tmp_path / "b.png")))
    assert run(demo, "--exp_dir", trained, "--input_image", tmp_path / "a*.png", "-", "--csv", path,
               "--orientations", 0, 90) is None
    with open(str(path), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [os.path.basename(row["path"]) for row in rows] == ["a1.png", "a2.png", "b.png"]
    assert all(row["orientation"] in ("0", "90") and float(row["score"]) < 0 for row in rows)
    assert capsys.readouterr().out.count("\n") == 3
    assert "no image there" in run(demo, "--exp_dir", trained, "--input_image", tmp_path / "c*.png")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "is empty" in run(demo, "--exp_dir", trained, "--input_image", "-")


def test_demo_names_what_it_cannot_read_and_reads_the_rest(trained, tmp_path, caplog):
    good, bad, missing = str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), str(tmp_path / "c.jpg")
    with open(good, "wb") as stream:
        stream.write(draw_word("sun"))
    with open(bad, "wb") as stream:
        stream.write(b"no image")
    path = str(tmp_path / "texts.json")
    assert run(demo, "--exp_dir", trained, "--input_image", bad, good, missing, "--json", path) == \
        "2 of 3 images could not be read"
    assert bad in caplog.text and missing + ": No such file" in caplog.text
    with open(path) as stream:
        assert [result["path"] for result in json.load(stream)] == [good]


def test_demo_keeps_what_it_has_read_when_it_is_stopped(trained, tmp_path, monkeypatch):
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    for path in paths:
        with open(path, "wb") as stream:
            stream.write(draw_word("sun"))
    recognize = Recognizer.recognize

    def interrupted(*arguments, **options):
        yield next(recognize(*arguments, **options))
        raise KeyboardInterrupt
    monkeypatch.setattr(Recognizer, "recognize", interrupted)
    out = str(tmp_path / "texts.json")
    assert run(demo, "--exp_dir", trained, "--input_image", *paths + ["--json", out]) == 130
    with open(out) as stream:
        assert [result["path"] for result in json.load(stream)] == paths[:1]


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_demo_takes_names_that_are_not_utf8(trained, tmp_path, capsys):
    path, out = os.path.join(os.fsencode(str(tmp_path)), b"bad\xff.jpg"), tmp_path / "texts.json"
    with open(path, "wb") as stream:
        stream.write(draw_word("sun"))
    assert run(demo, "--exp_dir", trained, "--input_image", tmp_path, "--json", out,
               "--csv", tmp_path / "t.csv") is None
    result, = json.loads(out.read_text())
    assert os.fsencode(result["path"]) == path
    assert "bad\\udcff.jpg" in capsys.readouterr().out


def test_demo_shows_no_control_characters_and_keeps_them_in_its_files(trained, tmp_path, capsys):
    folder, out, table = tmp_path / "images", tmp_path / "texts.json", tmp_path / "texts.csv"
    folder.mkdir()
    good, bad = str(folder / "a\x1b[2J\r\nb.jpg"), str(folder / "c\x1b]0;title\x07.jpg")
    for path, content in (good, draw_word("sun")), (bad, b"no image"):
        with open(path, "wb") as stream:
            stream.write(content)
    done = subprocess.run([sys.executable, "-m", "aster.demo", "--exp_dir", trained, "--input_image", str(folder),
                           "--json", str(out), "--csv", str(table)], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"a\\x1b[2J\\x0d\\nb.jpg" in done.stdout and done.stdout.count(b"\n") == 1
    assert b"c\\x1b]0;title\\x07.jpg: " in done.stderr and not set(done.stdout + done.stderr) & {0x1b, 0x07, 0x0d}
    result, = json.loads(out.read_text())
    with open(str(table), newline="") as stream:
        row, = csv.DictReader(stream)
    assert result["path"] == row["path"] == good


@pytest.mark.parametrize("arguments, problem", [
    (["--serve", "8799", "--json", "x.json"], "takes no --json"),
    (["--input_image", "x.png", "--json", "a", "--csv", "./a"], "the same file")])
def test_demo_refuses_options_that_exclude_each_other(arguments, problem, capsys):
    assert run(demo, *arguments) == 2
    assert problem in capsys.readouterr().err


def test_results_go_through_links_and_into_pipes(tmp_path):
    path, link, pipe = [str(tmp_path / name) for name in ("a.json", "link.json", "pipe")]
    os.symlink(path, link)
    command.check_writable(link)
    command.write_json(link, [1])
    with open(path) as stream:
        assert os.path.islink(link) and json.load(stream) == [1]
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command.check_writable(pipe)
    command.write_json(pipe, [2])
    assert json.loads(os.read(reader, 100).decode()) == [2]
    os.close(reader)
    assert sorted(os.listdir(str(tmp_path))) == ["a.json", "link.json", "pipe"]
    with pytest.raises(IsADirectoryError):
        command.check_writable(str(tmp_path / "new") + "/")


@pytest.mark.parametrize("name", ["new", "new/deeper", "./new", ""])
def test_a_folder_may_be_new_and_have_a_short_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    command.check_writable(name, is_folder=True)
    if name:
        command.check_writable(name + ".json")
    assert not os.listdir(str(tmp_path))


@pytest.mark.parametrize("module", [train_command, eval_command, demo])
def test_a_missing_experiment(module, tmp_path):
    more = ("--input_image", "x.png") if module is demo else ()
    assert "no such experiment folder" in run(module, "--exp_dir", tmp_path / "nowhere", *more)


def test_eval_and_demo_without_a_checkpoint(tmp_path):
    folder = make_experiment(tmp_path)
    os.makedirs(os.path.join(folder, "log"))
    assert "no checkpoint" in run(eval_command, "--exp_dir", folder, "--norepeat")
    message = run(demo, "--exp_dir", folder, "--input_image", __file__)
    assert "no checkpoint" in message and "aster.train" in message and "needs no --exp_dir" in message


def test_train_says_which_data_is_missing(tmp_path):
    folder = make_experiment(tmp_path)
    os.remove(os.path.join(folder, "data", "words.tfrecord"))
    message = run(train_command, "--exp_dir", folder)
    assert "train_input_reader" in message and "words.tfrecord" in message
    assert "3 clones" in run(train_command, "--exp_dir", folder, "--num_clones", 3, "--clone_on_cpu")


@pytest.mark.parametrize("name", ["train", "eval", "demo"])
def test_a_python_without_the_packages_says_what_to_run(name):
    done = subprocess.run([sys.executable, "-S", "-m", "aster." + name], cwd=ROOT, universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stdout == ""
    line, = done.stderr.splitlines()
    assert line.startswith("error: the package ") and "source .venv-tf2/bin/activate" in line


@pytest.mark.parametrize("end, status", [("pass", 0), ("raise ValueError", 1), ("os.abort()", -6), ("os._exit(3)", 3)])
def test_only_the_noise_of_a_start_is_hidden(end, status):
    """Whatever else is written to stderr comes out, however the process ends."""
    noise = ["WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
             "I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on. You may see slightly different results",
             "I0000 00:00:1.2 3 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used."]
    others = ["E0000 00:00:1.2 3 gpu.cc:1] out of memory", "Warning: \xe9", "without an end of line"]
    code = ("import os, sys; from aster import command\n"
            "os.write(2, b'before\\n')\n"
            "with command.start_up_noise_hidden():\n"
            f"    os.write(2, {chr(10).join(noise + others).encode('latin-1')!r})\n"
            f"    {end}\n"
            "os.write(2, b'after')\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = done.stderr.decode("latin-1").splitlines()
    assert done.returncode == status and lines[:4] == ["before"] + others
    assert not set(noise) & set(lines) and ("after" in lines) == (status == 0)


def test_a_command_starts_without_a_line_of_tensorflows(tmp_path):
    done = subprocess.run([sys.executable, "-c", "from aster import command; command.start_tensorflow()"], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 0 and done.stdout == ""
    assert not [line for line in done.stderr.splitlines() if "cuda" in line.lower() or "oneDNN" in line]


@pytest.mark.parametrize("module, arguments", [
    (export, ["--output", ""]), (demo, ["--input_image", "x", "--exp_dir", ""]),
    (eval_command, ["--exp_dir", "x", "--json", ""]), (train_command, ["--exp_dir", ""]),
    (eval_command, ["--exp_dir", "x", "--report", "x", "--datasets", "x", ""]),
    (demo, ["--input_image", "x", "--output_dir", ""])])
def test_an_empty_name_is_refused(module, arguments, capsys):
    """As of a variable that is not set. It would mean the working directory, or nothing."""
    assert run(module, *arguments) == 2
    name = [argument for argument in arguments if argument.startswith("--")][-1]
    assert f"{name} is empty; name a file or folder" in capsys.readouterr().err


def test_an_input_is_not_overwritten(trained, tmp_path):
    write_config(trained)
    image, link = tmp_path / "tea.jpg", tmp_path / "link.jpg"
    image.write_bytes(draw_word("tea"))
    os.symlink(str(image), str(link))
    words = tmp_path / "words.txt"
    words.write_text("tea")
    for option, path in ("--json", image), ("--csv", link), ("--json", words):
        assert "would be overwritten" in run(demo, "--exp_dir", trained, "--input_image", image, "--lexicon", words,
                                             option, path)
    assert image.read_bytes() == draw_word("tea") and words.read_text() == "tea"
    for path in "data/words.tfrecord", "config/trainval.prototxt":
        assert "would be overwritten" in run(eval_command, "--exp_dir", trained, "--norepeat", "--json",
                                             os.path.join(trained, path))


def test_a_result_replaces_a_result_only(trained, tmp_path):
    log = os.path.join(trained, "log")
    paths = [os.path.join(log, name) for name in os.listdir(log) if "events" not in name and name != "eval"]
    assert len(paths) > 5
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 caf\xe9 caf\xe9")
    for path in paths + [str(tmp_path / "latin.txt")]:
        with open(path, "rb") as stream:
            before = stream.read()
        if before:
            with pytest.raises(ValueError, match="would be overwritten; name another file"):
                command.check_writable(path)
    for content in "", "[]", "caf\u00e9 " * 2000:
        (tmp_path / "old.json").write_bytes(content.encode("utf-8"))
        command.check_writable(str(tmp_path / "old.json"))


def test_an_evaluation_set_that_is_missing_is_told_before_training(tmp_path):
    folder = make_experiment(tmp_path, train="eval_num_examples: 5")
    assert "nosuch.tfrecord" in run(train_command, "--exp_dir", folder, "--set",
                                    "eval_input_reader { tf_record_input_reader { input_path: 'nosuch.tfrecord' } }")
    assert not os.path.exists(os.path.join(folder, "log"))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("no number"), KeyboardInterrupt()])
def test_a_result_is_written_whole_or_not_at_all(tmp_path, error):
    path = tmp_path / "old.txt"
    path.write_text("old")

    def write(stream):
        stream.write("new")
        raise error
    for target in path, tmp_path / "new" / "folder" / "new.txt":
        with pytest.raises(type(error)) as raised:
            command.write_text(str(target), write)
        if isinstance(error, OSError):
            assert errors.describe(raised.value) == f"{target}: {error.strerror or error}"
    assert path.read_text() == "old" and os.listdir(str(tmp_path)) == ["old.txt"]
    command.write_text(str(target), lambda stream: stream.write("new"))
    assert target.read_text() == "new" and os.listdir(str(target.parent)) == ["new.txt"]
