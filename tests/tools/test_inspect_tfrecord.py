"""What the tool that looks into TFRecord files must not do."""
import os
import sys

import pytest
from experiment import draw_word

from aster.compat import tf
from aster.data.example import Sample, serialize

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import inspect_tfrecord as tool  # noqa: E402


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "words.tfrecord")
    with tf.python_io.TFRecordWriter(path) as writer:
        writer.write(serialize(Sample(draw_word("word"), "word")))
    return path


@pytest.mark.parametrize("number", ["0", "-3"])
def test_a_sheet_of_no_images_is_refused(path, tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr(sys, "argv", ["inspect_tfrecord", path, "--sheet", str(tmp_path / "x.png"), "--num_images",
                                      number])
    with pytest.raises(SystemExit):
        tool.main()
    assert "argument --num_images: must be 1 or more" in capsys.readouterr().err


def test_the_sheet_does_not_overwrite_the_records(path, monkeypatch):
    with open(path, "rb") as stream:
        before = stream.read()
    monkeypatch.setattr(sys, "argv", ["inspect_tfrecord", path, "--sheet", path])
    with pytest.raises(SystemExit, match="it is also read"):
        tool.main()
    with open(path, "rb") as stream:
        assert stream.read() == before
