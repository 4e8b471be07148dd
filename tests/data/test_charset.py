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
    ("text_string: 'xe\u0301y'", "x\u00e9y", 3),  # without white space
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
    ("a\rb\r", "ab"),  # ends of line of old Macs
    ("\u3000\np\t\n", "\u3000p"),  # white space that is a character, and white space beside one
    ("abe\u0301\n", "ab\u00e9"),  # all in one line
    ("\ufeffab c~ \r\n", "ab c~"),  # of which the space is one
    ("a b c\n", "abc"),  # here it stands between all of them
    ("a\nb\na\n", "ab"),  # written twice
    ("e\u0301\n\u00e9\n", "\u00e9"),
    ("\uf92c\nx\n\u90ce\n", "\u90cex"),  # equal in NFC, as in the dictionaries of other programs
    ("\u0958\n\u0916\n\u0959\n", "\u0915\u093c\u0916"),  # NFC splits them
    ("q\u0303\nx\n", "q\u0303x"),  # a letter and its mark, which no code point has in one
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
    (b"a\nbc\nd\nefg\n", ["chars.txt, line 2: 'bc' (2 code points); line 4: 'efg' (3 code points)"]),
    (b"a\nbc\nd e\n", ["line 2: 'bc'", "line 3: 'd e'"]),
    (b"a\n\xff\n", ["chars.txt, line 2", "UTF-8"]),
    (b"\n\n", ["chars.txt", "empty"]),
    (b"", ["chars.txt", "empty"]),
    (None, ["chars.txt", "can't read", "one character per line"]),
])
def test_wrong_text_file(tmp_path, content, words):
    if content is not None:
        (tmp_path / "chars.txt").write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_characters(character_set(f"text_file: '{tmp_path / 'chars.txt'}'"))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("content, words", [
    ("\uf92c\n\uf979\nx\n\u90ce\n\u51c9\nx\n", [
        "characters that are equal in NFC are one character: U+90CE '\u90ce' with U+F92C, U+51C9 '\u51c9' with U+F979, "
        "U+0078 'x' twice"]),
    ("\u0958\nx\n\u095b\n", ["U+0958 '\u0958' into U+0915 U+093C, U+095B '\u095b' into U+091C U+093C"]),
    ("x\ny\n", []),
])
def test_what_is_merged_is_named_once(tmp_path, caplog, content, words):
    (tmp_path / "chars.txt").write_bytes(content.encode("utf-8"))
    for _ in range(3):  # predictors and filters
        load_characters(character_set(f"text_file: '{tmp_path / 'chars.txt'}'"))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(words) and all(word in text for word, text in zip(words, messages))


def test_the_labels_of_texts_are_those_of_merged_characters(tmp_path):
    (tmp_path / "chars.txt").write_bytes("\u0958\n\uf92c\n\u90ce\nx\n".encode("utf-8"))
    charset = Charset(load_characters(character_set(f"text_file: '{tmp_path / 'chars.txt'}'")))
    assert charset.encode("x\uf92c\u0958") == charset.encode("x\u90ce\u0915\u093c") == [5, 4, 2, 3]
    assert charset.decode([4, 2, 3]) == "\u90ce\u0915\u093c"


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
