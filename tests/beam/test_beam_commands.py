"""python -m aster.beam recognize and convert, as processes."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from beam_helpers import SAMPLES, sample
from writing import put

from aster import demo
from aster.data import example
from aster.data.records import find_record_files, read_records
from aster.pretrained import ENGLISH

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IN_PROCESS = "--direct_running_mode", "in_memory"  # starts faster


def call(*words, status=0, cwd=ROOT):
    done = subprocess.run([sys.executable, "-m", "aster.beam"] + [str(word) for word in words], cwd=str(cwd),
                          universal_newlines=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                          env=dict(os.environ, PYTHONPATH=ROOT))
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def lines_of(path):
    with open(str(path), encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.fixture
def folder(tmp_path):
    for name in os.listdir(SAMPLES):
        put(tmp_path, "images/" + name, sample(name))
    put(tmp_path, "images/cut.jpg", sample("3_LIBRARY.jpg")[:1500])
    return tmp_path


def test_several_processes_read(folder):
    for i in range(70):
        put(folder, f"images/exit_{i}.jpg", sample("1_exit.jpg"))
    out, error = call("recognize", "--input", "images/*", "--output", "texts", "--num_shards", "2", "--runner",
                      "DirectRunner", "--direct_num_workers", "2", status=1, cwd=folder)
    assert out == "78 images read, 1 broken: texts.broken.jsonl\n" and error == ""
    texts = lines_of(folder / "texts-00000-of-00002.jsonl") + lines_of(folder / "texts-00001-of-00002.jsonl")
    found = {line["path"]: line["text"] for line in texts}
    assert len(found) == 78 and found["images/6_HOTEL.jpg"] == "hotel" and found["images/exit_7.jpg"] == "exit"
    assert list(texts[0]) == demo._COLUMNS
    broken, = lines_of(folder / "texts.broken.jsonl")
    assert broken["path"] == "images/cut.jpg" and broken["error"].startswith("the image is damaged")
    assert sorted(os.listdir(str(folder))) == ["images", "texts-00000-of-00002.jsonl", "texts-00001-of-00002.jsonl",
                                               "texts.broken.jsonl"]


def test_another_run_replaces_the_files(folder):
    arguments = ("recognize", "--input", "images", "--output", "texts", *IN_PROCESS)
    put(folder, f"texts.part-0123456789ab-{socket.gethostname()}-{2 ** 22 + 1}/left", "by a process that was killed")
    put(folder, "texts.broken.jsonl", "{}\n")
    put(folder, "texts-00000-of-00001.jsonl", "{}\n")
    os.remove(str(folder / "images" / "cut.jpg"))
    out, _ = call(*arguments, cwd=folder)
    assert out == "8 images read, 0 broken\n" and len(lines_of(folder / "texts-00000-of-00001.jsonl")) == 8
    assert sorted(os.listdir(str(folder))) == ["images", "texts-00000-of-00001.jsonl"]
    for place in "texts", str(folder / "texts"):
        arguments = (*arguments[:4], place, "--num_shards", "2", *IN_PROCESS)
        _, error = call(*arguments, status=1, cwd=folder)
        assert error.startswith(f"error: {place}-00000-of-00001.jsonl: it exists, and is of a run with another --num")


@pytest.mark.parametrize("option, model", [("--exp_dir", "mine"), ("--model", "mine"), ("--model", "english")])
def test_a_name_or_a_folder(folder, option, model):
    """--model took folders before there was --exp_dir."""
    shutil.copytree(ENGLISH, str(folder / "mine"))
    out, _ = call("recognize", "--input", "images/1_exit.jpg", "--output", "texts", option, model, *IN_PROCESS,
                  cwd=folder)
    assert out == "1 images read, 0 broken\n" and lines_of(folder / "texts-00000-of-00001.jsonl")[0]["text"] == "exit"


def test_several_processes_convert(folder):
    put(folder, "labels.csv", "filename,text\n1_exit.jpg,exit\n2_Market.jpg,Market\ncut.jpg,cut\nother/x.jpg,x\n")
    out, error = call("convert", "--input", "images/*", "--list", "labels.csv", "--output_path", "data/words.tfrecord",
                      "--num_shards", "2", "--direct_num_workers", "2", cwd=folder)
    assert out == "data/words.tfrecord: 2 words written, 1 broken: data/words.tfrecord.broken.jsonl\n"
    assert error == "passed over 1 of the entries of labels.csv: names that --input does not match\n"
    paths = find_record_files(str(folder / "data" / "words.tfrecord-*"))
    texts = [example.parse(record.payload).text for path in paths for record in read_records(path)]
    assert sorted(texts) == ["Market", "exit"]
    assert lines_of(folder / "data" / "words.tfrecord.broken.jsonl")[0]["path"] == "cut.jpg"


@pytest.mark.parametrize("arguments, status, message", [
    ("recognize --input images/*.gif --output texts", 1, "error: images/*.gif: no file matches"),
    ("recognize --input lab*.tsv --output texts", 1, "error: lab*.tsv: no image there"),
    ("recognize --input images --output texts --model nowhere", 1, "nowhere: no such experiment folder"),
    ("recognize --input images --output texts --exp_dir nowhere", 1, "nowhere: no such experiment folder"),
    ("recognize --input images --output texts --model englsh", 1, "(did you mean english?); there are: english"),
    ("recognize --input images --output texts --model english --exp_dir images", 2, "not allowed with argument"),
    ("recognize --input images --output texts --batch_sise 3", 2, "has the option --batch_sise"),
    ("recognize --input images/a.jpg images/b.jpg --output texts", 2, "Put the pattern of --input in quotes"),
    ("recognize --input images --output texts --batch_size 0", 2, "--batch_size must be 1 or more"),
    ("recognize --input  --output texts", 2, "--input is empty"),
    ("recognize --input images --output texts --direct_num_workers -1", 2, "--direct_num_workers must be 1 or more"),
    ("recognize --input images --output texts --runner PortableRunner", 1, "error: Apache Beam: You must"),
    ("recognize --input images/\udcff.jpg --output texts", 2, "--input images/\\udcff.jpg is not UTF-8"),
    ("convert --input images --list none.tsv --output_path words", 1, "error: --list none.tsv: no such file"),
    ("convert --input images --list labels.tsv --output_path labels.tsv", 1, "is no TFRecord file"),
    ("convert --input images --list labels.tsv --output_path words", 1, "no entry of labels.tsv gave a word")])
def test_what_is_wrong_is_said_in_a_line(folder, arguments, status, message):
    put(folder, "labels.tsv", "cut.jpg\tx\n")
    out, error = call(*arguments.split(" "), *IN_PROCESS, status=status, cwd=folder)
    assert out == "" and message in error.splitlines()[-1]
    assert not [name for name in os.listdir(str(folder)) if name.startswith(("texts", "words-"))]
    with open(str(folder / "labels.tsv")) as stream:
        assert stream.read() == "cut.jpg\tx\n"


def test_an_error_of_a_worker_is_a_line(folder):
    put(folder, "labels.tsv", "1_exit.jpg\tx\n")
    os.makedirs(str(folder / "words.tfrecord"))
    _, error = call("convert", "--input", "images/*", "--list", "labels.tsv", "--output_path", "words.tfrecord",
                    status=1, cwd=folder)
    assert error.startswith("error: ") and "words.tfrecord" in error and len(error.splitlines()) == 1
    assert sorted(os.listdir(str(folder))) == ["images", "labels.tsv", "words.tfrecord"]


def test_folders_of_the_user_stay(folder):
    dead, host = 2 ** 22 + 1, socket.gethostname()
    names = [f"w.part-2024-{dead}", f"w.part-0123-{host}-{dead}", f"w.part-0123456789ab-{dead}",
             f"w.part-0123456789ab-other-{dead}", f"w.part-0123456789ab-{host}-{os.getpid()}", "w.broken.jsonl"]
    for name in names:
        put(folder, name + "/mine", "")
    put(folder, "labels.tsv", "1_exit.jpg\texit\n")
    arguments = ("convert", "--input", "images/*", "--list", "labels.tsv", "--output_path", "w", *IN_PROCESS)
    _, error = call(*arguments, status=1, cwd=folder)
    assert error.startswith("error: w.broken.jsonl: can't be written: it is a folder")
    os.rename(str(folder / "w.broken.jsonl"), str(folder / "moved"))
    call(*arguments, cwd=folder)
    assert all(os.path.isfile(str(folder / name / "mine")) for name in [*names[:-1], "moved"])


def test_texts_of_another_run_go_where_all_images_are_broken(folder):
    put(folder, "texts-00000-of-00001.jsonl", "{}\n")
    out, _ = call("recognize", "--input", "images/cut.jpg", "--output", "texts", *IN_PROCESS, status=1, cwd=folder)
    assert out == "0 images read, 1 broken: texts.broken.jsonl\n"
    assert sorted(os.listdir(str(folder))) == ["images", "texts.broken.jsonl"]


def twice(process, _):
    for _ in range(2):
        os.killpg(process, signal.SIGINT)
        time.sleep(0.3)


@pytest.mark.parametrize("stop, status, message", [
    (lambda _, worker: os.kill(worker, signal.SIGKILL), 1, "error: a worker process ended before its work"),
    (twice, 130, "interrupted")])
def test_what_stops_a_run_is_said_in_a_line(folder, stop, status, message):
    words = ["recognize", "--input", "images", "--output", "texts", "--direct_num_workers", "2"]
    process = subprocess.Popen([sys.executable, "-m", "aster.beam", *words], cwd=str(folder), stderr=subprocess.PIPE,
                               env=dict(os.environ, PYTHONPATH=ROOT), universal_newlines=True, start_new_session=True)
    try:
        stop(process.pid, worker_at_work(process))
        error = process.communicate(timeout=60)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == status and error.startswith(message) and len(error.splitlines()) == 1, error
    assert not [name for name in os.listdir(str(folder)) if name.startswith("texts-")]


def worker_at_work(process):
    """Waits until a worker process loads TensorFlow. -> its process ID"""
    while process.poll() is None:
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{name}/maps") as stream:
                if os.getsid(int(name)) == process.pid != int(name) and "libtensorflow" in stream.read():
                    return int(name)
        time.sleep(0.1)
    raise AssertionError(process.communicate()[1])
