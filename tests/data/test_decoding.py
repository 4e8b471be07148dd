"""What the op decodes of records is what Python decodes of them, and what it leaves to Python is not lost."""
import string

import numpy as np
import pytest
from data_helpers import encode_image, reader, serialize, steps, write_records
from PIL import Image

from aster.c_ops import ops
from aster.compat import IS_TF1, tf
from aster.data import example
from aster.data.charset import Charset
from aster.data.dataset import make_dataset
from aster.data.image import decode_image
from aster.data.keypoints import control_points
from aster.data.preprocess import text_preprocessor
from aster.data.read_report import ReadReport
from aster.data.source import Source

PIXELS = np.random.RandomState(0).randint(0, 256, [5, 7, 3]).astype(np.uint8).repeat(4, 0).repeat(5, 1)
DONE, TEXT_IS_LEFT, LEFT = ops.RECORD_DONE, ops.RECORD_TEXT_IS_LEFT, ops.RECORD_IS_LEFT
TABLE = bytes([255]) + bytes(range(1, 128))  # keeps all characters


def image(mode="RGB", kind="JPEG", **options):
    return encode_image(Image.fromarray(PIXELS).convert(mode), kind, **options)


def decode(session, records, table=TABLE, num_control_points=0, max_pixels=10000):
    with tf.device("/cpu:0"):
        return session.run(ops.decode_records(tf.constant(records, tf.string), table, max_pixels=max_pixels,
                                              num_control_points=num_control_points))


IMAGES = {
    "jpeg": (image(), DONE),
    "gray jpeg": (image("L"), DONE),
    "progressive": (image(progressive=True), DONE),
    "subsampled": (image(quality=30, subsampling=2), DONE),
    "png": (image(kind="PNG"), DONE),
    "gray png": (image("L", "PNG"), DONE),
    "cmyk": (image("CMYK"), LEFT),
    "rgba": (image("RGBA", "PNG"), LEFT),
    "palette": (image("P", "PNG"), LEFT),
    "one bit": (image("1", "PNG"), LEFT),
    "16 bits": (encode_image(Image.fromarray(np.zeros([20, 35], np.uint16)), "PNG"), LEFT),
    "transparent color": (image(kind="PNG", transparency=(0, 0, 0)), LEFT),
    "bmp": (image(kind="BMP"), LEFT),
    "gif": (image("P", "GIF"), LEFT),
    "no end": (image()[:-2], LEFT),
    "cut": (image()[:300], LEFT),
    "png without end": (image(kind="PNG")[:-12], LEFT),
    "large jpeg": (encode_image(Image.new("RGB", (101, 100)), "JPEG"), LEFT),  # more than max_pixels
    "large png": (encode_image(Image.new("RGB", (101, 100)), "PNG"), LEFT),
    "bad marker": (b"\xff\xd8\xff" + image()[4:], LEFT),
    "a hole": (image()[:200] + image()[250:], LEFT),
    "empty": (b"", LEFT),
    "no image": (b"no image", LEFT),
}


@pytest.mark.parametrize("encoded, state", IMAGES.values(), ids=IMAGES.keys())
def test_images(session, encoded, state):
    record = serialize("word", encoded=encoded, lexicon=("a", "b"), filename="x.jpg")
    pixels, sizes, texts, lexicons, filenames, *_, states = decode(session, [record])
    assert states.tolist() == [state]
    if state == DONE:
        expected = decode_image(encoded).astype(float)
        assert sizes.tolist() == [[20, 35]]
        difference = np.abs(np.frombuffer(pixels[0], np.uint8).reshape(20, 35, 3) - expected)
        assert difference.max() == 0 or (IS_TF1 and difference.mean() < 10)  # its Pillow has another libjpeg
        assert (texts[0], lexicons[0], filenames[0]) == (b"word", b"a\tb", b"x.jpg")


def features(**fields):
    record = tf.train.Example()
    for name, value in fields.items():
        record.features.feature["image/" + name].bytes_list.value.append(value)
    return record.SerializeToString()


RECORDS = {
    "least": (features(encoded=image(), transcript=b"x"), DONE),  # the others are not needed
    "more": (features(encoded=image(), transcript=b"x", colorspace=b"rgb", anything=b""), DONE),
    "empty features": (features(encoded=image(), transcript=b"x", lexicon=b"", filename=b""), DONE),
    "no text in it": (features(encoded=image(), transcript=b""), TEXT_IS_LEFT),
    "accent": (features(encoded=image(), transcript="\u00e9".encode("utf-8")), TEXT_IS_LEFT),
    "no utf-8": (features(encoded=image(), transcript=b"\xff"), TEXT_IS_LEFT),
    "zero": (features(encoded=image(), transcript=b"a\0b"), TEXT_IS_LEFT),
    "lexicon": (features(encoded=image(), transcript=b"x", lexicon="\u00e9".encode("utf-8")), TEXT_IS_LEFT),
    "filename": (features(encoded=image(), transcript=b"x", filename="\u00e9".encode("utf-8")), TEXT_IS_LEFT),
    "no text": (features(encoded=image()), LEFT),
    "no image": (features(transcript=b"x"), LEFT),
    "nothing": (features(), LEFT),
    "empty": (b"", LEFT),
    "noise": (b"\xff" * 20, LEFT),
    "two examples": (features(encoded=image(), transcript=b"x") + features(encoded=image(), transcript=b"y"), LEFT),
    "cut": (features(encoded=image(), transcript=b"x")[:-1], LEFT),
}


@pytest.mark.parametrize("record, state", RECORDS.values(), ids=RECORDS.keys())
def test_records(session, record, state):
    assert decode(session, [record])[-1].tolist() == [state]


@pytest.mark.parametrize("keypoints, mask", [
    (np.random.RandomState(0).uniform(0, 30, [10, 2]), 1),
    ([[0, 0], [35, 0], [0, 20], [35, 20]], 1),
    ([[3, 3]] * 4, 1),
    ([[0, 0], [1e5, 0], [0, 20], [35, 20]], 0),
    ([[0, 0], [np.nan, 0], [0, 20], [35, 20]], 0),
    ([[0, 0], [35, 0], [0, 20]], 0),
    ([[0, 0], [0, 20]], 0),
    (None, 0),
], ids=["curves", "box", "a point", "far", "nan", "odd", "too few", "none"])
def test_key_points(session, keypoints, mask):
    keypoints = None if keypoints is None else np.array(keypoints, np.float32).reshape(-1, 2)
    record = serialize("word", encoded=image(), keypoints=keypoints)
    *_, points, masks, states = decode(session, [serialize("", encoded=image()), record], num_control_points=6)
    expected, expected_mask = control_points(example.parse(record).keypoints, (20, 35), 6)
    assert (states.tolist(), masks.tolist(), expected_mask) == ([TEXT_IS_LEFT, DONE], [0, mask], mask)
    np.testing.assert_array_equal(points, [np.zeros([6, 2]), expected])


def test_no_records(session):
    assert [column.shape[0] for column in decode(session, [])] == [0] * 8


def make_source(options="", charsets=(), is_training=True):
    return Source(reader("unused", "allow_empty_text: true"), [], name="reader", batch_size=1, is_training=is_training,
                  preprocess_text=text_preprocessor(steps(*filter(None, [options]))), report=ReadReport(),
                  charsets=charsets)


@pytest.mark.parametrize("options, charsets", [
    ("", []),
    ("string_filtering { lower_case: true include_charset { built_in_set: ALLCASES } }", []),
    ("string_filtering { include_charset { built_in_set: LOWERCASE } }", []),
    ("", [Charset("abc", drop_unknown=True)]),
])
def test_texts_are_filtered_as_python_filters_them(session, options, charsets):
    source = make_source(options, charsets)
    texts = list(string.printable) + ["Hello World!", "aBc", "abcd", "?", "-9-"]
    records = [serialize(text, encoded=image()) for text in texts]
    _, _, filtered, *_, states = decode(session, records, source.text_table())
    for text, result, state in zip(texts, filtered, states):
        kept = source._preprocess_text(text)
        needs_python = not kept or any(charset.unknown(kept) for charset in charsets)
        assert (state, result.decode("ascii")) == ((TEXT_IS_LEFT, "") if needs_python else (DONE, kept))


def mutate(data, random):
    """Cuts bytes off, changes some, or replaces some."""
    data, at = bytearray(data), random.randint(len(data))
    how = random.randint(3)
    if how == 0:
        data = data[:at]
    elif how == 1:
        data[at] = random.randint(256)
    else:
        data[at:at + random.randint(30)] = bytes(random.randint(0, 256, random.randint(20)).astype(np.uint8))
    return bytes(data)


def test_damaged_images_give_what_python_makes_of_them(session):
    """Where TensorFlow's decoders and Pillow disagree, a damaged image would be used in silence."""
    random = np.random.RandomState(1)
    kinds = [image(), image("L"), image(progressive=True), image(kind="PNG"), image("P", "PNG"), image("CMYK")]
    records = [serialize("word", encoded=mutate(kinds[random.randint(len(kinds))], random) or b"x")
               for _ in range(500)]
    source = make_source()
    *_, states = columns = decode(session, records, source.text_table())
    num_done = 0
    for record, pixels, size, state in zip(records, columns[0], columns[1], states):
        if state == DONE:
            num_done += 1
            expected = decode_image(example.parse(record).encoded)  # which raises where it can't be decoded
            assert size.tolist() == list(expected.shape[:2])
            assert IS_TF1 or pixels == expected.tobytes()
    assert num_done > 50


def test_what_is_left_keeps_its_place(session, tmp_path):
    texts = ["one", "zw\u00f6lf", "two", "three", "four"] * 20
    kinds = [dict(), dict(kind="BMP"), dict(), dict(kind="PNG"), dict(mode="RGBA", kind="PNG")] * 20
    payloads = [serialize(text, encoded=image(**kind)) for text, kind in zip(texts, kinds)]
    payloads[50] = serialize("broken", encoded=image()[:-9])
    stream = make_dataset([reader(write_records(tmp_path / "a.tfrecord", payloads))], [1], steps(), is_training=False)
    session.run(stream.initializer)
    read = [session.run([stream.batch.texts, stream.batch.numbers, stream.batch.images]) for _ in range(99)]
    assert [text[0].decode("utf-8") for text, _, _ in read] == texts[:50] + texts[51:]
    assert [number[0] for _, number, _ in read] == [i for i in range(100) if i != 50]
    assert all(np.abs(pixels[0] - PIXELS).mean() < 60 for _, _, pixels in read)
    with pytest.raises(tf.errors.OutOfRangeError):
        session.run(stream.batch.texts)
    assert (stream.report.delivered, stream.report.skipped) == (99, 1)
    assert "record 50" in stream.report.names[0] and "end before its pixels" in stream.report.names[0]


@pytest.mark.parametrize("records, table", [([["x"]], TABLE), (["x"], b"too short"), (["x"], [TABLE])],
                         ids=["records", "short table", "table"])
def test_wrong_inputs(session, records, table):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected records"):
        session.run(ops.decode_records(tf.constant(records), table, num_control_points=0, max_pixels=10))
