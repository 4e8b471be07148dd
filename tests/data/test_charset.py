"""Characters, labels and charset files."""
import numpy as np
import pytest
from google.protobuf import text_format

from aster.compat import tf
from aster.data.charset import Charset, load_characters
from aster.protos import label_map_pb2


def character_set(text):
    return text_format.Parse(text, label_map_pb2.CharacterSet())


@pytest.mark.parametrize("text, start, size", [
    ("built_in_set: LOWERCASE", "0123456789ab", 36),
    ("built_in_set: ALLCASES", "0123456789abcdefghijklmnopqrstuvwxyzAB", 62),
    ("built_in_set: ALLCASES_SYMBOLS", "0123456789ab", 94),
    ("text_string: 'x  y\\n z'", "xyz", 3),
    ("text_string: '\u4f60 \u597d'", "\u4f60\u597d", 2),
])
def test_sets(text, start, size):
    characters = load_characters(character_set(text))
    assert "".join(characters).startswith(start)
    assert len(characters) == size


def test_symbols_are_in_code_point_order():
    symbols = load_characters(character_set("built_in_set: ALLCASES_SYMBOLS"))[62:]
    assert list(symbols) == sorted(symbols) and symbols[0] == "!" and symbols[-1] == "~"


@pytest.mark.parametrize("content, expected", [
    ("a\nb\nc\n", "abc"),
    ("\ufeffa\r\nb\r\n\r\nc", "abc"),  # byte order mark, CRLF, blank line
    ("\u0627\n\u0628\n\u65e5\n", "\u0627\u0628\u65e5"),
    ("e\u0301\n", "\u00e9"),  # NFD becomes NFC
    ("a\n \nb \n", "a b"),  # a lone space is a character
    ("\u2028\na\n", "\u2028a"),  # a line separator is no end of line here
])
def test_text_file(tmp_path, content, expected):
    (tmp_path / "chars.txt").write_bytes(content.encode("utf-8"))
    message = character_set("text_file: 'chars.txt'")
    assert "".join(load_characters(message, base_dir=str(tmp_path))) == expected


def test_the_experiment_folder_comes_first(tmp_path, monkeypatch):
    """A file of the same name in the working directory does not hide the experiment's own."""
    for folder, characters in (("experiment", "x"), ("elsewhere", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "chars.txt").write_text(characters)
    monkeypatch.chdir(str(tmp_path / "elsewhere"))
    message = character_set("text_file: 'chars.txt'")
    assert load_characters(message, base_dir=str(tmp_path / "experiment")) == ("x",)
    assert load_characters(message, base_dir=str(tmp_path)) == load_characters(message) == ("y",)


@pytest.mark.parametrize("content, words", [
    (b"a\nbc\n", ["chars.txt, line 2", "'bc'"]),
    (b"a\nb\na\n", ["chars.txt, line 3", "chars.txt, line 1"]),
    (b"a\n\xff\n", ["chars.txt, line 2", "UTF-8"]),
    (b"\n\n", ["chars.txt", "empty"]),
    (b"", ["chars.txt", "empty"]),
    ("e\u0301\n\u00e9\n".encode("utf-8"), ["line 2", "there already"]),
    (None, ["chars.txt", "can't read", "one character per line"]),
])
def test_wrong_text_file(tmp_path, content, words):
    if content is not None:
        (tmp_path / "chars.txt").write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_characters(character_set(f"text_file: '{tmp_path / 'chars.txt'}'"))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("text, words", [
    ("", ["not given", "built_in_set"]),
    ("text_string: ''", ["text_string", "empty"]),
    ("text_string: 'a bc'", ["text_string, entry 2", "'bc'"]),
])
def test_wrong_set(text, words):
    with pytest.raises(ValueError) as error:
        load_characters(character_set(text))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("text, labels", [
    ("", []), ("ab", [2, 3]), ("\u00e9", [4]), ("e\u0301", [4]), ("a?", [2, 2])])
def test_encode(text, labels):
    assert Charset("ab\u00e9").encode(text) == labels


@pytest.mark.parametrize("labels, text", [
    ([], ""), ([2, 3, 1, 2], "ab"), ([0, 2], "a"), ([9, -1, 4], "\u00e9"), ([1], "")])
def test_decode(session, labels, text):
    charset = Charset("ab\u00e9")
    assert charset.decode(labels) == text
    decoded = charset.decode_tensor(tf.constant([labels, labels], tf.int32))
    assert [t.decode("utf-8") for t in session.run(decoded)] == [text, text]


def test_tensors(session):
    charset = Charset("ab\u65e5", unk_label=3)
    texts = tf.constant([t.encode("utf-8") for t in ["a", "", "\u65e5ba", "x"]])
    labels, lengths = charset.encode_tensor(texts)
    assert labels.shape.as_list() == [4, None] and lengths.shape.as_list() == [4]
    labels, lengths, back = session.run([labels, lengths, charset.decode_tensor(labels)])
    np.testing.assert_array_equal(labels, [[2, 1, 1], [1, 1, 1], [4, 3, 2], [3, 1, 1]])
    np.testing.assert_array_equal(lengths, [1, 0, 3, 1])
    assert [t.decode("utf-8") for t in back] == ["a", "", "\u65e5ba", "b"]


def test_encode_tensor_without_characters(session):
    labels, lengths = session.run(Charset("ab").encode_tensor(tf.constant([b"", b""])))
    assert labels.shape == (2, 0) and list(lengths) == [0, 0]


def test_unknown():
    assert Charset("ab\u00e9").unknown("abe\u0301c\u65e5") == {"c", "\u65e5"}


@pytest.mark.parametrize("options, words", [
    ("label_offset: 3", ["label_offset", "must be 2"]),
    ("", ["label_offset is 0"]),
    ("label_offset: 2 unk_label: 38", ["unk_label", "0 to 37"]),
])
def test_wrong_label_map(options, words):
    message = text_format.Parse("character_set { built_in_set: LOWERCASE } " + options,
                                label_map_pb2.LabelMap())
    with pytest.raises(ValueError) as error:
        Charset.from_config(message)
    assert all(word in str(error.value) for word in words), error.value


def test_from_config():
    message = text_format.Parse("character_set { built_in_set: LOWERCASE } label_offset: 2 "
                                "unk_label: 5 unknown_characters: DROP_SAMPLE",
                                label_map_pb2.LabelMap())
    charset = Charset.from_config(message)
    assert (charset.num_labels, charset.unk_label, charset.drop_unknown) == (38, 5, True)
