"""A configuration is a program: what the commands run unasked, and what not."""
import os
import sys

import pytest
from experiment import make_experiment, run
from google.protobuf import text_format

from aster import command, demo, export, trust
from aster import eval as eval_command
from aster import train as train_command
from aster.config import ConfigError, read_config
from aster.protos import pipeline_pb2

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEP = 'data_preprocessing_steps { custom { factory: "%s" } }'
COMMANDS = {train_command: [], eval_command: ["--norepeat"], demo: ["--input_image", __file__],
            export: ["--output", "exported"]}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """A stranger's: importing its parts.py leaves a mark. The working directory is beside it."""
    for name in "work", "strange":
        (tmp_path / name).mkdir()
    folder = make_experiment(tmp_path / "strange", eval=STEP % "parts:step")
    (tmp_path / "strange" / "parts.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n\n\ndef step():\n    return lambda image: image\n")
    monkeypatch.chdir(str(tmp_path / "work"))
    return folder


@pytest.mark.parametrize("module", sorted(COMMANDS, key=str))
def test_foreign_code_does_not_run(experiment, tmp_path, module):
    message = run(module, "--exp_dir", experiment, *COMMANDS[module])
    assert message.startswith(f"error: {experiment}: ") and "parts:step (" in message and "--trust" in message
    assert not (tmp_path / "ran").exists()


def test_foreign_code_runs_where_it_is_trusted(experiment, tmp_path):
    assert run(train_command, "--exp_dir", experiment, "--trust") is None
    assert run(eval_command, "--exp_dir", experiment, "--trust", "--norepeat") is None
    assert (tmp_path / "ran").exists()


def test_the_code_of_a_compared_experiment_does_not_run(experiment, tmp_path):
    own = make_experiment(tmp_path / "work" / "own")
    message = run(eval_command, "--exp_dir", own, "--compare", experiment, "--datasets", own, "--report", "out")
    assert "--trust" in message and experiment in message and not (tmp_path / "ran").exists()


class _Terminal:
    def __init__(self, answer):
        self._answer, self.shown = answer, ""

    def isatty(self):
        return True

    def readline(self):
        return self._answer

    def write(self, text):
        self.shown += text

    def flush(self):
        pass


@pytest.mark.parametrize("answer, runs", [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_the_question_on_a_terminal(experiment, monkeypatch, answer, runs):
    terminal = _Terminal(answer)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    if runs:
        assert command.read_experiment(experiment).HasField("model")
    else:
        with pytest.raises(ConfigError, match="It has not run"):
            command.read_experiment(experiment)
    assert "parts:step (" in terminal.shown and terminal.shown.endswith("Run it? [y/N] ")


def foreign(factory, folder):
    config = text_format.Parse(f'eval_input_reader {{ custom {{ factory: "{factory}" }} }}',
                               pipeline_pb2.TrainEvalPipelineConfig())
    return [text.partition(" (")[0] for text in trust.foreign_functions(config, str(folder))]


def test_what_is_in_the_experiment_folder_and_the_working_directory_is_ones_own(experiment, tmp_path, monkeypatch):
    assert foreign("parts:step", experiment) == ["parts:step"]
    monkeypatch.chdir(str(tmp_path))
    assert foreign("parts:step", experiment) == foreign("parts:step", "strange") == []
    for factory in "numpy:array", "aster.command:write_json", "pip:main", "__main__:main":
        assert foreign(factory, experiment) == [factory]
    assert foreign("no_such_module:f", experiment) == []  # custom.py says what is wrong
    monkeypatch.chdir(experiment)
    assert foreign("parts:step", ".") == []


def test_links_and_folders_of_everything_are_no_way_around(experiment, tmp_path, monkeypatch):
    os.symlink(experiment, str(tmp_path / "work" / "link"))
    assert foreign("parts:step", "link") == ["parts:step"]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(str(tmp_path))
    assert foreign("parts:step", experiment) == ["parts:step"]
    monkeypatch.chdir("/")
    assert foreign("parts:step", experiment) == ["parts:step"]


def test_a_folder_without_code_does_not_stand_for_an_installed_package(experiment, tmp_path, monkeypatch):
    """Python prefers a package to a folder of the same name that has no __init__.py."""
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / "strange" / "numpy").mkdir()
    assert foreign("numpy:array", experiment) == ["numpy:array"]
    (tmp_path / "strange" / "own").mkdir()
    (tmp_path / "strange" / "own" / "parts.py").write_text("")
    assert foreign("own.parts:step", experiment) == []


@pytest.mark.parametrize("factory", ["os:system", "subprocess:call", "shutil:rmtree", "posix:system", "sys:exit",
                                     "builtins:exec", "xml.dom.minidom:parse", "_ctypes:dlopen", "timeit:timeit"])
def test_a_prototxt_alone_is_no_shell(experiment, factory, monkeypatch):
    """Neither --trust nor the working directory helps."""
    make_experiment(experiment, eval=STEP % factory)
    monkeypatch.chdir(experiment)
    with pytest.raises(ConfigError, match=f"custom.factory: is '{factory}', of Python's own library"):
        read_config(experiment)


def test_the_experiments_of_this_repository_ask_nothing(monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in sorted(os.listdir("experiments")):
        folder = os.path.join("experiments", name)
        if os.path.isdir(os.path.join(folder, "config")):
            assert trust.foreign_functions(read_config(folder), folder) == []
