"""Batches from whole and from damaged files."""
import collections
import logging
import os

import numpy as np
import pytest
from data_helpers import encode_image, gray_image, reader, serialize, steps, write_records

from aster.compat import IS_TF1, tf
from aster.data import dataset, read_report
from aster.data.charset import Charset
from aster.data.source import Source

RESIZE = steps("resize_image { target_height: 8 target_width: 20 }")
LETTERS = steps("string_filtering { include_charset { built_in_set: ALLCASES } }")


def run(session, stream, limit=100):
    """All batches, or the first `limit` of them, each a dict of arrays, with strings as text."""
    fetches = {k: v for k, v in stream.batch._asdict().items() if v is not None}
    batches = []
    session.run(stream.initializer)
    while len(batches) < limit:
        try:
            batch = session.run(fetches)
        except tf.errors.OutOfRangeError:
            break
        for name in ("texts", "lexicons", "filenames"):
            batch[name] = [value.decode("utf-8") for value in batch[name]]
        batches.append(batch)
    return batches


def texts_of(batches):
    return [text for batch in batches for text in batch["texts"]]


def evaluate(session, path, batch_size=2, steps=RESIZE, **options):
    stream = dataset.make_dataset([reader(path)], [batch_size], steps, is_training=False, **options)
    return run(session, stream), stream.report


def test_evaluation_reads_all_once_in_order(session, tmp_path):
    path = write_records(tmp_path / "a", [serialize(f"t{i}", 10 * i) for i in range(5)])
    batches, report = evaluate(session, path)
    assert texts_of(batches) == ["t0", "t1", "t2", "t3", "t4"]
    assert [len(batch["images"]) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(batches[1]["images"][1], np.full([8, 20, 3], 30.0))
    assert (report.delivered, report.skipped) == (5, 0)


def test_fields(session, tmp_path):
    decomposed = "e\u0301"
    path = write_records(tmp_path / "a", [
        serialize("caf" + decomposed, lexicon=["one", decomposed], filename="x\u65e5.png"),
        serialize("\u4f60\u597d \u0645\u0631\u062d\u0628\u0627")])
    batches, _ = evaluate(session, path)
    assert texts_of(batches) == ["caf\u00e9", "\u4f60\u597d \u0645\u0631\u062d\u0628\u0627"]
    assert batches[0]["lexicons"] == ["one\t\u00e9", ""]
    assert batches[0]["filenames"] == ["x\u65e5.png", ""]
    assert "control_points" not in batches[0]


def test_image_bytes_may_hold_anything(session, tmp_path):
    """Zeros at the end of bytes are lost where strings pass through numpy's own type."""
    black = np.zeros([8, 20, 3], np.uint8)
    path = write_records(tmp_path / "a", [serialize("a", encoded=encode_image(black) + b"\0\0")])
    batches, _ = evaluate(session, path)
    np.testing.assert_array_equal(batches[0]["images"], black[None])


def test_keypoints(session, tmp_path):
    # Twice as far along the first part of the top curve as along the second, in pixels.
    top = [[0, 0], [10, 0], [10, 5]]
    bottom = [[0, 8], [10, 8], [20, 8]]
    path = write_records(tmp_path / "a", [serialize("a", keypoints=np.array(top + bottom)),
                                          serialize("b"),
                                          serialize("c", keypoints=np.zeros([4, 2]))])
    batches, _ = evaluate(session, path, 3, num_control_points=8,
                          steps=steps("resize_image { target_height: 16 target_width: 10 }"))
    points = np.array([[0, 0], [5, 0], [10, 0], [10, 5],
                       [0, 8], [20 / 3, 8], [40 / 3, 8], [20, 8]]) / [20, 8]
    np.testing.assert_allclose(batches[0]["control_points"][0], points, atol=1e-5)
    np.testing.assert_array_equal(batches[0]["control_points"][1:], np.zeros([2, 8, 2]))
    np.testing.assert_array_equal(batches[0]["keypoint_mask"], [1, 0, 1])


def test_keypoints_that_nothing_asks_for(session, tmp_path):
    path = write_records(tmp_path / "a", [serialize("a", keypoints=np.ones([4, 2]))])
    batches, _ = evaluate(session, path)
    assert texts_of(batches) == ["a"] and "control_points" not in batches[0]


@pytest.mark.parametrize("options, epochs", [("num_epochs: 1", 1), ("num_epochs: 3", 3)])
def test_epochs(session, tmp_path, options, epochs):
    path = write_records(tmp_path / "a", [serialize(f"t{i}") for i in range(6)])
    stream = dataset.make_dataset([reader(path, options)], [2], RESIZE, is_training=True)
    texts = texts_of(run(session, stream))
    assert collections.Counter(texts) == {f"t{i}": epochs for i in range(6)}
    for start in range(0, len(texts), 6):  # each epoch is whole before the next one starts
        assert len(set(texts[start:start + 6])) == 6


def test_training_goes_on_and_shuffles(session, tmp_path):
    names = [f"t{i}" for i in range(20)]
    path = write_records(tmp_path / "a", [serialize(name) for name in names])
    stream = dataset.make_dataset([reader(path)], [20], RESIZE, is_training=True, seed=1)
    assert stream.batch.images.shape.as_list() == [20, 8, 20, 3]
    first, second, _ = [batch["texts"] for batch in run(session, stream, limit=3)]
    assert sorted(first) == sorted(second) == sorted(names)
    assert first != names and first != second


def test_the_seconds_that_a_run_waits_for_its_batch(session, tmp_path, monkeypatch):
    """The first batch takes five seconds of a clock; the second is there before it is asked for."""
    now, delivered = [0.0], []
    finish = Source.finish

    def finish_slowly(*arguments):
        now[0] += 5.0 if not delivered else 0.0
        delivered.append(True)
        return finish(*arguments)
    monkeypatch.setattr(Source, "finish", finish_slowly)
    monkeypatch.setattr(dataset.time, "perf_counter", lambda: now[0])
    path = write_records(tmp_path / "a", [serialize("ab")] * 4)
    stream = dataset.make_dataset([reader(path)], [2], RESIZE, is_training=True, seed=1)
    session.run(stream.initializer)
    assert session.run((stream.waited, stream.batch.texts))[0] == 5.0
    assert session.run((stream.waited, stream.batch.texts))[0] == 0.0
    assert not stream.waiting.is_set()


def test_full_batches_only_in_training(session, tmp_path):
    path = write_records(tmp_path / "a", [serialize("t")] * 5)
    stream = dataset.make_dataset([reader(path, "num_epochs: 1")], [2], RESIZE, is_training=True)
    assert [len(batch["texts"]) for batch in run(session, stream)] == [2, 2]


def test_seed_repeats_the_order(tmp_path):
    paths = [write_records(tmp_path / (f"a{i}"), [serialize(f"{i}.{j}") for j in range(9)])
             for i in range(3)]
    orders = []
    for seed in (1, 1, 2):
        with tf.Graph().as_default(), tf.Session() as session:
            message = reader(",".join(paths), "queue_capacity: 5")
            stream = dataset.make_dataset([message], [3], RESIZE, is_training=True, seed=seed)
            orders.append(texts_of(run(session, stream, limit=12)))
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("used", [1, 2, 5, 7, 11])
@pytest.mark.parametrize("options", ["queue_capacity: 5", "shuffle: false", "queue_capacity: 3 num_epochs: 3"])
def test_data_go_on_where_they_stopped(tmp_path, used, options):
    """Across epochs, and with records among them that are skipped."""
    damaged = [payload for _, payload in damaged_payloads()]
    paths = [write_records(tmp_path / f"a{i}", [serialize(f"{i}.{j}") for j in range(7)] + damaged[i:i + 2])
             for i in range(3)]
    step = RESIZE + steps("random_adjust_brightness {}")

    def batches(place, limit):
        with tf.Graph().as_default(), tf.Session() as session:
            readers = [reader(",".join(paths), options), reader(paths[0], options)]
            stream = dataset.make_dataset(readers, [3, 1], step, is_training=True, seed=4)
            if place:
                assert stream.go_to(place)
            result = []
            for batch in run(session, stream, limit=limit):
                stream.use(batch["numbers"])
                result.append((batch["texts"], batch["images"].tobytes()))
            return result, stream.place()

    whole, _ = batches("", 14)
    start, place = batches("", used)
    rest, _ = batches(place, 14 - used)
    assert start + rest == whole


@pytest.mark.parametrize("how", ["resumed", "replaced"])
def test_nothing_usable_any_more_ends_with_an_error(session, tmp_path, how):
    """An endless repeat would hang here."""
    path = write_records(tmp_path / "a", [serialize(f"{i}") for i in range(20)])
    message, step = reader(path, "queue_capacity: 5"), list(RESIZE)
    if how == "resumed":
        step += steps('string_filtering { include_charset { text_string: "Z" } }')
    stream = dataset.make_dataset([message], [4], step, is_training=True, seed=4)
    if how == "resumed":
        with tf.Graph().as_default():
            place = dataset.make_dataset([message], [4], RESIZE, is_training=True, seed=4).place()
            assert stream.go_to(place.replace('"next": 0', '"next": 7'))
    session.run(stream.initializer)
    if how == "replaced":
        session.run(stream.batch.texts)
        write_records(tmp_path / "b", [serialize("x", encoded=b"broken")] * 20)
        os.replace(str(tmp_path / "b"), path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="can't be read any more"):
        for _ in range(100000):
            session.run(stream.batch.texts, options=tf.RunOptions(timeout_in_ms=60000))


@pytest.mark.parametrize("used", [1, 4, 9])
def test_data_of_several_widths_go_on_where_they_stopped(tmp_path, used):
    """Samples that waited for others of their width wait again."""
    path = write_widths(tmp_path / "a")

    def batches(place, limit):
        with tf.Graph().as_default(), tf.Session() as session:
            stream = dataset.make_dataset([reader(path, "queue_capacity: 4")], [3], BUCKETS, is_training=True, seed=4)
            if place:
                assert stream.go_to(place)
            result = []
            for batch in run(session, stream, limit=limit):
                stream.use(batch["numbers"])
                result.append(batch["images"].tobytes())
            return result, stream.place()

    whole, _ = batches("", 16)
    start, place = batches("", used)
    assert start + batches(place, 16 - used)[0] == whole


def test_a_place_of_other_data_is_not_gone_to(session, tmp_path):
    path = write_records(tmp_path / "a", [serialize("x")] * 5)
    place = dataset.make_dataset([reader(path)], [2], RESIZE, is_training=True, seed=1).place()
    for message, seed in (reader(path), 2), (reader(path, "queue_capacity: 7"), 1):
        assert not dataset.make_dataset([message], [2], RESIZE, is_training=True, seed=seed).go_to(place)
    assert not dataset.make_dataset([reader(path)] * 2, [1, 1], RESIZE, is_training=True, seed=1).go_to(place)


def test_several_readers_share_each_batch(session, tmp_path):
    one = write_records(tmp_path / "one", [serialize("1")] * 3)
    two = write_records(tmp_path / "two", [serialize("2", encoded=gray_image(9, 11, 13))] * 5)
    stream = dataset.make_dataset([reader(one), reader(two)], [3, 1], RESIZE, is_training=True)
    for batch in run(session, stream, limit=6):
        assert batch["texts"] == ["1", "1", "1", "2"]
        assert batch["images"].shape == (4, 8, 20, 3)


def damaged_payloads():
    """Name -> payload that must be skipped for the reason of that name."""
    whole = encode_image(np.random.RandomState(0).randint(0, 255, [8, 20, 3]).astype(np.uint8))
    no_text = tf.train.Example.FromString(serialize("x"))
    del no_text.features.feature["image/transcript"]
    not_utf8 = tf.train.Example.FromString(serialize("x"))
    not_utf8.features.feature["image/transcript"].bytes_list.value[0] = b"\xff\xfe"
    return [(read_report.BROKEN_EXAMPLE, b"\xff\xffno example"), (read_report.BROKEN_EXAMPLE, b""),
            (read_report.BROKEN_EXAMPLE, no_text.SerializeToString()),
            (read_report.BROKEN_EXAMPLE, not_utf8.SerializeToString()),
            (read_report.BROKEN_IMAGE, serialize("x", encoded=b"")),
            (read_report.BROKEN_IMAGE, serialize("x", encoded=b"no image")),
            (read_report.BROKEN_IMAGE, serialize("x", encoded=whole[:len(whole) // 2]))]


@pytest.mark.parametrize("is_training", [False, True])
def test_damaged_records_are_skipped_counted_and_named(session, tmp_path, caplog, is_training):
    damaged = damaged_payloads()
    payloads = [p for i, (_, bad) in enumerate(damaged) for p in (serialize(f"t{i}"), bad)]
    path = write_records(tmp_path / "a", payloads + [serialize("broken"), serialize("last")])
    last, size = len(serialize("last")) + 16, (tmp_path / "a").stat().st_size
    with open(path, "r+b") as stream:  # the checksum of the last but one
        stream.seek(size - last - 1)
        stream.write(b"\0")
    with caplog.at_level(logging.WARNING):
        stream = dataset.make_dataset([reader(path, "num_epochs: 2")], [1], RESIZE, is_training=is_training)
        texts = texts_of(run(session, stream))
    expected = [f"t{i}" for i in range(len(damaged))] + ["last"]
    assert sorted(texts) == sorted(expected * (2 if is_training else 1))
    # A second epoch does not count them again.
    reasons = collections.Counter(reason for reason, _ in damaged)
    reasons[read_report.BROKEN_RECORD] = 1
    assert stream.report.counts == reasons
    assert stream.report.skipped == len(damaged) + 1
    assert sorted(stream.report.names)[-1].startswith(path + ": record ")
    assert f"{path}: record 1 at byte " in caplog.text
    assert "records skipped" in str(stream.report)


def test_only_the_first_are_named(session, tmp_path, caplog):
    path = write_records(tmp_path / "a", [b"bad"] * 40 + [serialize("good")])
    with caplog.at_level(logging.WARNING):
        _, report = evaluate(session, path)
    assert report.skipped == 40 and len(report.names) == 10
    assert len(caplog.records) == 11


def test_a_file_cut_short_keeps_its_start(session, tmp_path):
    path = write_records(tmp_path / "a", [serialize(f"t{i}") for i in range(3)])
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:-20])
    batches, report = evaluate(session, path)
    assert texts_of(batches) == ["t0", "t1"] and report.counts == {read_report.BROKEN_RECORD: 1}


def test_evaluation_again_reads_all_again(session, tmp_path):
    path = write_records(tmp_path / "a", [serialize("t0"), b"bad", serialize("t1")])
    stream = dataset.make_dataset([reader(path)], [2], RESIZE, is_training=False)
    assert texts_of(run(session, stream)) == texts_of(run(session, stream)) == ["t0", "t1"]
    assert stream.report.skipped == 1


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("records", [2, 50])
def test_nothing_usable_ends_with_an_error(session, tmp_path, is_training, records):
    path = write_records(tmp_path / "a", [serialize("x", encoded=b"bad")] * records)
    stream = dataset.make_dataset([reader(path)], [1], RESIZE, is_training=is_training)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        run(session, stream)
    assert "train_input_reader: only 0 samples" in str(error.value)
    assert path + ": record " in str(error.value)
    assert stream.report.error.startswith("train_input_reader: only 0 samples")


def test_too_few_for_a_batch(session, tmp_path):
    path = write_records(tmp_path / "a", [serialize("x")] * 3)
    stream = dataset.make_dataset([reader(path, "num_epochs: 1")], [4], RESIZE, is_training=True)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        run(session, stream)
    assert "only 3 samples could be used, expected 4" in str(error.value)


@pytest.mark.parametrize("is_training, charsets, expected, reasons", [
    (False, [], ["a", "", "", "b"], {}),
    (True, [], ["a", "b"], {read_report.EMPTY_TEXT: 2}),
    (True, [Charset("a")], ["a", "b"], {read_report.EMPTY_TEXT: 2}),
    (True, [Charset("ab"), Charset("a", drop_unknown=True)], ["a"],
     {read_report.EMPTY_TEXT: 2, read_report.UNKNOWN_CHARACTERS: 1}),
    (False, [Charset("a", drop_unknown=True)], ["a", "", "", "b"], {}),
])
def test_texts_left_out_of_training(session, tmp_path, is_training, charsets, expected, reasons):
    path = write_records(tmp_path / "a", [serialize(t) for t in ("a", "", "\u65e5!", "b")])
    stream = dataset.make_dataset([reader(path, "num_epochs: 1 shuffle: false")], [1],
                                  RESIZE + LETTERS, is_training=is_training, charsets=charsets)
    assert texts_of(run(session, stream)) == expected
    assert stream.report.counts == reasons


def test_empty_texts_that_are_allowed(session, tmp_path):
    """Of an image without text; that of an image whose text the steps empty is still left out."""
    path = write_records(tmp_path / "a", [serialize(t) for t in ("a", "", "\u65e5!", "b")])
    stream = dataset.make_dataset([reader(path, "num_epochs: 1 shuffle: false allow_empty_text: true")], [1],
                                  RESIZE + LETTERS, is_training=True, charsets=[Charset("ab", drop_unknown=True)])
    assert texts_of(run(session, stream)) == ["a", "", "b"]
    assert stream.report.counts == {read_report.EMPTY_TEXT: 1}
    assert "empty after string_filtering" in stream.report.names[0]


def test_images_of_several_sizes_need_a_resize(tmp_path):
    path = write_records(tmp_path / "a", [serialize("x")])
    with tf.Graph().as_default(), pytest.raises(ValueError) as error:
        dataset.make_dataset([reader(path)], [2], [], is_training=True)
    assert "resize_image" in str(error.value)


BUCKETS = steps("resize_image_keeping_aspect { target_height: 8 target_widths: 20 target_widths: 40 }")


def write_widths(path, count=8):
    """Records in which one of four has a wide image -> their path; the text says which."""
    return write_records(path, [serialize("wide" if i % 4 == 0 else "slim",
                                          encoded=gray_image(i, width=36 if i % 4 == 0 else 16)) for i in range(count)])


def test_a_batch_of_training_has_one_width(session, tmp_path):
    stream = dataset.make_dataset([reader(write_widths(tmp_path / "a"))], [2], BUCKETS, is_training=True)
    assert stream.batch.images.shape.as_list() == [2, 8, None, 3]
    seen = set()
    for batch in run(session, stream, limit=40):
        assert len(batch["images"]) == 2 and len(set(batch["texts"])) == 1
        assert batch["images"].shape[2] == {"wide": 40, "slim": 20}[batch["texts"][0]]
        seen.add(batch["texts"][0])
    assert seen == {"wide", "slim"}


def test_evaluation_keeps_the_order_of_images_of_several_widths(session, tmp_path):
    batches, report = evaluate(session, write_widths(tmp_path / "a"), steps=BUCKETS)
    assert texts_of(batches) == ["wide", "slim", "slim", "slim"] * 2
    assert report.delivered == 8


LONG = steps("resize_image { target_height: 8 target_width: 20 wide_aspect: 4.5 wide_target_width: 40 }")


def two_readers(tmp_path, options):
    """Of the first, one of four images is long, and of the second one of two."""
    second = write_records(tmp_path / "second", [
        serialize(text, encoded=gray_image(7, width=width)) for text, width in [("slim 2", 16), ("long 2", 36)] * 10])
    return [reader(write_widths(tmp_path / "first", 40), options), reader(second, options)]


def batches_of_two_readers(readers, limit=1000, place="", seed=5):
    """Batches that a training has used, and its place."""
    with tf.Graph().as_default(), tf.Session() as session:
        stream = dataset.make_dataset(readers, [4, 2], LONG, is_training=True, seed=seed, num_shares=2)
        assert stream.batch.images.shape.as_list() == [6, 8, None, 3]
        assert stream.shares[0].images.shape.as_list() == [3, 8, None, 3]
        if place:
            assert stream.go_to(place)
        batches = []
        for batch in run(session, stream, limit=limit):
            stream.use(batch["numbers"])
            batches.append(batch)
        return batches, stream.place()


def test_several_readers_with_images_of_several_widths(tmp_path):
    """Each batch has one width and is full, the shares are right on average, and a seed repeats the batches."""
    readers = two_readers(tmp_path, "queue_capacity: 4")
    batches, _ = batches_of_two_readers(readers, limit=100)
    assert {batch["images"].shape for batch in batches} == {(6, 8, 20, 3), (6, 8, 40, 3)}
    for batch in batches:
        assert {text.startswith("slim") for text in batch["texts"]} == {batch["images"].shape[2] == 20}
        assert [number % 2 for number in batch["numbers"]] == [text.endswith("2") for text in batch["texts"]]
    share = np.mean([text.endswith("2") for batch in batches for text in batch["texts"]])
    assert 0.3 < share < 0.37
    again, _ = batches_of_two_readers(readers, limit=100)
    for one, other in zip(batches, again):
        np.testing.assert_array_equal(one["numbers"], other["numbers"])
        np.testing.assert_array_equal(one["images"], other["images"])


@pytest.mark.parametrize("used", [1, 4])
def test_no_sample_of_several_readers_is_lost_or_comes_again(tmp_path, used):
    """Whether the run is interrupted or not. At the end of the data, at most a batch of each width is left over."""
    readers = two_readers(tmp_path, "queue_capacity: 4 num_epochs: 1")
    start, place = batches_of_two_readers(readers, limit=used)
    rest, _ = batches_of_two_readers(readers, place=place)
    for batches in start + rest, batches_of_two_readers(readers)[0]:
        numbers = [number for batch in batches for number in batch["numbers"]]
        assert len(numbers) == len(set(numbers)) and set(numbers) <= set(range(80))
        assert len(numbers) > 60 - 2 * (3 + 1 + 5)


@pytest.mark.parametrize("sizes", [[], [1, 1], [0]])
def test_wrong_batch_sizes(tmp_path, sizes):
    path = write_records(tmp_path / "a", [serialize("x")])
    with tf.Graph().as_default(), pytest.raises(ValueError) as error:
        dataset.make_dataset([reader(path)], sizes, RESIZE, is_training=True)
    assert "batch size" in str(error.value)


def test_check_inputs_counts_unknown_characters(tmp_path, caplog):
    path = write_records(tmp_path / "a", [b"bad"] + [
        serialize(t) for t in ("ab", "b\u65e5", "\u65e5\u672c", "a")])
    with caplog.at_level(logging.WARNING):
        unknown = dataset.check_inputs([reader(path)], charsets=[Charset("ab")])
    assert unknown == {"\u65e5": 2, "\u672c": 1}
    assert "2 of the 4 texts" in caplog.text and "U+65E5" in caplog.text
    assert "DROP_SAMPLE" in caplog.text
    # What a step removes does not get to the charset.
    assert not dataset.check_inputs([reader(path)], LETTERS, [Charset("ab")])


def test_check_inputs_counts_texts_that_are_too_long(tmp_path, caplog):
    path = write_records(tmp_path / "a", [serialize(text) for text in ("abc", "abcd", "abcde")])
    with caplog.at_level(logging.WARNING):
        dataset.check_inputs([reader(path)], max_characters=5)
        assert not caplog.text
        dataset.check_inputs([reader(path)], max_characters=3)
    assert "2 of the 3 texts" in caplog.text and "3 characters that a decoder has room for" in caplog.text


def test_check_inputs_counts_records_without_key_points(tmp_path, caplog):
    path = write_records(tmp_path / "a", [serialize("a", keypoints=np.zeros([4, 2])), serialize("b"), serialize("c")])
    with caplog.at_level(logging.WARNING):
        dataset.check_inputs([reader(path)])
        assert not caplog.text
        dataset.check_inputs([reader(path)], needs_keypoints=True)
    assert "2 of the 3 records looked at have no key points; keypoint_supervision has no effect" in caplog.text


@pytest.mark.parametrize("content, kind, words", [
    (None, FileNotFoundError, "no such file"),
    (b"", ValueError, "is empty"),
    (b"something else altogether", ValueError, "no TFRecord"),
])
@pytest.mark.parametrize("function", [
    lambda readers: dataset.check_inputs(readers),
    lambda readers: dataset.make_dataset(readers, [1] * len(readers), RESIZE, is_training=True)])
def test_wrong_files(tmp_path, content, kind, words, function):
    good = write_records(tmp_path / "good", [serialize("x")])
    if content is not None:
        (tmp_path / "wrong").write_bytes(content)
    with tf.Graph().as_default(), pytest.raises(kind) as error:
        function([reader(good), reader(tmp_path / "wrong")])
    message = str(error.value)
    assert words in message and str(tmp_path / "wrong") in message
    assert "train_input_reader[1].tf_record_input_reader.input_path" in message


def test_check_inputs_without_a_usable_record(tmp_path):
    path = write_records(tmp_path / "a", [serialize("x", encoded=b"bad")] * 3)
    with pytest.raises(ValueError) as error:
        dataset.check_inputs([reader(path)])
    assert "none of the 3 records" in str(error.value) and "record 0 at byte 0" in str(error.value)


def test_other_kinds_of_reader():
    message = reader("x")
    message.ClearField("tf_record_input_reader")
    with pytest.raises(ValueError) as error:
        dataset.check_inputs([message])
    assert "tf_record_input_reader" in str(error.value)


@pytest.mark.skipif(IS_TF1, reason="1.4 does not tune")
def test_nothing_tunes_the_pipeline(tmp_path):
    """Closing a session would wait for it, for as long as the session has lasted, or a minute."""
    from tensorflow.core.framework.dataset_options_pb2 import Options
    path = write_records(tmp_path / "a", [serialize("x")])
    with tf.Graph().as_default() as graph:
        dataset.make_dataset([reader(path)], [1], RESIZE, is_training=True)
        nodes = graph.as_graph_def().node
    iterator, = [node for node in nodes if node.op == "MakeIterator"]
    last, = [node for node in nodes if node.name == iterator.input[0]]
    options = Options.FromString(last.attr["serialized_options"].s)
    assert options.autotune_options.WhichOneof("optional_enabled") and not options.autotune_options.enabled
