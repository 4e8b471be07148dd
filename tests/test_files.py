"""Text files that are none, and texts that are too long to be quoted."""
import os

import pytest

from aster import files
from aster.config import ConfigError, read_config
from aster.data.charset import Charset
from aster.errors import shortened
from aster.reading.lexicon import read_lexicon, spellings

QUICKSTART = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "experiments", "quickstart")


def test_a_file_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(files, "_MAX_TEXT", 10 ** 6)
    with pytest.raises(ValueError, match="^/dev/zero: the lexicon is larger than 1 MB"):
        read_lexicon("/dev/zero")
    with pytest.raises(ConfigError, match="^/dev/zero: the configuration is larger than 1 MB"):
        read_config("/dev/zero")


def test_long_texts_are_cut_in_messages(tmp_path, caplog):
    assert shortened("a" * 100) == "a" * 100 and shortened("a" * 101) == "a" * 100 + "..."
    with pytest.raises(ConfigError) as info:
        read_config(QUICKSTART, ["a" * 100000])
    assert len(str(info.value)) < 1000
    spellings(["one", "e" * 100000], Charset("one"), 5)
    assert "eee..." in caplog.text and len(caplog.text) < 1000


def test_a_pipe_that_nobody_writes_to_is_refused(tmp_path):
    os.mkfifo(str(tmp_path / "words.txt"))
    with pytest.raises(ValueError, match="words.txt: can't read the lexicon: it is a pipe"):
        read_lexicon(str(tmp_path / "words.txt"))


def test_a_pipe_of_the_shell_is_read():
    """As --lexicon <(grep ... words.txt) names it."""
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\n")
    os.close(writing)
    assert read_lexicon(f"/dev/fd/{reading}") == ["one", "two"]
    os.close(reading)
