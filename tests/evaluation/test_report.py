"""The benchmark report: intervals and tests against known values, and the whole way from records to a page."""
import csv
import json
import os
import re
import shutil
import sys

import pytest
from experiment import WORDS, draw_word, make_experiment

from aster import checkpoint, command
from aster import eval as eval_command
from aster.compat import tf
from aster.config import read_config
from aster.data.example import Sample, serialize
from aster.data.records import find_record_files
from aster.evaluation import evaluator, page, report, tables
from aster.evaluation.comparison import compare, mcnemar
from aster.evaluation.metrics import align, wilson
from aster.reading.nearest_word import edit_distance
from aster.training.loop import train


def test_wilson_interval():
    # Wilson 1927, by the closed formula worked out by hand for 15 of 20
    low, high = wilson(15, 20)
    assert abs(low - 0.5313) < 1e-4 and abs(high - 0.8881) < 1e-4
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == pytest.approx(1.0)
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("first, second, expected", [
    (0, 0, 1.0), (5, 5, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (8, 2, 0.109375), (0, 10, 2 / 1024.0)])
def test_mcnemar(first, second, expected):
    assert mcnemar(first, second) == pytest.approx(expected)
    assert 0 < mcnemar(4000, 4200) < 0.05  # no overflow


@pytest.mark.parametrize("a, b", [("", ""), ("abc", "abc"), ("abc", ""), ("kitten", "sitting"), ("flaw", "lawn")])
def test_alignment(a, b):
    pairs = align(a, b)
    assert "".join(x for x, _ in pairs) == a and "".join(y for _, y in pairs) == b
    assert sum(x != y for x, y in pairs) == edit_distance(a, b)


def test_find_data_sets(tmp_path):
    for name in ("svt.tfrecord", "big.tfrecord-00000-of-00002", "big.tfrecord-00001-of-00002", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = report.find_data_sets([str(tmp_path)])
    assert [data_set.name for data_set in found] == ["big", "svt"]
    assert found[0].pattern.endswith("big.tfrecord-?????-of-00002")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no .tfrecord file"):
        report.find_data_sets([str(tmp_path / "empty")])


def test_data_sets_are_those_of_the_working_directory(tmp_path, monkeypatch):
    """Not those of the same name in the experiment folder, where paths of a configuration are looked up first."""
    (tmp_path / "words.tfrecord").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    data_set, = report.find_data_sets(["words.tfrecord"])
    assert (data_set.name, data_set.pattern) == ("words", str(tmp_path / "words.tfrecord"))


@pytest.mark.parametrize("name", ["a[1]", "a,b", "a*", "a?\\", "a b ", "\u00e9\u6f22", "a%s{0}", "it's \"a\"", "a\nb"])
def test_shards_in_a_folder_of_any_name(tmp_path, name):
    for folder in name, "a1", "a":
        (tmp_path / folder).mkdir()
        for i in range(2):
            with tf.python_io.TFRecordWriter(str(tmp_path / folder / f"x.tfrecord-{i:05d}-of-00002")) as writer:
                writer.write(serialize(Sample(draw_word("x"), folder)))
    data_set, = report.find_data_sets([str(tmp_path / name)])
    assert data_set.name == "x"
    for pattern in data_set.pattern, os.path.join(str(tmp_path), name, "x*-of-*"), os.path.join(name, "x*"):
        paths = find_record_files(pattern, str(tmp_path))
        assert paths == [str(tmp_path / name / f"x.tfrecord-{i:05d}-of-00002") for i in range(2)]


def test_subsets_are_named():
    words = [report.Word(truth, "", 0.0, False, "", 0, None) for truth in ("a-b", "abc", "x", "longer")]
    rows = report.rows(report.Result("E", "ic13_test", tuple(words), (), 0))
    assert [(row.subset, row.count) for row in rows] == [("all", 4), ("alphanumeric", 3),
                                                         ("alphanumeric, 3 or longer", 2)]
    assert [row.paper for row in rows] == [0.918, None, None] and rows[0].accuracy == 0.0
    assert tables.paper_text(rows[0]) == "91.8 (1015 words)" and tables.paper_text(rows[1]) == ""


@pytest.mark.parametrize("name, paper", [("svt_test", 0.895), ("svt_train", None), ("own", None),
                                         ("svt_perspective_test", 0.785), ("iiit5k_test", 0.934),
                                         ("iiit5k_train", None), ("cute80", 0.795), ("SVT", 0.895), ("SVTP", 0.785),
                                         ("IIIT5k_3000", 0.934), ("IIIT5K-Words", 0.934), ("ic15_2077", 0.761),
                                         ("/a/svt.tfrecord", 0.895), ("icdar2013_test", 0.918), ("iiit5k_50", 0.934),
                                         ("my_svt_crops", None), ("svt_rotated", None), ("svtrain", None),
                                         ("not_ic15", None), ("ic150", None), ("persecutes", None), ("cute_cats", None),
                                         ("perspective", None), ("svt2", None), ("ic13_blurred_test", None)])
def test_published_figures_stand_beside_their_sets(name, paper):
    word = report.Word("a", "a", 0.0, True, "", 0, None)
    assert report.rows(report.Result("E", name, (word,), (), 0))[0].paper == paper


def test_the_figure_of_ic15_is_of_1811_words():
    words = (report.Word("a", "a", 0.0, True, "", 0, None),) * 1811 + (report.Word("a-b", "", 0.0, False, "", 0, None),)
    assert [(row.count, row.paper) for row in report.rows(report.Result("E", "ic15", words, (), 0))] == [
        (1812, None), (1811, 0.761)]


def test_each_row_names_its_protocol():
    words = tuple(report.Word(truth, text, 0.0, None, "", 0, None) for truth, text in [
        ("Ab!", "ab"), ("---", "x"), ("caf\u00e9", "caf"), ("Xy", "Xy")])
    table = report.rows(report.Result("E", "svt", words, (), 0), ["benchmark", "exact", "case_insensitive"])
    assert [(row.protocol, row.count, row.empty_truths, round(row.accuracy, 4)) for row in table
            if row.subset == "all"] == [("benchmark", 3, 1, 0.6667), ("exact", 4, 0, 0.25),
                                        ("case_insensitive", 4, 0, 0.25)]
    assert [row.paper for row in table if row.subset == "all"] == [0.895, None, None]
    text = tables.markdown(table)
    assert "| 3 (1 left out) | none | benchmark | 66.7 |" in text and "| 4 | none | exact | 25.0 |" in text
    for said in "benchmark: ", "exact: ", "case_insensitive: ", "are left out", "CER", "1-NED":
        assert said in tables.protocol(table)
    assert "letters: " not in tables.protocol(table)
    assert "are left out" not in tables.protocol(table[-1:]) and "benchmark" not in tables.protocol(table[-1:])


def test_a_row_without_a_word():
    words = (report.Word("---", "x", 0.0, None, "", 0, None),)
    result = report.Result("E", "own", words, (), 0)
    table = report.rows(result)
    assert (table[0].count, table[0].empty_truths, table[0].accuracy) == (0, 1, None)
    assert "| 0 (1 left out) | none | benchmark |  |" in tables.markdown(table)
    assert json.loads(tables.json_table(table))["rows"][0]["accuracy"] is None
    assert "0 (1 left out)" in page.render([result], table, [compare(result, result)])
    assert sum(compare(result, result)[3:7]) == 0


def test_rows_say_that_words_are_preferred():
    word = report.Word("a", "a", 0.0, True, "", 0, None)
    row, = report.rows(report.Result("E", "svt_test", (word,), (), 0, preferred_words=7))
    assert (row.lexicon, row.paper) == ("none, 7 words preferred", 0.895)


def test_published_figures_stand_beside_their_subsets():
    words = [report.Word(truth, "", 0.0, False, "", 2, "") for truth in ["a-b"] * 80 + ["abc"] * 1015]
    rows = report.rows(report.Result("E", "ic13", tuple(words), (), 0))
    assert [(row.count, row.lexicon, row.paper) for row in rows] == [
        (1095, "none", None), (1095, "2 words", None), (1015, "none", 0.918), (1015, "2 words", None)]


def test_the_protocol_says_only_what_was_measured():
    word = report.Word("a", "a", 0.0, True, "", 0, None)

    def texts(name, word=word, preferred_words=0):
        table = report.rows(report.Result("E", name, (word,), (), 0, preferred_words))
        return tables.protocol(table), tables.markdown(table).splitlines()[0]
    protocol, head = texts("own")
    assert not any(name in protocol for name in ("lexicon", "preferred", "paper", "PAMI")) and "paper" not in head
    protocol, head = texts("svt_test")
    assert "PAMI" in protocol and head.endswith("| paper |") and "preferred" not in protocol
    assert "word list" in texts("own", preferred_words=7)[0]
    assert "nearest word" in texts("own", word._replace(lexicon_size=3, corrected="a"))[0]


def test_a_table_without_a_paper_has_no_column_for_it():
    word = report.Word("a", "a", 0.0, True, "", 0, None)
    table = report.rows(report.Result("E", "own", (word,), (), 0))
    lines = tables.markdown(table).splitlines()[:3]
    assert lines[2] == "| E | own | all | 1 | none | benchmark | 100.0 | 20.7 to 100.0 | 0.0000 | 0.0000 |"
    assert {line.count("|") for line in lines} == {11}
    assert "95 % interval" in page.render([], table, []) and "paper" not in page.render([], table, [])


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """Two that differ in their training."""
    folders = []
    for steps in 2, 40:
        folder = make_experiment(tmp_path_factory.mktemp(f"experiment{steps}"), num_steps=steps)
        train(read_config(folder), folder, clone_on_cpu=True)
        folders.append(folder)
    return folders


def test_the_whole_report(experiments, tmp_path, monkeypatch, capsys):
    data = tmp_path / "sets"
    data.mkdir()
    for name, lexicon in ("plain", ()), ("svt_test", ("one", "two", "zebra")):
        with tf.python_io.TFRecordWriter(str(data / (name + ".tfrecord"))) as writer:
            for word in WORDS + ["<b>&"]:
                writer.write(serialize(Sample(draw_word(word), word, lexicon, filename=word + ".jpg")))
    output = str(tmp_path / "out")
    monkeypatch.setattr(sys, "argv", ["eval", "--exp_dir", experiments[0], "--compare", experiments[1], "--datasets",
                                      str(data), "--report", output])
    eval_command.main()
    text = capsys.readouterr().out[:-1]
    with open(os.path.join(output, "report.json")) as stream:
        written = json.load(stream)
    with open(os.path.join(output, "report.csv")) as stream:
        lines = list(csv.DictReader(stream))
    assert len(written["rows"]) == len(lines) == 18  # 2 models x (3 subsets + 3 subsets x 2 lexicons)
    assert {row["lexicon"] for row in written["rows"]} == {"none", "3 words"}
    assert [pair["data_set"] for pair in written["comparisons"]] == ["plain", "svt_test"]
    for pair in written["comparisons"]:
        assert pair["both"] + pair["only_first"] + pair["only_second"] + pair["neither"] == len(WORDS) + 1
    for line in lines:
        assert float(line["low"]) <= float(line["accuracy"]) <= float(line["high"])
    with open(os.path.join(output, "report.md")) as stream:
        assert stream.read() == text and "89.5" in text
    with open(os.path.join(output, "report.html"), encoding="utf-8") as stream:
        html = stream.read()
    assert "<b>&" not in html and "&lt;b&gt;&amp;" in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)  # it needs nothing else
    assert html.count("<figure>") >= len(WORDS)


def test_models_that_read_other_words_are_not_compared():
    word = report.Word("a", "a", 0.0, True, "", 0, None)
    first, second = (report.Result(name, "set", (word._replace(truth=name),), (), 0) for name in "ab")
    with pytest.raises(ValueError, match="same words"):
        compare(first, second)


def test_a_missing_checkpoint(tmp_path):
    folder = make_experiment(tmp_path)
    with pytest.raises(checkpoint.CheckpointError):
        list(page.make_report([folder], [read_config(folder)], []))


@pytest.fixture
def run_report(experiments, tmp_path, monkeypatch):
    """A function that runs eval with a report in tmp_path/out, and returns what ended it."""
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["eval", "--exp_dir", experiments[0], "--report", str(tmp_path / "out")]
                            + [str(argument) for argument in arguments])
        with pytest.raises(SystemExit) as stop:
            command.run(eval_command.main)
        return stop.value.code
    return run


def test_all_inputs_are_looked_at_before_the_first_is_read(experiments, tmp_path, monkeypatch, run_report):
    def read(*_, **__):
        raise AssertionError("it reads a data set")
    monkeypatch.setattr(report, "evaluate_data_set", read)
    good = os.path.join(experiments[0], "data", "words.tfrecord")
    (tmp_path / "empty.tfrecord").write_bytes(b"")
    (tmp_path / "other.tfrecord").write_bytes(b"no records at all, but some bytes")
    untrained = make_experiment(tmp_path / "untrained")
    for arguments, name in [(("--datasets", good, tmp_path / "typo.tfrecord"), "typo.tfrecord"),
                            (("--datasets", good, tmp_path / "empty.tfrecord"), "empty.tfrecord"),
                            (("--datasets", good, tmp_path / "other.tfrecord"), "other.tfrecord"),
                            (("--datasets", good, "--compare", untrained), untrained)]:
        assert name in run_report(*arguments)
    assert not (tmp_path / "out").exists()


def test_a_report_has_what_was_read_before_an_error(experiments, tmp_path, monkeypatch, run_report):
    evaluate = report.evaluate_data_set
    for name in "first", "second":
        shutil.copy(os.path.join(experiments[0], "data", "words.tfrecord"), str(tmp_path / (name + ".tfrecord")))

    def read(recognizer, experiment, data_set, **options):
        if data_set.name == "second":
            raise ValueError("the second is broken")
        return evaluate(recognizer, experiment, data_set, **options)
    monkeypatch.setattr(report, "evaluate_data_set", read)
    assert run_report("--datasets", tmp_path / "first.tfrecord", tmp_path / "second.tfrecord") == \
        "error: the second is broken"
    with open(str(tmp_path / "out" / "report.json")) as stream:
        assert {row["data_set"] for row in json.load(stream)["rows"]} == {"first"}


def test_a_picture_that_can_not_be_drawn_leaves_the_numbers(experiments, tmp_path, monkeypatch, caplog):
    """As of a text that is too long for Pillow."""
    def draw(*_, **__):
        raise ValueError("too many characters in string")
    for module in page, evaluator:
        monkeypatch.setattr(module, "draw_reading", draw)
    config = read_config(experiments[0], ["eval_config { num_visualizations: 3 }"])
    path = checkpoint.find_checkpoint(os.path.join(experiments[0], "log"))
    assert evaluator.evaluate(config, experiments[0], path)["count"] == len(WORDS)
    data_sets = report.find_data_sets([os.path.join(experiments[0], "data")])
    texts = dict(page.make_report([experiments[0]], [config], data_sets))
    assert "words" in texts["html"] and json.loads(texts["json"])["rows"]
    assert caplog.text.count("too many characters in string") >= 2
