"""Files that are cut short: each command names the file and what is missing, and gives no advice that loses a model."""
import os
import shutil

import pytest
from experiment import draw_word, make_experiment, run

from aster import checkpoint, demo
from aster import eval as eval_command
from aster import train as train_command
from aster.checkpoint_files import DamagedCheckpoint, open_reader
from aster.files import read_text

DATA = ".data-00000-of-00001"


def cuts(size):
    """Twenty places, the first and the last byte among them."""
    return sorted({size * i // 17 for i in range(17)} | {1, size - 1, size - 8})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = make_experiment(tmp_path_factory.mktemp("experiment"), num_steps=1)
    assert run(train_command, "--exp_dir", folder, "--clone_on_cpu") is None
    return folder


@pytest.mark.parametrize("name", ["model.ckpt-1", "optimizer.ckpt-1"])
def test_a_checkpoint_that_is_cut_anywhere(trained, tmp_path, name):
    source, path = os.path.join(trained, "log", name), str(tmp_path / name)
    for ending, other in ((".index", DATA), (DATA, ".index")):
        shutil.copy(source + other, path + other)
        size = os.path.getsize(source + ending)
        for place in cuts(size):
            shutil.copy(source + ending, path + ending)
            os.truncate(path + ending, place)
            with pytest.raises(DamagedCheckpoint) as error, open_reader(path) as reader:
                raise AssertionError(f"{ending} is read at {place}: {reader.shapes}")
            expected = (f"{name}{DATA} ends after {place} of {size} bytes: {size - place} are missing" if ending == DATA
                        else f"{name}.index has no end: it is no index, or cut short after {place} bytes")
            assert expected in str(error.value)


def test_the_pretrained_and_the_published_form_are_whole():
    here = os.path.dirname(os.path.abspath(__file__))
    for path in os.path.join(here, "golden", "tiny.ckpt"), checkpoint.find_checkpoint(
            os.path.join(here, "..", "aster", "pretrained", "english", "log")):
        assert checkpoint.read_shapes(path)


def test_no_command_advises_to_lose_the_only_model(trained, tmp_path):
    folder = str(tmp_path / "copy")
    shutil.copytree(trained, folder)
    os.truncate(os.path.join(folder, "log", "model.ckpt-1" + DATA), 1000)
    image = tmp_path / "one.jpg"
    image.write_bytes(draw_word("one"))
    before = sorted(os.listdir(os.path.join(folder, "log")))
    for module, *arguments in ((train_command, "--clone_on_cpu", "--set", "train_config { num_steps: 2 }"),
                               (eval_command, "--norepeat"), (demo, "--input_image", image)):
        message = run(module, "--exp_dir", folder, *arguments)
        assert "model.ckpt-1" + DATA + " ends after 1000 of " in message and "are missing" in message
        assert "start anew" not in message
    assert set(before) <= set(os.listdir(os.path.join(folder, "log")))


def test_a_text_that_ends_within_a_character(tmp_path):
    path, content = str(tmp_path / "words.txt"), "tea\ncaf\u00e9\n\u83dc\n\U0001f600".encode("utf-8")
    broken = {8: (2, 1), 11: (3, 2), 12: (3, 1), 15: (4, 3), 16: (4, 2), 17: (4, 1)}
    for place in range(len(content) + 1):
        with open(path, "wb") as stream:
            stream.write(content[:place])
        if place not in broken:
            assert content.decode("utf-8").startswith(read_text(path, "the lexicon"))
            continue
        with pytest.raises(ValueError) as error:
            read_text(path, "the lexicon")
        assert str(error.value) == (f"{path}, line {broken[place][0]}: the lexicon is cut short or not UTF-8: its last "
                                    f"character lacks {broken[place][1]} of its bytes; copy the file again, or save it "
                                    "as UTF-8")
