"""Lists of one's own images, in the forms that other programs write: the right text of each line, or an error."""
import os

import pytest
from conversion_helpers import REPORTS, encoded
from writing import put

TEXTS = ["Tel", "Jinglei, Extensive", "$1,200", '7" disc', '"quoted"', "plain", "a,b,c"]


@pytest.fixture
def texts_of(convert, data_dir):
    """texts_of(name, list, *options, status=0) -> (texts of the records, lexicons, output)"""
    for i in range(1, 10):
        put(data_dir, f"{i}.png", encoded(seed=i))

    def run(name, content, *options, **expect):
        put(data_dir, name, content)
        samples, output = convert("folder", "--list", name, *options, **expect)
        for sample in samples:
            assert sample.encoded == encoded(seed=int(sample.filename[0]))
        return [sample.text for sample in samples], [list(sample.lexicon) for sample in samples], output
    return run


def lines(*rows):
    return "".join(row + "\n" for row in rows)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_below_a_header_of_two_columns_all_the_rest_is_the_text(texts_of, separator):
    rows = ["filename" + separator + "words"] + [f"{i}.png{separator}{text}" for i, text in enumerate(TEXTS, 1)]
    texts, lexicons, output = texts_of("list.csv", lines(*rows))
    assert texts == TEXTS and not any(lexicons) and " 0 skipped" in output
    if separator == "\t":
        assert texts_of("list.tsv", lines(*rows, "8.png\ta\tb"))[0] == TEXTS + ["a\tb"]


@pytest.mark.parametrize("header", ["name,text", '"image","label"', "Filename, Words", "", "sep=,"])
def test_proper_csv(texts_of, header):
    rows = ['1.png,Tel', '2.png,"Jinglei, Extensive"', '"3.png","$1,200"', '4.png,"7"" disc"', '5.png, """quoted"""']
    assert texts_of("list.csv", lines(*[header] * bool(header), *rows))[0] == TEXTS[:5]


def test_quotes_that_may_or_may_not_be_of_csv_are_refused(texts_of):
    output = texts_of("list.csv", lines("name,text", '1.png,"a, b"', "2.png,a, b"), status=1)[2]
    assert "list.csv, line 2: it has quotes as CSV has them, but line 3 is no proper CSV" in output


def test_quotes_of_excel_in_a_list_with_tabs(texts_of):
    content = lines("1.png\tTel", '2.png\t"7"" disc"')
    assert "list.txt, line 2: its quotes are those of CSV" in texts_of("list.txt", content, status=1)[2]
    assert texts_of("list.csv", content)[0] == ["Tel", '7" disc']
    assert texts_of("list.txt", lines('1.png\t"Tel"', '2.png\t7" disc'))[0] == ['"Tel"', '7" disc']


def test_a_text_of_two_lines_is_refused(texts_of):
    texts, _, output = texts_of("list.csv", lines("name,text", "1.png,ok", '2.png,"two', 'lines"'))
    assert texts == ["ok"] and "skipped 2.png: its text goes on in the next line" in output
    assert "list.csv, line 4: expected" in output


@pytest.mark.parametrize("name, good, bad", [
    ("list.csv", "1.png,ok", "2.png,a,b"), ("list.csv", "1.png;ok", "2.png;a;b"),
    ("list.csv", "name,text,lexicon\n1.png,ok,", "2.png,a,b,c"), ("list.csv", "1.png,ok", '2.png,"a" b'),
    ("list.csv", "1.png,ok", '2.png,"a'), ("list.csv", "1.png,ok", "2.png"),
    ("list.tsv", "1.png\tok", "2.png\ta\tb"), ("list.txt", "1.png\tok", "2.png a"),
    ("list.tsv", "name\ttext\tlexicon\n1.png\tok", "2.png\ta\tb\tc"), ("list.txt", "1.png ok", "2.png")])
def test_a_line_with_a_field_too_many_or_too_few_is_named_once(texts_of, name, good, bad):
    texts, lexicons, output = texts_of(name, lines(good, bad))
    assert texts == ["ok"] and lexicons == [[]]
    assert output.count(repr(bad)) == 1 and output.count(f"{name}, line {len(good.splitlines()) + 1}: expected") == 1
    assert output.count("expected") == 1


@pytest.mark.parametrize("name, content", [
    ("list.tsv", "image\tlabel\tlexicon\n1.png\ta,b\ta,c\n2.png\tplain\n"),
    ("list.csv", 'image;label;lexicon\n1.png;a,b;a,c\n2.png;plain;\n'),
    ("list.jsonl", '{"image": "1.png", "label": "a,b", "lexicon": ["a", "c"]}\n'
                   '{"file_name": "2.png", "text": "plain"}')])
def test_only_a_name_says_that_there_is_a_lexicon(texts_of, name, content):
    assert texts_of(name, content)[:2] == (["a,b", "plain"], [["a", "c"], []])


@pytest.mark.parametrize("name, header", [
    ("list.csv", "filename,text,language"), ("list.csv", "text,filename"), ("list.tsv", "name\tlexicon"),
    ("list.txt", "name text lexicon")])
def test_other_columns_are_refused(texts_of, name, header):
    assert f"{name}, line 1" in texts_of(name, lines(header, "1.png,a,en"), status=1)[2]


def test_spaces_between_name_and_text(texts_of):
    rows = [f"{i}.png {text}" for i, text in enumerate(TEXTS, 1)]
    assert texts_of("labels.txt", lines(*rows))[0] == TEXTS
    assert texts_of("labels.txt", lines("image text", *rows))[0] == TEXTS


@pytest.mark.parametrize("name, content", [
    ("list.jsonl", '{"filename": "1.png", "text": "a"}\n\n{"img_path": "2.png", "label": "b, c"}\n'),
    ("labels.json", '{"1.png": "a", "2.png": "b, c"}'),
    ("labels.json", '{"metainfo": {}, "data_list": [{"img_path": "1.png", "instances": [{"text": "a"}]}, '
                    '{"img_path": "2.png", "instances": [{"text": "b, c"}]}]}'),
    ("labels.json", '[{"filename": "1.png", "text": "a"}, {"filename": "2.png", "text": "b, c"}]')])
def test_json(texts_of, name, content):
    assert texts_of(name, content)[0] == ["a", "b, c"]


@pytest.mark.parametrize("content, words", [
    ('{"1.png": "a", "1.png": "b"}', "'1.png' is there twice"), ("{", "is no JSON"), ("5", "expected {name: text"),
    ("[" * 100000, "is no JSON"), ('[{"name": "1.png", "file": "2.png", "text": "a"}]', "entry 1: expected one name"),
    ('[{"name": "1.png", "text": "a", "label": "b"}]', "entry 1: expected one name"),
    ('{"1.png": 5}', "expected a text"), ('[5]', "entry 1: expected"),
    ('[{"name": "1.png", "instances": [5]}]', "entry 1: expected")])
def test_json_that_says_two_things_or_nothing_is_refused(texts_of, content, words):
    assert words in texts_of("labels.json", content, status=1)[2]


@pytest.mark.parametrize("name, label", [
    ("list.txt", '1.png\t[{"transcription": "plain", "points": [[0,0],[9,0],[9,9],[0,9]]}]'),
    ("list.txt", "1.png\t[{'transcription': 'plain', 'points': [[0, 0], [9, 0]]}]"),
    ("list.txt", '1.png\t{"points": [1, 2]}'), ("list.tsv", "1.png\t[[0, 0], [9.5, 0], [9, 9], [0, 9]]"),
    ("list.txt", "1.png\t377,117,463,117,465,130,378,130,Genaxis Theatre"),
    ("list.txt", "1.png 10,20,80,40,0 5,5,9,9,1"),
    ("list.csv", "name,text\n1.png,0,0,9,0,9,9,0,9"), ("list.txt", "1.png 10,20,80,40"),
    ("list.txt", "377,117,463,117,465,130,378,130,Genaxis Theatre"),
    ("list.txt", "1.png 10 20 30 40 foo"), ("list.csv", "1.png;10 20 30 40"), ("list.txt", "1.png 0 0.5 0.5 0.2 0.1"),
    ("list.csv", '1.png,"POLYGON((1 2, 3 4, 5 6))"'), ("list.txt", "1.png\t[]"),
    ("list.jsonl", '{"filename": "1.png", "text": "a", "polygon": [0, 0, 9, 0, 9, 9]}'),
    ("list.jsonl", '{"filename": "1.png", "annotations": [{"bbox": [0, 0, 9, 9], "text": "a"}]}'),
    ("labels.json", '{"1.png": {"img_dimensions": [9, 9], "polygons": [[[0, 0], [9, 0], [9, 9], [0, 9]]]}}'),
    ("labels.json", '{"data_list": [{"img_path": "1.png", "instances": [{"text": "a"}, {"text": "b"}]}]}'),
    ("labels.json", '{"data_list": [{"img_path": "1.png", "instances": [{"text": "a", "bbox": [0, 0, 9, 9]}]}]}')])
def test_labels_for_detection_are_refused(texts_of, name, label):
    assert "crop the words first" in texts_of(name, label, status=1)[2]


def test_numbers_and_brackets_can_be_texts(texts_of):
    texts = ["1,200,300,400", "1,2,3,4", "01 42 68 53 00", "[1]", "(c)", "{x}", "[", "-5,000.00", "Point (A)"]
    assert texts_of("list.txt", lines(*[f"{i}.png\t{text}" for i, text in enumerate(texts, 1)]))[0] == texts


CHINESE = lines("1.png\t菜肴", "2.png\t你好")


@pytest.mark.parametrize("encoding, options", [
    ("utf-8", []), ("utf-8-sig", []), ("utf-16", []), ("gbk", ["--encoding", "gbk"]),
    ("gb18030", ["--encoding", "gbk"]), ("shift_jis", ["--encoding", "shift_jis"]),
    ("utf-16-le", ["--encoding", "utf-16-le"]), ("utf-16", ["--encoding", "latin-1"])])
@pytest.mark.parametrize("name", ["list.tsv", "list.json"])
def test_encodings(texts_of, name, encoding, options):
    texts = ["日本", "好"] if encoding == "shift_jis" else ["菜肴", "你好"]
    content = lines(*[f"{i}.png\t{text}" for i, text in enumerate(texts, 1)])
    if name == "list.json":
        content = f'{{"1.png": "{texts[0]}",\r\n"2.png": "{texts[1]}"}}'
    assert texts_of(name, content.encode(encoding), *options)[0] == texts
    if encoding == "utf-16":  # the other order of bytes
        assert texts_of(name, b"\xfe\xff" + content.encode("utf-16-be"))[0] == texts


@pytest.mark.parametrize("content, options", [
    (CHINESE.encode("gbk"), []), ("1.png\tУЛИЦА\n".encode("cp1251"), []), ("1.png\tカフェ\n".encode("shift_jis"), []),
    ("1.png\tCAFÉ\n".encode("latin-1"), []), (CHINESE.encode("utf-8"), ["--encoding", "ascii"]),
    (CHINESE.encode("utf-16")[:-1], []), (CHINESE.encode("utf-16-le"), []), (b"1.png\ta\0b\n", [])],
    ids=["gbk", "cp1251", "shift_jis", "latin-1", "ascii", "half a letter", "no mark", "NUL"])
@pytest.mark.parametrize("name", ["list.tsv", "list.csv", "list.jsonl", "list.json"])
def test_another_encoding_is_refused_with_its_line(texts_of, name, content, options):
    output = texts_of(name, content, *options, status=1)[2]
    assert f"{name}, line " in output and "--encoding" in output and "\0" not in output


def test_the_line_of_another_encoding_is_the_right_one(texts_of):
    output = texts_of("list.tsv", b"1.png\tok\r\n\r\n2.png\t\xb2\xcb\n", status=1)[2]
    assert "list.tsv, line 3: this is not UTF-8" in output


def test_an_encoding_must_be_one(data_dir):
    from create_folder_tfrecord import main
    for name in "klingon", "base64":
        with pytest.raises(SystemExit) as stopped:
            main(["--data_dir", str(data_dir), "--output_path", "x", "--list", "y", "--encoding", name])
        assert stopped.value.code == 2


@pytest.mark.parametrize("name, right", [
    ("easyocr_labels_unquoted_commas.csv", TEXTS), ("semicolon_excel_europe.csv", TEXTS), ("doctr_labels.json", TEXTS),
    ("trdg_name_format_2_space_separated.txt", TEXTS), ("bom_crlf_blank_lines.tsv", TEXTS),
    ("mmocr_union14m_filename_key.jsonl", ["Tel", "plain"]),
    ("utf16_from_powershell_or_excel.txt", ["菜肴", "你好", "plain"]),
    ("gbk_encoded.txt", None), ("ppocrlabel_detection_json.txt", None)])
def test_lists_of_reports(convert, name, right):
    folder = os.path.join(REPORTS, "lists")
    if not os.path.isdir(folder):
        pytest.skip("no ../shared/data/reports")
    samples, output = convert("folder", "--data_dir", os.path.join(folder, "images"), "--list",
                              os.path.join(folder, name), status=int(right is None))
    assert [sample.text for sample in samples] == (right or [])
    if name == "gbk_encoded.txt":
        samples, _ = convert("folder", "--data_dir", os.path.join(folder, "images"), "--list",
                             os.path.join(folder, name), "--encoding", "gbk")
        assert [sample.text for sample in samples] == ["菜肴", "你好", "plain"]


@pytest.mark.parametrize("name, content", [
    ("list.tsv", "1.png\ta\n2.png\tb\n1.png\tc\n1.png\ta\n"),
    ("list.csv", "name,text\n1.png,a\n2.png,b\n.\\1.png,c\n"),
    ("list.jsonl", '{"name": "1.png", "text": "a"}\n{"name": "2.png", "text": "b"}\n'
                   '{"name": "./1.png", "text": "c"}\n'),
    ("list.json", '{"1.png": "a", "2.png": "b", "./1.png": "c"}')])
def test_an_image_with_two_texts_is_left_out(texts_of, name, content):
    texts, _, output = texts_of(name, content)
    assert texts == ["b"] and "the list gives it more than one text: 'a' and 'c'" in output


def test_an_image_that_is_listed_twice_with_one_text_stays(texts_of):
    assert texts_of("list.tsv", "1.png\ta\n2.png\tb\n1.png\ta\n")[0] == ["a", "b", "a"]


@pytest.mark.parametrize("text, reason", [
    ("a\x1b[31mb", "its text has the control character U+001B"), ("a\u2028b", "U+2028"), ("a\x85b", "U+0085"),
    ("a\x0bb", "U+000B"), ("\u200b", "empty, but for characters that can't be seen"),
    ("\u200b \ufeff", "can't be seen")])
def test_a_text_that_no_image_can_show_is_left_out(texts_of, text, reason):
    texts, _, output = texts_of("list.tsv", f"1.png\t{text}\n2.png\tb\n3.png\tक्\u200dष\n")
    assert texts == ["b", "क्\u200dष"] and reason in output and "skipped 1.png" in output


def test_a_word_of_a_lexicon_with_a_tab_is_no_two_words(texts_of):
    texts, lexicons, output = texts_of("list.jsonl", '{"name": "1.png", "text": "a", "lexicon": ["a\\tb", "c"]}\n'
                                                     '{"name": "2.png", "text": "c", "lexicon": ["a b", "c"]}\n')
    assert texts == ["c"] and lexicons == [["a b", "c"]] and "a word of its lexicon has a tab" in output


@pytest.mark.parametrize("name, line", [("list.tsv", "\ta"), ("list.csv", ",a"), ("list.txt", "\ta")])
def test_a_line_without_a_name_is_named(texts_of, name, line):
    texts, _, output = texts_of(name, lines("1.png" + line[0] + "b", line))
    assert texts == ["b"] and f"{name}, line 2: expected name" in output


def test_names_in_quotes_of_csv(texts_of):
    content = lines('"1.png"\t"a"', '"2.png"\t"b"')
    assert "list.tsv, line 1: its quotes are those of CSV" in texts_of("list.tsv", content, status=1)[2]
    assert texts_of("list.csv", content)[0] == ["a", "b"]
