"""Conversions that can't succeed as a whole: the status, what stays on the disk, and what is said."""
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from conversion_helpers import REPORTS, TOOLS, encoded, read
from writing import put

from aster.data.records import find_record_files


def put_words(data_dir, count, missing=()):
    put(data_dir, "list.tsv", "".join(f"{i}.png\ttext{i}\n" for i in range(count)))
    for i in range(count):
        if i not in missing:
            put(data_dir, f"{i}.png", encoded(seed=i))


@pytest.mark.parametrize("shards", ["1", "2"])
@pytest.mark.parametrize("old", [True, False])
def test_no_word_is_an_error_and_the_old_file_stays(convert, data_dir, shards, old):
    names = ["out.tfrecord"] if shards == "1" else [f"out.tfrecord-{i:05d}-of-00002" for i in range(2)]
    before = set()
    if old:
        put_words(data_dir, 3)
        convert("folder", "--list", "list.tsv", "--num_shards", shards)
        before = set(names)
    contents = [(data_dir.parent / name).read_bytes() for name in sorted(before)]
    put_words(data_dir, 0)
    put(data_dir, "list.tsv", "gone.png\ta\nlost.png\tb\n")
    last = convert("folder", "--list", "list.tsv", "--num_shards", shards, status=1)[1].splitlines()[-1]
    assert last.startswith("create_folder_tfrecord: none of the 2 items gave a word; 2 skipped: No such file in ")
    assert str(data_dir) in last and ("stays as it was" if old else "is not made") in last
    assert {path.name for path in data_dir.parent.iterdir() if path.name.startswith("out")} == before
    assert [(data_dir.parent / name).read_bytes() for name in sorted(before)] == contents


@pytest.mark.parametrize("missing, said", [((0, 1, 2), True), ((0, 1), False)])
def test_the_last_line_says_that_more_than_half_is_skipped(convert, data_dir, missing, said):
    put_words(data_dir, 4, missing)
    last = convert("folder", "--list", "list.tsv")[1].splitlines()[-1]
    assert f"{4 - len(missing)} words written from 4 items, {len(missing)} skipped" in last
    assert ("more than half" in last) == said


def test_a_shard_without_a_record_is_not_written(convert, data_dir):
    put_words(data_dir, 4)
    convert("folder", "--list", "list.tsv", "--num_shards", "2")
    shards = [data_dir.parent / f"out.tfrecord-{i:05d}-of-00002" for i in range(2)]
    assert all(path.exists() for path in shards)
    for i in 2, 3:
        os.remove(str(data_dir / f"{i}.png"))
    output = convert("folder", "--list", "list.tsv", "--num_shards", "2")[1]
    assert [path.exists() for path in shards] == [True, False]  # nor does the one of the earlier conversion stay
    assert "out.tfrecord-00001-of-00002 would have no word" in output
    assert find_record_files(str(data_dir.parent / "out.tfrecord-*")) == [str(shards[0])]


def test_a_pipe_is_not_read(convert, data_dir):
    put_words(data_dir, 2, missing=[1])
    os.mkfifo(str(data_dir / "1.png"))
    os.mkfifo(str(data_dir / "pipe.tsv"))
    samples, output = convert("folder", "--list", "list.tsv")
    assert [sample.text for sample in samples] == ["text0"] and "skipped 1.png: it is a folder, a pipe" in output
    for name in "pipe.tsv", "/dev/zero":
        if name == "/dev/zero":
            os.symlink(name, str(data_dir / "zero.tsv"))
            name = "zero.tsv"
        assert "it is a folder, a pipe or a device" in convert("folder", "--list", name, status=1)[1]


@pytest.mark.parametrize("name", ["list.tsv", "0.png", "notes.txt"])
def test_an_output_that_is_another_file_is_refused(convert, data_dir, name):
    put_words(data_dir, 2)
    put(data_dir, "notes.txt", "precious")
    before = (data_dir / name).read_bytes()
    os.symlink(str(data_dir), str(data_dir.parent / "link"))
    for path in data_dir / name, data_dir.parent / "link" / name:
        output = convert("folder", "--list", "list.tsv", "--output_path", str(path), status=1)[1]
        assert f"cannot write {path}: it exists and is no TFRecord file" in output
    assert (data_dir / name).read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGBUS, signal.SIGTERM])
def test_the_signal_that_ended_a_worker_is_named(convert, data_dir, monkeypatch, number):
    from conversion import sources
    put_words(data_dir, 2)

    def killed(folder, name):
        faulthandler.disable()  # pytest's; its report would look like a fault of the suite
        os.kill(os.getpid(), number)
    monkeypatch.setattr(sources, "read_file", killed)
    output = convert("folder", "--list", "list.tsv", "--num_workers", "2", status=1)[1]
    assert f"a worker process was ended by {number.name}" in output
    assert ("memory" in output) == (number == signal.SIGKILL)


def test_the_status_of_a_worker_is_named(convert, data_dir, monkeypatch):
    from conversion import sources
    put_words(data_dir, 2)
    monkeypatch.setattr(sources, "read_file", lambda folder, name: os._exit(3))
    assert "a worker process ended with status 3" in convert("folder", "--list", "list.tsv", "--num_workers", "2",
                                                             status=1)[1]


def test_workers_that_cannot_start(convert, data_dir, monkeypatch):
    put_words(data_dir, 200)
    forks, fork = [], os.fork

    def limited():
        if len(forks) == 2:
            raise OSError(11, "Resource temporarily unavailable")
        forks.append(True)
        return fork()
    monkeypatch.setattr(os, "fork", limited)
    output = convert("folder", "--list", "list.tsv", "--num_workers", "4", status=1)[1]
    assert "a worker process can't be started (Resource temporarily unavailable)" in output


def test_no_more_workers_than_chunks(convert, data_dir, monkeypatch):
    from conversion import workers
    put_words(data_dir, 130)  # of 64 words each
    numbers, start_pool = [], workers.start_pool
    monkeypatch.setattr(workers, "start_pool", lambda number: numbers.append(number) or start_pool(number))
    assert len(convert("folder", "--list", "list.tsv", "--num_workers", "100000")[0]) == 130
    assert numbers == [3]


def test_workers_without_work_end_with_a_killed_parent():
    code = """if True:
        import sys, time
        sys.path.append(sys.argv[1])
        from conversion import workers
        with workers.start_pool(4) as pool:
            list(workers.map_in_order(pool, time.sleep, [600], most=4))"""
    process = subprocess.Popen([sys.executable, "-c", code, TOOLS])
    children = wait_until(lambda: processes_of(process.pid), 4)
    time.sleep(0.5)  # they may still be starting
    process.kill()
    process.wait()
    assert wait_until(lambda: [child for child in children if is_running(child)], 0) == []


def processes_of(parent):
    def parent_of(process):
        with open(f"/proc/{process}/stat") as stream:
            return int(stream.read().rpartition(")")[2].split()[1])
    children = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            children += [int(name)] if parent_of(name) == parent else []
        except OSError:  # it has ended
            continue
    return children


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(look, count):
    until = time.time() + 60
    while len(look()) != count and time.time() < until:
        time.sleep(0.05)
    assert len(look()) == count
    return look()


def test_an_unexpected_error_is_one_line(convert, data_dir, monkeypatch):
    from conversion import labels
    put_words(data_dir, 1)
    monkeypatch.setattr(labels, "read", lambda *_: {}["a\nkey"])
    output = convert("folder", "--list", "list.tsv", status=1)[1]
    assert output.startswith(r"create_folder_tfrecord: unexpected KeyError: 'a\nkey' (at ") and output.count("\n") == 1


def test_control_characters_do_not_reach_the_terminal(convert, data_dir):
    put_words(data_dir, 1)
    put(data_dir, "list.tsv", "0.png\ta\n\x1b[2J.png\tb\n")
    output = convert("folder", "--list", "list.tsv")[1]
    assert r"skipped \x1b[2J.png: No such file in" in output and "\x1b" not in output


@pytest.fixture
def lmdb_folder(data_dir):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(data_dir), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"num-samples", b"20")
        for i in range(1, 21):
            transaction.put(b"image-%09d" % i, encoded(80, 40, seed=i))
            transaction.put(b"label-%09d" % i, b"text%d" % i)
    return data_dir


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_lmdb_that_is_cut_short(convert, lmdb_folder, workers):
    path = lmdb_folder / "data.mdb"
    whole = path.read_bytes()
    sizes = [len(whole) * 9 // 10, len(whole) // 2, 8192, len(whole) - 1, 8191]
    for size in sizes + [4096, 100, 0]:
        path.write_bytes(whole[:size])
        output = convert("lmdb", "--num_workers", workers, status=1)[1]
        if size in sizes:
            assert f"data.mdb ends after {size} of {len(whole)} bytes: {len(whole) - size} are missing" in output
        else:
            assert "is no LMDB" in output and "cut short" in output
    path.write_bytes(whole)
    assert len(convert("lmdb", "--num_workers", workers)[0]) == 20


def test_the_lmdb_of_reports(convert):
    folder = os.path.join(REPORTS, "lmdb_cut_in_half")
    if not os.path.isdir(folder):
        pytest.skip("no ../shared/data/reports")
    output = convert("lmdb", "--data_dir", folder, status=1)[1]
    assert "data.mdb ends after 81920 of 163840 bytes: 81920 are missing" in output


@pytest.mark.parametrize("tool, arguments", [
    ("inspect_tfrecord", ["{tfrecord}", "--sheet", "{folder}/sheet.png"]),
    ("extract_images", ["{tfrecord}", "{folder}", "2"])])
def test_a_full_disk_is_one_line_with_the_name_of_the_file(convert, data_dir, tmp_path, tool, arguments):
    put_words(data_dir, 2)
    convert("folder", "--list", "list.tsv")
    folder = tmp_path / "written"
    folder.mkdir()
    arguments = [argument.format(tfrecord=tmp_path / "out.tfrecord", folder=folder) for argument in arguments]
    done = subprocess.run([sys.executable, os.path.join(TOOLS, tool + ".py")] + arguments, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith(f"{tool}: cannot write {folder}")
    assert "File too large" in done.stderr and not list(folder.iterdir())


def test_a_list_of_a_published_set_may_be_latin_1_but_nothing_else(convert, data_dir):
    for i in range(1, 3):
        put(data_dir, f"word_{i}.png", encoded(seed=i))
    put(data_dir, "gt.txt", b'word_1.png, "CAF\xc9"\r\nword_2.png, "CAF\xc3\x89"\r\n')
    for name in "ic13", "ic15":
        samples, output = convert(name)
        assert [sample.text for sample in samples] == ["CAFÉ", "CAFÉ"] and "1 lines are not UTF-8" in output
    put(data_dir, "gt.txt", 'word_1.png, "菜肴"\r\n'.encode("gbk"))
    assert "gt.txt, line 1: this is not UTF-8" in convert("ic15", status=1)[1]
    assert convert("ic15", "--encoding", "gbk")[0][0].text == "菜肴"
    put(data_dir, "gt.txt", 'word_1.png, "菜肴"\r\n'.encode("utf-16"))
    assert convert("ic13")[0][0].text == "菜肴"
    put(data_dir, "annotation.txt", "20/1_a_2.jpg 5\n".encode("utf-16"))
    assert "annotation.txt is UTF-16" in convert("synth90k", status=1)[1]


def read_texts(path):
    return [sample.text for sample in read(path)]


def put_archives(folder, task3):
    """The archives of a set, each in a folder of its own, with another split beside them -> texts of the test split."""
    for seed, (split, count) in enumerate([("test", 6), ("train", 12)]):
        for i in range(1, count + 1):
            if task3:
                put(folder, f"{split}_images/word_{i}.png", encoded(seed=100 * seed + i))
            else:
                put(folder, f"{split}_images/img_{i}.jpg", encoded(90, 60, "JPEG", seed=100 * seed + i))
                put(folder, f"{split}_gt/gt_img_{i}.txt", f'10,10,50,10,50,30,10,30,{split}{i}\n')
        if task3:
            put(folder, f"{split}_gt/gt.txt", "".join(f'word_{i}.png, "{split}{i}"\n' for i in range(1, count + 1)))
    return [f"test{i}" for i in range(1, 7)]


@pytest.mark.parametrize("task3", [True, False])
@pytest.mark.parametrize("given", ["test_images", "test_gt"])
def test_lists_and_images_of_two_archives(convert, data_dir, task3, given):
    texts = put_archives(data_dir, task3)
    samples, output = convert("ic15", "--data_dir", str(data_dir / given))
    assert [sample.text for sample in samples] == texts and "test_gt are those of" in output
    if task3:
        assert [sample.encoded for sample in samples] == [encoded(seed=i) for i in range(1, 7)]
        assert [sample.text for sample in convert("ic13", "--data_dir", str(data_dir / given))[0]] == texts
    (data_dir / "test_images").rename(data_dir / "elsewhere")
    for name in os.listdir(str(data_dir / "elsewhere")):  # as many as are there do not make them the right ones
        if "5" in name or "6" in name:
            os.remove(str(data_dir / "elsewhere" / name))
    output = convert("ic15", "--data_dir", str(data_dir / "test_gt"), status=1)[1]
    assert f"put them into {data_dir / 'test_gt'}" in output and ("word_1.png" if task3 else "img_1.jpg") in output


def test_several_sets_below_a_folder(convert, data_dir):
    put_archives(data_dir, True)
    assert "there are several lists: " in convert("ic15", status=1)[1]
    assert "ic15" in convert("ic15", "--data_dir", str(data_dir / "train_images" / ".."), status=1)[1]


def test_photos_of_two_splits_below_a_folder(convert, data_dir):
    """Both splits have an img_1.jpg; each word is cropped from the photo of its own split."""
    put_archives(data_dir, False)
    words = {sample.text: sample.encoded for sample in convert("ic15")[0]}
    assert len(words) == 18
    for split in "test", "train":
        alone = {sample.text: sample.encoded
                 for sample in convert("ic15", "--data_dir", str(data_dir / f"{split}_gt"))[0]}
        assert alone and all(words[text] == content for text, content in alone.items())
