"""Converters on small copies of the data sets, in their true layout, and on the real excerpts where they are."""
import errno
import glob
import importlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conversion_helpers import TOOLS, encoded, read
from PIL import Image
from writing import put

FORMATS = os.path.join(TOOLS, "..", "..", "shared", "data", "formats")
needs_formats = pytest.mark.skipif(not os.path.isdir(FORMATS), reason="no ../shared/data/formats")


def tagged_xml(images, encoding="utf-8"):
    parts = [f'<?xml version="1.0" encoding="{encoding}"?>\r\n<tagset>']
    for name, lexicon, words in images:
        parts.append(f"<image><imageName>{name}</imageName><lex>{lexicon}</lex>"
                     '<resolution x="9999" y="1" /><taggedRectangles>')
        for x, y, width, height, text in words:
            parts.append(f'<taggedRectangle x="{x}" y="{y}" width="{width}" height="{height}">'
                         f"<tag>{text}</tag><segmentation /></taggedRectangle>")
        parts.append("</taggedRectangles></image>")
    return ("\r\n".join(parts) + "</tagset>").encode(encoding)


def independent_crop(photo, x, y, width, height, margin):
    image = Image.open(io.BytesIO(photo))
    margin *= height
    box = [max(0, x - margin), max(0, y - margin),
           min(image.width - 1, x + width + margin), min(image.height - 1, y + height + margin)]
    stream = io.BytesIO()
    image.crop([int(round(side)) for side in box]).save(stream, format="jpeg")
    return stream.getvalue()


def test_svt(convert, data_dir):
    photos = [encoded(200, 100, "JPEG", seed) for seed in range(2)]
    for i, photo in enumerate(photos):
        put(data_dir, f"img/{i}.jpg", photo)
    boxes = [(-5, 20, 60, 21, "HOTEL"), (100, 50, 500, 30, "CAFÉ"), (400, 10, 20, 20, "OUTSIDE"), (1, 1, 0, 0, "NONE"),
             ("a", 1, 5, 5, "WORDS")]
    put(data_dir, "test.xml", tagged_xml([("img/0.jpg", "HOTEL,CAFÉ", boxes), ("img/gone.jpg", "A", boxes[:1]),
                                          ("img/1.jpg", "", boxes[:1]), ("../out.jpg", "", boxes[:1])]))
    samples, output = convert("svt")
    assert [sample.text for sample in samples] == ["HOTEL", "CAFÉ", "HOTEL"]
    assert samples[0].lexicon == ("CAFÉ", "HOTEL") and samples[2].lexicon == ()
    assert samples[0].encoded == independent_crop(photos[0], -5, 20, 60, 21, 0.05)
    assert samples[1].encoded == independent_crop(photos[0], 100, 50, 500, 30, 0.05)
    assert "5 skipped" in output and "img/gone.jpg" in output and "outside of --data_dir" in output
    lower, output = convert("svt", "--lower_case", "--check", status=1)
    assert lower[1].text == "café" and lower[0].lexicon == ("café", "hotel")
    assert "3 words were written, expected 647" in output


def test_xml_that_would_fill_the_memory_is_refused(convert, data_dir):
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><tagset>&b;</tagset>'
    put(data_dir, "test.xml", bomb)
    assert "entities" in convert("svt", status=1)[1]
    put(data_dir, "test.xml", "<tagset><image>")
    assert "is no XML" in convert("svt", status=1)[1]


def test_ic03(convert, data_dir):
    photo = encoded(200, 100, "JPEG")
    put(data_dir, "apanar/a.jpg", photo)
    words = [("10.0", "20.0", "60.0", "20.0", "hills"), ("-4.0", "3.0", "60.0", "20.0", "£99"),
             ("5.0", "5.0", "20.0", "20.0", "&amp;"), ("5.0", "5.0", "20.0", "20.0", "At"),
             ("5.0", "5.0", "20.0", "20.0", "Street")]
    put(data_dir, "words.xml", tagged_xml([("apanar/a.jpg", "", words)], "ISO-8859-1"))
    full = [f"{'aw'[i % 2]}ord{i}" for i in range(60)] + ["Hills", "street"]
    put(data_dir, "lexicon_full", "\n".join(full) + "\n")
    samples, _ = convert("ic03")
    assert [sample.text for sample in samples] == ["hills", "£99", "&", "At", "Street"]
    assert samples[0].encoded == independent_crop(photo, 10, 20, 60, 20, 0.2)
    assert all(len(sample.lexicon) == len(set(sample.lexicon)) == 50 for sample in samples)
    for sample in samples:  # nothing in the order of the words tells which one is right
        assert sample.text in sample.lexicon and list(sample.lexicon) == sorted(sample.lexicon, key=str.lower)
    assert 0 < samples[0].lexicon.index("hills") < 49
    samples, _ = convert("ic03", "--subset", "860")
    assert [sample.text for sample in samples] == ["hills", "Street"]
    assert [sample.filename for sample in samples] == ["apanar/a.jpg:0", "apanar/a.jpg:1"]
    assert "Hills" not in samples[0].lexicon and samples == convert("ic03", "--subset", "860")[0]
    draw = random.Random(1)  # the published converter's: all other words are shuffled, and the first 49 are taken
    others = [word for word in full if word != "Hills"]
    draw.shuffle(others)
    assert set(samples[0].lexicon) == {"hills", *others[:49]}
    assert convert("ic03", "--lexicon", "full")[0][0].lexicon == tuple(full)
    assert convert("ic03", "--lexicon", "none")[0][0].lexicon == ()


def test_ic13_word_images(convert, data_dir):
    images = {name: encoded(seed=i) for i, name in enumerate(["word_1.png", "word_2.png", "word_3.png", "word_4.png"])}
    for name, content in images.items():
        put(data_dir, name, content)
    put(data_dir, "Challenge2_Test_Task3_GT.txt",
        'word_1.png, "Tiredness"\r\nword_2.png, "4,000"\r\nword_3.png, "a_b"\r\nbroken\r\nword_4.png, "it"\r\n')
    samples, output = convert("ic13")
    assert [sample.text for sample in samples] == ["Tiredness", "4,000", "a_b", "it"]
    assert [sample.encoded for sample in samples] == [images[sample.filename] for sample in samples]
    assert "Challenge2_Test_Task3_GT.txt, line 4" in output
    assert [sample.text for sample in convert("ic13", "--subset", "1015")[0]] == ["Tiredness", "a_b", "it"]
    assert [sample.text for sample in convert("ic13", "--subset", "857")[0]] == ["Tiredness"]


def test_ic13_photos(convert, data_dir):
    photo = encoded(200, 100, "JPEG")
    put(data_dir, "Challenge2_Test_Task12_Images/img_2.jpg", photo)
    put(data_dir, "Challenge2_Test_Task1_GT/gt_img_2.txt", '10, 20, 80, 40, "Finish"\r\n0, 0, 30, 20, "1,5"\r\nodd\r\n')
    samples, output = convert("ic13")
    assert [sample.text for sample in samples] == ["Finish", "1,5"] and "img_2.jpg:2" in output
    assert samples[0].encoded == independent_crop(photo, 10, 20, 70, 20, 0.15)


def test_ic15_word_images(convert, data_dir):
    lines = ['word_1.png, "Genaxis Theatre"', 'word_2.png, "READER\\""', 'word_3.png, "100,000"', 'word_4.png, "CAFÉ"',
             'word_5.png, "WE´RE"', 'word_6.png, "Park"', 'word_7.png, "gone"', 'word_8.png, "broken"',
             'word_9.png, ""']
    for i in range(1, 7):
        put(data_dir, f"word_{i}.png", encoded(seed=i))
    put(data_dir, "word_8.png", encoded()[:60])
    put(data_dir, "word_9.png", encoded())
    put(data_dir, "gt.txt", b"\xef\xbb\xbf" + "\r\n".join(lines).encode("utf-8"))
    put(data_dir, "coords.txt", b"\xef\xbb\xbfword_1.png,0,1,38,2,39,14,1,15\r\nword_2.png,1,2,3\r\n")
    samples, output = convert("ic15")
    assert [sample.text for sample in samples] == ["Genaxis Theatre", 'READER"', "100,000", "CAFÉ", "WE´RE", "Park"]
    assert samples[0].encoded == encoded(seed=1)
    assert samples[0].keypoints.tolist() == [[0, 1], [38, 2], [1, 15], [39, 14]] and samples[1].keypoints is None
    for name in ("word_7.png: No such file", "word_8.png: the image is damaged", "word_9.png: its text is empty"):
        assert name in output
    assert [sample.text for sample in convert("ic15", "--subset", "1922")[0]] == ["Park"]
    put(data_dir, "flat.txt", "word_1.png Genaxis Theatre\nword_6.png Park\n")
    samples, _ = convert("ic15", "--list", "flat.txt")
    assert [sample.text for sample in samples] == ["Genaxis Theatre", "Park"]


def test_ic15_photos(convert, data_dir):
    put(data_dir, "images/img_1.jpg", encoded(200, 100, "JPEG"))
    put(data_dir, "gt/gt_img_1.txt",
        b"\xef\xbb\xbf" + b"10,20,50,22,50,40,10,38,a,b\r\n1,1,9,1,9,9,1,9,###\r\n1,2,x\r\n")
    samples, output = convert("ic15")
    assert [sample.text for sample in samples] == ["a,b"] and "img_1.jpg:2: expected eight" in output
    assert Image.open(io.BytesIO(samples[0].encoded)).size == (40, 20)
    assert samples[0].keypoints.tolist() == [[0, 0], [40, 2], [0, 18], [40, 20]]


@pytest.mark.parametrize("name, lexicon", [("cute80", ()), ("svt_perspective", ("Bar", "HOTEL"))])
def test_image_lists(convert, data_dir, name, lexicon):
    put(data_dir, "pics/a.jpg", encoded(kind="JPEG"))
    put(data_dir, "imagelist.txt", "pics/a.jpg HOTEL 2 HOTEL,Bar\nodd line\n")
    samples, output = convert(name)
    assert [tuple(sample) for sample in samples] == [
        (encoded(kind="JPEG"), "HOTEL", lexicon, None, "pics/a.jpg")]
    assert "imagelist.txt, line 2" in output


def structures(**fields):
    """A 1 x n array of structures, as scipy writes it to a .mat file."""
    count = len(next(iter(fields.values())))
    array = np.zeros([1, count], [(name, object) for name in fields])
    for name, values in fields.items():
        for i, value in enumerate(values):
            array[0, i][name] = value
    return array


def cells(values):
    array = np.empty([1, len(values)], object)
    array[0, :] = values
    return array


def test_iiit5k(convert, data_dir):
    io_ = pytest.importorskip("scipy.io")
    for name in ("test/1_1.png", "train/2_1.png"):
        put(data_dir, name, encoded())
    io_.savemat(str(data_dir / "testdata.mat"), {"testdata": structures(
        ImgName=["test/1_1.png", "test/gone.png"], GroundTruth=["2012", "GONE"],
        smallLexi=[cells(["PRIVATE", "2012"])] * 2, mediumLexi=[cells(["WORDS", "2012", "more"])] * 2)})
    io_.savemat(str(data_dir / "traindata.mat"), {"traindata": structures(
        ImgName=["train/2_1.png"], GroundTruth=["You"])})
    io_.savemat(str(data_dir / "trainCharBound.mat"), {"trainCharBound": structures(
        ImgName=["train/2_1.png"], chars=["YOU"],
        charBB=[np.array([[1, 2, 10, 12], [12, 2, 10, 12], [23, 2, 9, 12]])])})
    samples, output = convert("iiit5k", "--lexicon", "50")
    assert [sample[:3] for sample in samples] == [(encoded(), "2012", ("2012", "PRIVATE"))] and "gone.png" in output
    assert convert("iiit5k", "--lexicon", "1k")[0][0].lexicon == ("2012", "more", "WORDS")
    sample, = convert("iiit5k", "--split", "train")[0]
    assert sample.text == "You" and sample.keypoints.shape == (128, 2)
    np.testing.assert_allclose(sample.keypoints[[0, 63, 64, 127]], [[1, 2], [32, 2], [1, 14], [32, 14]], atol=1e-4)
    assert "no lexicons" in convert("iiit5k", "--split", "train", "--lexicon", "50", status=1)[1]
    put(data_dir, "testdata.mat", b"not matlab")
    assert "is no MATLAB file" in convert("iiit5k", status=1)[1]


def synthtext(folder, count=1):
    """Images of two words, the first bent, and more images that are wrong in some way -> photo."""
    photo = encoded(120, 90, "JPEG")
    put(folder, "8/a.jpg", photo)
    words = np.array([[[10, 60, 60, 10], [20, 24, 44, 40]], [[80, 110, 110, 80], [5, 5, 15, 15]]], float)
    left = np.array([10, 22, 34, 46.0])
    characters = [[[x, x + 12, x + 12, x], [20, 21, 41, 40]] for x in left]
    characters += [[[x, x + 15, x + 15, x], [5, 5, 15, 15]] for x in (80, 95.0)]
    word_boxes, character_boxes = words.transpose(1, 2, 0), np.array(characters).transpose(1, 2, 0)
    names = ["8/a.jpg", "8/a.jpg", "8/gone.jpg", "8/a.jpg"] * count
    texts = [np.array(["Bent", "it  "]), np.array(["only one"]), np.array(["Bent\nit"]), np.array(["x"])] * count
    word_cells = [word_boxes, word_boxes[:, :, :1], word_boxes, np.full([2, 4], 500.0)] * count
    character_cells = [character_boxes, character_boxes, character_boxes, np.zeros([2, 4])] * count
    from scipy import io as scipy_io
    scipy_io.savemat(os.path.join(str(folder), "gt.mat"), {
        "imnames": cells(names), "txt": cells(texts), "wordBB": cells(word_cells), "charBB": cells(character_cells)},
        do_compression=True)
    return photo


def test_synthtext(convert, data_dir):
    pytest.importorskip("scipy.io")
    photo = synthtext(data_dir)
    samples, output = convert("synthtext")
    assert [(sample.text, sample.filename) for sample in samples] == [("Bent", "8/a.jpg:0"), ("it", "8/a.jpg:1")]
    margin = 0.1 * np.sqrt(50 * 24)
    box = [int(np.round(side)) for side in (10 - margin, 20 - margin, 60 + margin, 44 + margin)]
    stream = io.BytesIO()
    Image.open(io.BytesIO(photo)).crop(box).save(stream, format="jpeg")
    assert samples[0].encoded == stream.getvalue()
    keypoints = samples[0].keypoints + box[:2]
    assert keypoints.shape == (128, 2)
    np.testing.assert_allclose(keypoints[[0, 63, 64, 127], 0], [10, 58, 10, 58], atol=1e-3)
    points = np.array([[x, y] for x in (10, 22, 34, 46.0) for x, y in ((x, 20), (x + 12, 21))])
    fit = np.poly1d(np.polyfit(points[:, 0], points[:, 1], 2))
    np.testing.assert_allclose(keypoints[:64, 1], fit(keypoints[:64, 0]), atol=1e-3)
    for problem in ("8/a.jpg: it has 2 words of 7 characters in its text, but 1 and 6 boxes",
                    "8/gone.jpg: No such file", "8/a.jpg:0: its "):
        assert problem in output


def synth90k(folder, count, broken=()):
    lines = []
    for i in range(count):
        name = f"./20_1/{i % 7}/{i}_Word_{i}_{i * 3}.jpg"
        put(folder, name, b"" if i in broken else encoded(20, 12, "JPEG", i % 50))
        lines.append(f"{name} {i * 3}")
    put(folder, "annotation.txt", "\n".join(lines) + "\n")


def test_synth90k(convert, data_dir):
    synth90k(data_dir, 30, broken=(4,))
    put(data_dir, "20_1/odd.jpg", encoded())
    with open(str(data_dir / "annotation.txt"), "a") as stream:
        stream.write("./20_1/odd.jpg 3")
    samples, output = convert("synth90k")
    assert [sample.text for sample in samples] == [f"Word_{i}" for i in range(30) if i != 4]
    assert samples[3].encoded == encoded(20, 12, "JPEG", 3) and samples[3].filename == "./20_1/3/3_Word_3_9.jpg"
    assert "2 skipped" in output and "4_Word_4_12.jpg" in output and "odd.jpg" in output


def test_twenty_thousand_images_stopped_and_resumed(data_dir):
    """Interrupted, killed and started again: complete shards stay, the result is that of one run."""
    synth90k(data_dir, 20000, broken=range(100, 20000, 1000))
    out = str(data_dir / ".." / "out.tfrecord")
    command = [sys.executable, os.path.join(TOOLS, "create_synth90k_tfrecord.py"), "--data_dir", str(data_dir),
               "--output_path", out, "--num_shards", "10", "--num_workers", "2"]
    for how in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # the first as soon as it writes, since on a busy machine it may be done before we look again
        begun = "*.part*" if how == signal.SIGINT else "-00003-of-00010"
        until = time.time() + 120
        while not glob.glob(glob.escape(out) + begun) and process.poll() is None and time.time() < until:
            time.sleep(0.01)
        process.send_signal(how)
        output = process.communicate()
        if how == signal.SIGINT:
            assert process.returncode == 1 and b"complete shards are kept" in output[1], output
            assert not [name for name in os.listdir(os.path.dirname(out)) if ".part" in name]
    before = os.path.getmtime(out + "-00000-of-00010")
    output = subprocess.check_output(command, stderr=subprocess.STDOUT, universal_newlines=True)
    assert "were there from before" in output
    assert os.path.getmtime(out + "-00000-of-00010") == before
    texts = [sample.text for i in range(10) for sample in read(out + f"-{i:05d}-of-00010")]
    assert texts == [f"Word_{i}" for i in range(20000) if i % 1000 != 100]
    assert not os.path.exists(out + ".progress")
    assert not [name for name in os.listdir(os.path.dirname(out)) if ".part" in name]  # nor what was killed


def wait_for_reader(path, process):
    """Waits until a process opens a pipe -> the pipe's other end, which gives it nothing to read."""
    until = time.time() + 120
    while process.poll() is None and time.time() < until:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["Ctrl-C", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("place", ["list.tsv", "b.png"])
def test_one_process_stopped_while_it_reads(data_dir, number, place):
    """In the list, before there is any output; in an image. A pipe stands for a file that takes long to read."""
    put(data_dir, "list.tsv", "a.png\ta\nb.png\tb\n")
    for name in "a.png", "b.png":
        put(data_dir, name, encoded())
    pipe, out = str(data_dir / ".." / "pipe"), str(data_dir / ".." / "out.tfrecord")
    os.mkfifo(pipe)
    code = """if True:
        import sys
        tools, place, pipe = sys.argv[1:4]
        sys.path.append(tools)
        import create_folder_tfrecord
        from conversion import sources
        read_bytes = sources.read_bytes
        sources.read_bytes = lambda path: open(pipe, "rb").read() if path.endswith(place) else read_bytes(path)
        create_folder_tfrecord.main(sys.argv[4:])"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, TOOLS, place, pipe, "--data_dir", str(data_dir), "--list", "list.tsv",
         "--output_path", out, "--num_workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    held = wait_for_reader(pipe, process)
    process.send_signal(number)
    time.sleep(0.5)
    os.close(held)  # else a signal that comes just before Python's call of read() leaves the process in it
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.decode().splitlines()[-1] == "stopped; complete shards are kept"
    assert not output and b"Traceback" not in errors
    assert not [name for name in os.listdir(os.path.dirname(out)) if name.startswith("out")]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_item_that_surprises_a_library_is_named(convert, data_dir, monkeypatch, workers):
    from conversion import sources
    put(data_dir, "list.tsv", "a.png\ta\nb.png\tb\n")
    for name in "a.png", "b.png":
        put(data_dir, name, encoded())
    read_file = sources.read_file
    monkeypatch.setattr(sources, "read_file",
                        lambda folder, name: {}["no such\nkey"] if name == "a.png" else read_file(folder, name))
    samples, output = convert("folder", "--list", "list.tsv", "--num_workers", workers)
    assert [sample.text for sample in samples] == ["b"]
    assert r"skipped a.png: KeyError: 'no such\nkey'" in output


@pytest.mark.parametrize("name, line", [
    ("list.csv", "a.png," + 200000 * "x"), ("list.jsonl", 100000 * "["), ("list.jsonl", '{"name": "a", "text": 1}'),
    ("list.jsonl", '{"name": "a", "text": "b", "lexicon": 5}')], ids=["long", "deep", "number", "lexicon"])
def test_a_line_that_surprises_its_reader_is_named(convert, data_dir, name, line):
    put(data_dir, "a.png", encoded())
    good = '{"name": "a.png", "text": "a"}' if name.endswith("l") else "a.png,a"
    put(data_dir, name, f"{good}\n{line}\n")
    samples, output = convert("folder", "--list", name)
    assert [sample.text for sample in samples] == ["a"] and f"{name}, line 2: expected" in output


def test_files_that_cannot_be_read_are_one_line(convert, data_dir):
    (data_dir / "list.tsv").mkdir()
    assert "create_folder_tfrecord: " in convert("folder", "--list", "list.tsv", status=1)[1]
    put(data_dir, "test.xml", '<?xml version="1.0" encoding="utf-7"?><tagset></tagset>')
    assert "test.xml is no XML" in convert("svt", status=1)[1]


def test_names_of_files_are_no_commands_to_the_terminal(convert, data_dir):
    put(data_dir, "a.png", encoded())
    put(data_dir, "list.jsonl",
        '{"name": "a.png", "text": "a"}\n{"name": "\\u001b]0;t\\u0007\\u009b2J.png", "text": "b"}\n')
    samples, output = convert("folder", "--list", "list.jsonl")
    assert len(samples) == 1 and "skipped \\x1b]0;t\\x07\\x9b2J.png: " in output
    output += convert("folder", "--list", "\x1b[2J.txt", status=1)[1]
    assert "\\x1b[2J.txt" in output and not set(output) & set("\x1b\x07\x9b")


def test_an_lmdb_that_claims_more_than_it_has(convert, data_dir):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(data_dir), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"num-samples", b"1" + 30 * b"0")
    assert "num-samples says 1000" in convert("lmdb", status=1)[1]


def test_lmdb(convert, data_dir):
    lmdb = pytest.importorskip("lmdb")
    content = [(b"num-samples", b"4"), (b"image-000000001", encoded()), (b"label-000000001", "Straße".encode()),
               (b"image-000000002", b"broken"), (b"label-000000002", b"b"), (b"image-000000004", encoded(seed=4)),
               (b"label-000000004", b"d")]
    with lmdb.open(str(data_dir), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for key, value in content:
            transaction.put(key, value)
    samples, output = convert("lmdb")
    assert [(sample.text, sample.encoded) for sample in samples] == [("Straße", encoded()), ("d", encoded(seed=4))]
    assert "image-000000002" in output and "image-000000003: the LMDB has no such image" in output


@pytest.mark.parametrize("name, content", [
    ("list.tsv", "filename\twords\tlexicon\na.png\thello, world\tx,y\nb.png\n"),
    ("list.csv", 'name,text,lexicon\na.png,"hello, world","x,y"\nb.png\n'),
    ("list.jsonl", '{"name": "a.png", "text": "hello, world", "lexicon": ["x", "y"]}\n{"name": "b.png"}\n')])
def test_folder(convert, data_dir, name, content):
    put(data_dir, "a.png", encoded())
    put(data_dir, name, content)
    samples, output = convert("folder", "--list", name)
    assert [sample[:3] for sample in samples] == [(encoded(), "hello, world", ("x", "y"))]
    assert "1 skipped" in output


def test_errors_of_a_whole_set(convert, data_dir, tmp_path):
    assert "has no test.xml" in convert("svt", status=1)[1]
    with pytest.raises(SystemExit, match="is no folder"):
        importlib.import_module("create_svt_tfrecord").main(
            ["--data_dir", str(tmp_path / "none"), "--output_path", str(tmp_path / "out")])
    put(data_dir, "imagelist.txt", "")
    assert "has no words" in convert("cute80", status=1)[1]
    put(data_dir, "imagelist.txt", "a.png a 1 a\n")
    assert "--num_shards 2 is more than the 1 items" in convert("cute80", "--num_shards", "2", status=1)[1]


def test_inspection(convert, data_dir):
    put(data_dir, "list.tsv", "a.png\tCafé\nb.png\tBar\n")
    put(data_dir, "a.png", encoded())
    put(data_dir, "b.png", encoded(30, 10, "JPEG"))
    convert("folder", "--list", "list.tsv")
    path, sheet = str(data_dir / ".." / "out.tfrecord"), str(data_dir / "sheet.png")
    command = [sys.executable, os.path.join(TOOLS, "inspect_tfrecord.py"), path, "--charset", "abcdefCB",
               "--sheet", sheet]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0 and Image.open(sheet).width > 100
    for line in ("2 words, 0 damaged", "lengths: 3: 1, 4: 1", "widths: 30 to 40", "1 PNG", "é (1)", "r (1)"):
        assert line in output
    with open(path, "r+b") as stream:
        stream.seek(-20, os.SEEK_END)
        stream.write(b"damaged")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert done.returncode == 1 and b"1 words, 1 damaged records\n  " + path.encode() in done.stdout


@needs_formats
@pytest.mark.parametrize("name, folder, options", [
    ("svt", "svt", ["--split", "train"]), ("ic03", "ic03", []), ("ic13", "ic13", []), ("ic15", "ic15", [])])
def test_real_excerpts(convert, data_dir, name, folder, options):
    data_dir.rmdir()
    shutil.copytree(os.path.join(FORMATS, folder), str(data_dir))
    texts = {sample.text for sample in convert(name, *options)[0]}
    expected = {"svt": set(), "ic03": {"hills", "RESIDENTIAL"}, "ic13": {"4,000", "TOUBI'S", "Tiredness"},
                "ic15": {'READER"', '"SCAN"', '"CARD', "36,000,000", "WE´RE", "CAFÉ", "Genaxis Theatre"}}[name]
    assert texts and expected <= texts


@pytest.mark.parametrize("name, gt", [("ic13", "Challenge2_Test_Task3_GT.txt"),
                                      ("ic15", "Challenge4_Test_Task3_GT.txt")])
def test_word_lists_with_faults(convert, data_dir, name, gt):
    rows = ['"good"', '"open', 'closed"', '"###"', '"first"', 'a###"b"', "plain", '"READER\\""', '"']
    for i in range(len(rows)):
        put(data_dir, f"word_{i}.png", encoded())
    put(data_dir, gt, "".join(f"word_{i}.png, {row}\n" for i, row in enumerate(rows)) + 'word_4.png, "second"\n, "c"\n')
    samples, output = convert(name)
    assert [(sample.filename, sample.text) for sample in samples] == [
        ("word_0.png", "good"), ("word_6.png", "plain"), ("word_7.png", 'READER"')]
    for number in 2, 3, 6, 9, 11:
        assert f"{gt}, line {number}: expected `name, " in output
    assert "skipped word_3.png: its text is ###" in output
    assert output.count("the list gives it more than one text: 'first' and 'second'") == 2
