"""Images of a TFRecord as files, whatever their texts are."""
import os
import subprocess
import sys

import pytest
from experiment import draw_word

from aster.compat import tf
from aster.data.example import Sample, serialize

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path.append(TOOLS)

import extract_images as tool  # noqa: E402

TEXTS = ["24/7", "..", "a\\b\n\0c", "Straße é", "x" * 300, 100 * "中", "", "one"]


@pytest.fixture
def tfrecord(tmp_path):
    path = str(tmp_path / "words.tfrecord")
    with tf.python_io.TFRecordWriter(path) as writer:
        for text in TEXTS:
            writer.write(serialize(Sample(draw_word("word"), text)))
    return path


def test_file_names(tfrecord, tmp_path):
    folder = tmp_path / "new" / "images"
    tool.main([tfrecord, str(folder), "7"])
    assert sorted(path.name for path in folder.iterdir()) == sorted([
        "00_24_7.jpg", "01_...jpg", "02_a_b__c.jpg", "03_Straße é.jpg", "04_" + 200 * "x" + ".jpg",
        "05_" + 66 * "中" + ".jpg", "06_.jpg"])  # each 中 has three bytes
    assert all(path.read_bytes() == draw_word("word") for path in folder.iterdir())
    assert not (tmp_path / "new").joinpath("7.jpg").exists()


def test_errors_are_one_line(tfrecord, tmp_path, capsys):
    with pytest.raises(SystemExit, match="^extract_images: .*none.tfrecord: No such file"):
        tool.main([str(tmp_path / "none.tfrecord"), str(tmp_path / "images"), "2"])
    with open(tfrecord, "r+b") as stream:
        stream.seek(100)
        stream.write(b"damaged")
    tool.main([tfrecord, str(tmp_path / "images"), "2"])
    assert sorted(os.listdir(str(tmp_path / "images"))) == ["01_...jpg", "02_a_b__c.jpg"]
    assert "skipped: " + tfrecord + ": record 0 at byte 0: its checksum" in capsys.readouterr().err
    with open(tfrecord, "wb"):
        pass
    with pytest.raises(SystemExit, match="words.tfrecord: there is no record in this file that can be used"):
        tool.main([tfrecord, str(tmp_path / "images"), "2"])
    for count in "0", "two":
        with pytest.raises(SystemExit):
            tool.main([tfrecord, str(tmp_path / "images"), count])
        assert "argument count" in capsys.readouterr().err


NO_TOOLS = {"draw_augmentation_pictures.py", "draw_readme_pictures.py", "find_aster.py", "nvcc.py",
            "quiet_tensorflow.py", "write_config_reference.py"}


@pytest.mark.parametrize("name", sorted(name for name in os.listdir(TOOLS) if name.endswith(".py")
                                        and name not in NO_TOOLS))
def test_every_tool_has_help(name):
    environment = dict(os.environ, PYTHONPATH="")  # as where aster is not installed
    done = subprocess.run([sys.executable, os.path.join(TOOLS, name), "--help"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=os.path.sep, env=environment)
    assert done.returncode == 0 and done.stdout.startswith(b"usage: " + name.encode()), done


def test_a_file_without_records_and_empty_names_are_refused(tfrecord, tmp_path, capsys):
    empty = tmp_path / "empty.tfrecord"
    empty.write_bytes(b"")
    for path, problem in (str(empty), "there is no record in this file"), ("/dev/zero", "it is not a file"):
        with pytest.raises(SystemExit, match=f"{path}: {problem}"):
            tool.main([path, str(tmp_path / "images"), "3"])
    for arguments in ["", "images", "3"], [tfrecord, "", "3"]:
        with pytest.raises(SystemExit):
            tool.main(arguments)
        name = "tfrecord" if not arguments[0] else "folder"
        assert f": error: {name} is empty; name a file or folder" in capsys.readouterr().err
