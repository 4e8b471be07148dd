"""ReadWords, Recognize and WriteTFRecord in pipelines of this process."""
import glob
import io
import os
import subprocess
import sys

import pytest
from beam_helpers import SAMPLES, beam, counts, pipeline, sample
from PIL import Image
from writing import put

from apache_beam.testing.util import assert_that, equal_to  # isort: skip

from aster import pretrained
from aster.beam import Broken, ReadWords, Recognize, Text, Word, WriteTFRecord
from aster.beam.recognize import _Read, _threads_per_process
from aster.data import example
from aster.data.records import find_record_files, read_records
from aster.reading.recognizer import Recognizer

PATTERN = os.path.join(SAMPLES, "*.jpg")


@pytest.fixture
def folder(tmp_path):
    """Two images that can be read, two broken ones, and a text file."""
    put(tmp_path, "images/exit.jpg", sample("1_exit.jpg"))
    put(tmp_path, "images/market.jpg", sample("2_Market.jpg"))
    put(tmp_path, "images/cut.jpg", sample("3_LIBRARY.jpg")[:1500])
    put(tmp_path, "images/empty.png", "")
    put(tmp_path, "images/notes.txt", "no image")
    return tmp_path


def records(pattern):
    """{filename: Sample} of TFRecord files."""
    found = [example.parse(record.payload) for path in find_record_files(str(pattern)) for record in read_records(path)]
    assert len({each.filename for each in found}) == len(found)
    return {each.filename: each for each in found}


def listed(folder, lines, pattern="images/*"):
    """A pattern and the list of its images."""
    return os.path.join(str(folder), pattern), put(folder, "labels.tsv", "".join(line + "\n" for line in lines))


def test_readings_are_those_of_the_recognizer():
    paths = sorted(glob.glob(PATTERN))
    with Recognizer.from_experiment() as recognizer:
        readings = list(recognizer.recognize(paths))
    expected = [Text(path, reading.text, round(reading.score, 2), reading.doubtful, reading.hint)
                for path, reading in zip(paths, readings)]
    with pipeline() as p:
        read = p | beam.Create([PATTERN]) | ReadWords() | Recognize(batch_size=3)
        rounded = read.texts | beam.Map(lambda text: text._replace(score=round(text.score, 2)))
        assert_that(rounded, equal_to(expected))
        assert_that(read.broken, equal_to([]), label="broken")


def test_broken_images_have_an_output_and_are_counted(folder):
    made = pipeline()
    with made as p:
        read = p | beam.Create([str(folder / "images")]) | ReadWords() | Recognize()
        assert_that(read.texts | beam.Map(lambda text: text.text), equal_to(["exit", "market"]))
        reasons = read.broken | beam.Map(lambda image: (os.path.basename(image.name), image.reason.split(":")[0]))
        assert_that(reasons, equal_to([("cut.jpg", "the image is damaged"),
                                       ("empty.png", "the image is empty (0 bytes)")]), label="broken")
    assert counts(made) == {"read": 2, "broken": 2, "passed_over": 1}


def test_words_of_your_own():
    word = Word("mine", sample("1_exit.jpg"))
    with pipeline() as p:
        read = p | beam.Create([word, word._replace(name="gone", error="lost")]) | Recognize()
        assert_that(read.texts | beam.Map(lambda text: (text.name, text.text)), equal_to([("mine", "exit")]))
        assert_that(read.broken, equal_to([Broken("gone", "lost")]), label="broken")


def test_each_worker_looks_up_a_name_in_its_own_library(monkeypatch, folder):
    named, of_folder = Recognize("english"), Recognize(os.path.relpath(str(folder)))
    monkeypatch.setattr(pretrained, "FOLDER", str(folder))  # there the library is elsewhere
    assert named._model == "english" and of_folder._model == str(folder)
    with pytest.raises(ValueError, match="no pretrained model is named 'english'; there are: none"):
        _Read("english", None, None)._load()


def test_a_process_loads_the_model_once(monkeypatch):
    loaded, load = [], Recognizer.from_experiment
    monkeypatch.setattr(Recognizer, "from_experiment", lambda *given: loaded.append(given) or load(*given))
    with pipeline("--direct_running_mode", "multi_threading", "--direct_num_workers", "3") as p:
        patterns = p | beam.Create([PATTERN] * 20) | beam.Reshuffle()
        read = patterns | ReadWords() | Recognize(batch_size=8)
        assert_that(read.texts | beam.combiners.Count.Globally(), equal_to([160]))
    assert len(loaded) == 1


@pytest.mark.parametrize("options, threads", [
    ([], None), (["--direct_num_workers", "2"], None), (["--runner", "DataflowRunner"], 1),
    (["--direct_running_mode", "multi_processing"], 4),
    (["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"], 2),
    (["--direct_running_mode", "multi_processing", "--direct_num_workers", "0"], 1),
    (["--direct_running_mode", "multi_processing", "--direct_num_workers", "9"], 1)])
def test_local_processes_share_the_cores(monkeypatch, options, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert _threads_per_process(beam.options.pipeline_options.PipelineOptions(options)) == threads


def test_tensorflow_and_the_recognizer_keep_to_the_threads():
    code = ("from aster.beam import quiet; quiet.start_tensorflow(1); from aster.reading.batches import BatchSplitter; "
            "import os; print(BatchSplitter(list).pool._max_workers, os.environ['TF_NUM_INTEROP_THREADS'])")
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"1 1\n"


@pytest.mark.parametrize("num_shards", [1, 3])
def test_records_are_those_that_training_reads(folder, num_shards):
    pattern, labels = listed(folder, ["exit.jpg\tEXIT", "market.jpg\tMarkt ü", "cut.jpg\tx", "none.jpg\ty", "x.png\t"])
    path, made = str(folder / "out" / "words.tfrecord"), pipeline()
    with made as p:
        written = p | beam.Create([pattern]) | ReadWords(labels) | WriteTFRecord(path, num_shards)
        names = written.broken | beam.Map(lambda image: image.name)
        assert_that(names, equal_to(["cut.jpg", "none.jpg", labels + ", line 5"]))
    found = records(path + "*")
    assert found["exit.jpg"] == example.Sample(sample("1_exit.jpg"), "EXIT", (), None, "exit.jpg")
    assert found["market.jpg"].text == "Markt ü" and len(found) == 2
    assert counts(made) == {"written": 2, "broken": 3}
    assert set(os.listdir(str(folder / "out"))) == {os.path.basename(name) for name in find_record_files(path + "*")}


def test_another_run_replaces_all_shards(folder):
    path = str(folder / "words.tfrecord")

    def write(lines):
        pattern, labels = listed(folder, lines)
        with pipeline() as p:
            _ = p | beam.Create([pattern]) | ReadWords(labels) | WriteTFRecord(path, 4)
        return records(path + "-*"), sorted(name for name in os.listdir(str(folder)) if name.startswith("words"))
    lines = ["exit.jpg\tone", "market.jpg\ttwo"]
    first, second = write(lines), write(lines)
    assert str(first) == str(second)
    third, names = write(["exit.jpg\tthree"])
    assert [each.text for each in third.values()] == ["three"]
    assert len(names) == 1


def test_a_run_that_fails_leaves_the_shards_of_the_one_before(folder):
    path = str(folder / "words.tfrecord")
    pattern, labels = listed(folder, ["exit.jpg\tone"])
    with pipeline() as p:
        _ = p | beam.Create([pattern]) | ReadWords(labels) | WriteTFRecord(path)

    def fail(word):
        if word.name == "market.jpg":
            raise OSError("lost")
        return word
    pattern, labels = listed(folder, ["exit.jpg\ttwo", "market.jpg\ttwo"])
    with pytest.raises(Exception, match="lost"), pipeline() as p:
        _ = p | beam.Create([pattern]) | ReadWords(labels) | beam.Map(fail) | WriteTFRecord(path)
    assert [each.text for each in records(path).values()] == ["one"]


def test_a_photo_is_turned_as_the_folder_converter_turns_it(folder):
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(stream, "JPEG", exif=exif)
    put(folder, "images/turned.jpg", stream.getvalue())
    pattern, labels = listed(folder, ["turned.jpg\tx"])
    path = str(folder / "words.tfrecord")
    with pipeline() as p:
        _ = p | beam.Create([pattern]) | ReadWords(labels) | WriteTFRecord(path)
    with Image.open(io.BytesIO(records(path)["turned.jpg"].encoded)) as image:
        assert image.size == (20, 40)


def test_names_lead_to_no_other_folder(folder):
    put(folder, "secret.jpg", sample("1_exit.jpg"))
    os.symlink(str(folder / "secret.jpg"), str(folder / "images" / "link.jpg"))
    outside = ["../secret.jpg", str(folder / "secret.jpg"), "link.jpg"]
    pattern, labels = listed(folder, [name + "\tx" for name in ["exit.jpg", *outside]], "images/**")
    with pipeline() as p:
        words = p | beam.Create([pattern]) | ReadWords(labels)
        refused = [(name, False, "names a file outside of the pattern's folder") for name in outside]
        assert_that(words | beam.Map(lambda word: (word.name, bool(word.image), word.error)),
                    equal_to([("exit.jpg", True, None), *refused]))


def test_words_without_text_are_no_records(folder):
    with pipeline() as p:
        written = p | beam.Create([Word("a", sample("1_exit.jpg")), Word("b", sample("1_exit.jpg"), "\u200b")]) \
            | WriteTFRecord(str(folder / "words.tfrecord"))
        assert_that(written.broken, equal_to([
            Broken("a", "it has no text"), Broken("b", "its text is empty, but for characters that can't be seen")]))
        assert_that(written.paths, equal_to([]), label="paths")
    assert not [name for name in os.listdir(str(folder)) if name.startswith("words")]


def test_names_that_are_no_utf8_and_links_to_nothing(folder):
    put(folder, "images/\udcff.jpg", sample("1_exit.jpg"))
    os.symlink("nowhere", str(folder / "images" / "gone.jpg"))
    os.symlink("loop.jpg", str(folder / "images" / "loop.jpg"))
    gone, loop = (("gone.jpg", "No such file or directory"), ("loop.jpg", "Too many levels of symbolic links"))
    made = pipeline()
    with made as p:
        read = p | beam.Create([str(folder / "images" / "[!ce]*")]) | ReadWords() | Recognize()
        assert_that(read.texts | beam.Map(lambda text: (os.path.basename(text.name), text.text)),
                    equal_to([("\\udcff.jpg", "exit"), ("market.jpg", "market")]))
        broken = read.broken | beam.Map(lambda image: (os.path.basename(image.name), image.reason))
        assert_that(broken, equal_to([gone, loop]), label="broken")
    assert counts(made) == {"read": 2, "broken": 2, "passed_over": 1}
    labels = put(folder, "labels.json",
                 '{"\\udcff.jpg": "x", "\\ud800.jpg": "x", "exit.jpg": "\\udcff", "loop.jpg": "x"}')
    with pipeline() as p:
        words = p | beam.Create([str(folder / "images" / "*")]) | ReadWords(labels)
        written = words | WriteTFRecord(str(folder / "words.tfrecord"))
        assert_that(written.broken, equal_to([
            Broken("\\ud800.jpg", "no file can have this name"), Broken(*loop),
            Broken("exit.jpg", "its text has half a character (a surrogate), which UTF-8 lacks")]))
    assert list(records(folder / "words.tfrecord")) == ["\\udcff.jpg"]


def test_folders_of_the_user_are_never_deleted(folder):
    put(folder, "work/mine", "")
    for number in range(3):
        put(folder, f"words-0000{number}-of-00004/mine", "")
    pattern, labels = listed(folder, ["exit.jpg\tone"])
    with pytest.raises(Exception, match="it is a folder.*words-00000-of-00004"), pipeline() as p:
        _ = p | beam.Create([pattern]) | ReadWords(labels) | WriteTFRecord(
            str(folder / "words"), 4, temporary=str(folder / "work"))
    assert all(os.path.isfile(str(folder / f"words-0000{number}-of-00004" / "mine")) for number in range(3))
    with pipeline() as p:
        _ = p | beam.Create([pattern]) | ReadWords(labels) | WriteTFRecord(
            str(folder / "words.tfrecord"), temporary=str(folder / "work"))
    assert os.path.isfile(str(folder / "work" / "mine")) and len(records(folder / "words.tfrecord")) == 1


@pytest.mark.parametrize("pattern", ["*.gif", "nowhere/*", "none.jpg"])
def test_a_pattern_that_matches_nothing_is_an_error(folder, pattern):
    with pytest.raises(Exception, match="no file matches"), pipeline() as p:
        _ = p | beam.Create([str(folder / pattern)]) | ReadWords()


@pytest.mark.parametrize("make", [lambda: Recognize(batch_size=0), lambda: WriteTFRecord("x", 0)])
def test_wrong_arguments_are_refused_at_once(make):
    with pytest.raises(ValueError, match="must be 1 or more, not 0"):
        make()
