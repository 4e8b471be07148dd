"""The Recognizer: every kind of image, in order, beside others, and what each result says."""
import io
import itertools
import os
import shutil
import threading

import numpy as np
import pytest
from experiment import WORDS, draw_word, make_experiment, make_lines_config
from google.protobuf import text_format
from PIL import Image, ImageChops

from aster import checkpoint
from aster.compat import tf
from aster.config import read_config
from aster.data.image import find_images, load_image
from aster.pretrained import SAMPLES
from aster.reading import inference, policy
from aster.reading.inference import Inference
from aster.reading.pictures import draw_reading
from aster.reading.recognizer import Recognizer
from aster.training.loop import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An experiment with two predictors that has made some steps."""
    path = make_experiment(tmp_path_factory.mktemp("experiment"), num_steps=30)
    config_path = os.path.join(path, "config", "trainval.prototxt")
    with open(config_path) as stream:
        text = stream.read()
    forward = text[text.index("predictor {"):text.index("} }\ntrain_config")]
    with open(config_path, "w") as stream:
        stream.write(text.replace(forward, forward + forward.replace(
            '"Forward"', '"Backward"').replace("beam_width", "reverse: true beam_width")))
    train(read_config(path), path, clone_on_cpu=True)
    return path


def changed(folder, model_text, lexicon=None):
    """A Recognizer of the experiment whose model has some more fields."""
    config = read_config(folder)
    text_format.Merge(model_text, config.model.multi_predictors_recognition_model)
    return Recognizer(config, checkpoint.find_checkpoint(os.path.join(folder, "log")), folder, lexicon)


@pytest.fixture(scope="module")
def recognizer(folder):
    with Recognizer.from_experiment(folder) as recognizer:
        yield recognizer


def test_kinds_of_images_are_read_alike(recognizer, tmp_path):
    encoded = draw_word("tea")
    path = tmp_path / "tea.jpg"
    path.write_bytes(encoded)
    picture = Image.open(io.BytesIO(encoded))
    pixels = np.array(picture)
    gray = pixels[..., :1]
    transparent = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    readings = list(recognizer.recognize([str(path), path, encoded, picture, pixels, transparent]))
    assert len({reading.text for reading in readings}) == 1
    np.testing.assert_allclose([reading.score for reading in readings], readings[0].score, atol=1e-3)
    assert [len(list(recognizer.recognize([image]))) for image in (gray, gray[..., 0])] == [1, 1]


def test_a_folder_and_an_iterator_keep_their_order(recognizer, tmp_path):
    for name in "b.png", "a.png", "c.jpg", "notes.txt":
        (tmp_path / name).write_bytes(draw_word(name[0]))
    assert [os.path.basename(path) for path in find_images([str(tmp_path)])] == ["a.png", "b.png", "c.jpg"]
    assert [os.path.basename(path) for path in find_images([str(tmp_path / "?.png")])] == ["a.png", "b.png"]
    from_folder = list(recognizer.recognize(str(tmp_path)))
    assert [reading.text for reading in recognizer.recognize(tmp_path)] == [reading.text for reading in from_folder]
    for batch_size in 1, 2, 32:
        endless = (str(tmp_path / name) for name in itertools.cycle(["a.png", "b.png", "c.jpg"]))
        some = list(itertools.islice(recognizer.recognize(endless, batch_size=batch_size), 7))
        assert [reading.text for reading in some] == [from_folder[i % 3].text for i in range(7)]
    assert list(recognizer.recognize([])) == []


def test_details(recognizer):
    for reading in recognizer.recognize([draw_word(word) for word in WORDS], details=True):
        assert set(reading.texts) == {"Forward", "Backward"} and reading.text in reading.texts.values()
        assert len(reading.probabilities) == len(reading.text) == len(reading.attention)
        assert all(0 < probability <= 1 for probability in reading.probabilities)
        # the end of the text has a probability too
        assert reading.score <= np.log(reading.probabilities).sum() + 1e-5
        np.testing.assert_allclose(reading.attention.sum(axis=1), 1, atol=1e-4)
        assert reading.image.shape == (64, 256, 3) and reading.control_points.shape == (6, 2)
        assert reading.rectified.shape[2] == 3
        assert draw_reading(reading, truth="tea").width > 256
    plain = next(iter(recognizer.recognize([draw_word("tea")])))
    assert plain.image is None and plain.attention is None and plain.texts is None


def test_the_characters_of_a_reversed_text_are_in_reading_order(recognizer):
    """The attention to a text's first character, read last by the backward predictor, is that of its last step."""
    images = [recognizer._load(draw_word(word), (0,))[0].preprocessed for word in WORDS]
    inference = recognizer._inference
    search = inference._search
    values = inference._session.run(dict(search.fetches, **search.details), {inference._images: images})
    values["best"][:] = 1
    for i, image in enumerate(images):
        reading = inference._reading(search, i, image, values, True)
        labels = values["labels"][1][i].tolist()
        count = labels.index(1) if 1 in labels else len(labels)
        np.testing.assert_array_equal(reading.attention, values["attention"][1][i, :count][::-1])


def test_images_of_several_widths(folder, recognizer, tmp_path):
    """Each is read as it would be alone, and in order."""
    config = make_lines_config(read_config(folder), [40, 80, 160])
    images = [np.random.RandomState(i).randint(0, 256, [24, width, 3]).astype(np.uint8)
              for i, width in enumerate((20, 100, 50, 21, 400, 99))]
    with Recognizer(config, checkpoint.find_checkpoint(os.path.join(folder, "log")), folder) as lines:
        together = list(lines.recognize(images, details=True))
        alone = [list(lines.recognize([image]))[0] for image in images]
    assert [reading.image.shape[1] for reading in together] == [40, 160, 80, 40, 160, 160]
    assert [reading.attention.shape[1] for reading in together if reading.text] == [
        reading.image.shape[1] // 4 - 1 for reading in together if reading.text]
    assert [reading.text for reading in together] == [reading.text for reading in alone]
    np.testing.assert_allclose([r.score for r in together], [r.score for r in alone], atol=1e-3)
    assert all(draw_reading(reading).height > 100 for reading in together)


def test_orientations(recognizer):
    upright = np.array(Image.open(io.BytesIO(draw_word("tea"))))
    for degrees in 0, 90, 180, 270:
        alone, = recognizer.recognize([np.rot90(upright, -degrees // 90)], orientations=(degrees,))
        assert alone.orientation == degrees
        expected, = recognizer.recognize([upright])
        assert alone.text == expected.text and abs(alone.score - expected.score) < 1e-3
    # those in which the word would stand on its end are left out
    for image, possible in (upright, (0, 180)), (np.rot90(upright), (90, 270)), (upright[:, :24], (0, 90, 180, 270)):
        scores = {degrees: next(iter(recognizer.recognize([image], orientations=(degrees,)))).score
                  for degrees in possible}
        best, = recognizer.recognize([image], orientations=iter((0, 90, 180, 270)))
        assert best.score == pytest.approx(max(scores.values()), abs=1e-3)
        assert best.score == pytest.approx(scores[best.orientation], abs=1e-3)
    # by default only tall images are turned
    standing = np.rot90(upright)
    assert [reading.orientation for reading in recognizer.recognize([upright, upright[:, :24]])] == [0, 0]
    expected = max((next(iter(recognizer.recognize([standing], orientations=(degrees,)))) for degrees in (0, 90, 270)),
                   key=lambda one: one.score if one.orientation == 0 or len(one.text) > 1 else -np.inf)
    found, = recognizer.recognize([standing])
    assert (found.text, found.orientation) == (expected.text, expected.orientation)
    assert found.score == pytest.approx(expected.score, abs=1e-3)
    with pytest.raises(ValueError, match="orientations"):
        recognizer.recognize([upright], orientations=(45,))


@pytest.mark.parametrize("bad, problem", [
    (b"", "empty"), (b"no image", "no image of a known format"), ("missing.png", "No such file"),
    (np.zeros([2, 2], np.float32), "uint8"), (np.zeros([0, 5, 3], np.uint8), "empty"), (None, "NoneType"),
    (Image.new("RGB", (0, 5)), "empty"), (os.devnull, "a pipe or a device"),
    (draw_word("tea")[:200], "damaged")], ids=lambda value: "")
def test_bad_images(recognizer, bad, problem):
    with pytest.raises(ValueError, match=problem):
        list(recognizer.recognize([draw_word("one"), bad]))
    good, kept, after = recognizer.recognize([draw_word("one"), bad, draw_word("two")], on_error="keep")
    assert kept.error.startswith(bad if isinstance(bad, str) else "image 1: ")
    assert problem in kept.error and kept.text is None and good.error is None and after.text is not None
    with pytest.raises(ValueError, match=problem):
        load_image(bad)


def test_with_a_lexicon_only_its_words_are_read(folder):
    lexicon = ["Tea", "t-e-a-m", "ice", "x1", "averyverylongword"]
    with Recognizer.from_experiment(folder, lexicon=lexicon) as recognizer:
        readings = list(recognizer.recognize([draw_word(word) for word in WORDS * 3], details=True))
    assert {reading.text for reading in readings} <= set(lexicon[:4])
    assert all(set(reading.texts.values()) <= set(lexicon[:4]) for reading in readings)


def test_a_lexicon_may_be_a_file(folder, tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"tea\nice\n")
    for lexicon in path, str(path):
        with Recognizer.from_experiment(folder, lexicon=lexicon) as recognizer:
            assert next(iter(recognizer.recognize([draw_word("one")]))).text in ("tea", "ice")
    with pytest.raises(ValueError, match="missing.txt"):
        Recognizer.from_experiment(folder, lexicon="missing.txt")
    with pytest.raises(ValueError, match="list of strings"):
        Recognizer.from_experiment(folder, lexicon=[1, 2])


def test_inverted_images_are_read_where_there_is_doubt(folder, monkeypatch):
    """Against readings of the images and of inverted ones, with scores made up: the brighter, the more doubtful."""
    search = Inference.search

    def search_scored(self, images, *more):
        readings, sequences = search(self, images, *more)
        return [one._replace(score=-image.mean() / 255) for one, image in zip(readings, images)], sequences

    monkeypatch.setattr(Inference, "search", search_scored)
    bright = [0.1, 0.4, 0.6, 0.8, 0.9]
    with changed(folder, "reading { min_contrast: 0 }") as recognizer:
        shape = next(recognizer.recognize([draw_word("tea")], details=True)).image.shape
        prepared = [np.full(shape, 255 * one, np.uint8) for one in bright]
        sides = [recognizer.recognize_preprocessed(some, details=True)
                 for some in (prepared, [255 - one for one in prepared])]
    for field, limit, taken in (("also_negatives: true", 1, [0, 0, 1, 1, 1]),
                                ("reading { also_inverted: true }", np.exp(-0.7), [0, 0, 0, 1, 1]),
                                ("reading { also_inverted: true }", 0.1, [0, 0, 0, 0, 0])):
        with changed(folder, f"{field} reading {{ certain_probability: {limit:f} min_contrast: 0 }}") as recognizer:
            for i, result in enumerate(recognizer.recognize_preprocessed(prepared, details=True)):
                expected = sides[taken[i]][i]
                assert (result.text, result.texts) == (expected.text, expected.texts)
                assert result.score == pytest.approx(expected.score)
                np.testing.assert_allclose(result.rectified, expected.rectified, atol=1e-2)
                np.testing.assert_array_equal(result.image, prepared[i])


@pytest.mark.parametrize("more", ["", "also_negatives: true "])
def test_the_words_of_a_list_are_preferred(folder, tmp_path, monkeypatch, more):
    """Against Recognizers of any text, and of the list's words only."""
    monkeypatch.setattr("aster.reading.policy.is_number", lambda *_: False)
    search = Inference.search

    def search_spread(self, images, *more):  # a model of few steps may find all images alike
        readings, sequences = search(self, images, *more)
        return [one._replace(score=one.score * (1 + image.mean() / 255))
                for one, image in zip(readings, images)], sequences

    monkeypatch.setattr(Inference, "search", search_spread)
    copy = str(tmp_path / "copy")
    shutil.copytree(folder, copy)
    word_list = ["Tea", "ice", "bread", "at"]
    (tmp_path / "copy" / "words.txt").write_bytes("\n".join(word_list).encode())
    doubt_all = "reading { certain_probability: 1 min_contrast: 0 } "
    plain = more + doubt_all
    images = [Image.open(io.BytesIO(draw_word(word))) for word in WORDS]
    images += [Image.new("RGB", (60, 20), (30 * i, 0, 99)) for i in range(8)]

    def read(fields, images=images, **options):
        with changed(copy, fields, **options) as recognizer:
            return list(recognizer.recognize(images, details=True)), recognizer.num_preferred_words
    free, none = read(plain)
    views = [images] + ([[ImageChops.invert(image) for image in images]] if more else [])
    words = list(zip(*[read(doubt_all, view, lexicon=word_list)[0] for view in views]))

    # by which the word wins, of each image
    needed = [min((one.score - word.score) / len(word.probabilities) for word in some)
              for one, some in zip(free, words)]
    widest = int(np.argmax(np.diff(sorted(needed))))  # where rounding decides nothing
    bonus = float(np.mean(sorted(needed)[widest:widest + 2]))
    preferring = plain + f'word_list {{ text_file: "words.txt" bonus_per_character: {bonus:f} }} '
    found, count = read(preferring)
    certain, _ = read(more + 'word_list { text_file: "words.txt" } reading { certain_probability: 1e-30 '
                      'min_contrast: 0 }')
    assert [one.text for one in certain] == [one.text for one in read(plain)[0]]
    assert (none, count) == (0, 4)
    replaced = 0
    for one, some, least, result in zip(free, words, needed, found):
        stays = bonus < least
        expected = one if stays else max(some, key=lambda word: word.score + bonus * len(word.probabilities))
        replaced += not stays
        assert (result.text, result.texts) == (expected.text, expected.texts)
        assert result.score == pytest.approx(expected.score, abs=1e-3)
        np.testing.assert_allclose(result.rectified, expected.rectified, atol=1e-2)
        np.testing.assert_allclose(result.attention, expected.attention, atol=1e-3)
    assert 0 < replaced < len(images)
    # a lexicon takes its place, and its file need not be there
    nowhere = plain + 'word_list { text_file: "nowhere.txt" }'
    assert read(nowhere, lexicon=["zoo"])[1] == 0
    with pytest.raises(ValueError, match="word_list of the configuration, nowhere.txt"):
        read(nowhere)
    without, count = read(preferring + " reading { use_word_list: false }")
    assert count == 0 and [one.text for one in without] == [one.text for one in free]
    # the experiment's own file, whatever the working directory has
    (tmp_path / "words.txt").write_bytes(b"one\n")
    monkeypatch.chdir(tmp_path)
    assert read(preferring)[1] == 4


def test_which_texts_give_way_to_words(folder, tmp_path, monkeypatch):
    """With readings made up."""
    copy = str(tmp_path / "copy")
    shutil.copytree(folder, copy)
    (tmp_path / "copy" / "words.txt").write_bytes(b"tea\n")
    search, made_up = Inference.search, {}

    def search_made_up(self, images, details, given=None):
        readings, sequences = search(self, images, details, given)
        pairs = [made_up[given is None, image.mean() > 127] for image in images]
        return [reading._replace(text=text, score=score, probabilities=(1,) * len(text))
                for reading, (text, score) in zip(readings, pairs)], sequences

    monkeypatch.setattr(Inference, "search", search_made_up)
    with changed(copy, 'also_negatives: true word_list { text_file: "words.txt" } '
                 'reading { min_contrast: 0 }') as recognizer:
        def read(*found):
            """Texts of an image and of its inverted image, words of both -> what is read."""
            made_up.update(zip(((True, True), (True, False), (False, True), (False, False)), found))
            reading, = recognizer.recognize([np.full([32, 100, 3], 200, np.uint8)])
            return reading.text, reading.score

        for text, word, wins in (
                (("sushl", -1), ("sushi", -3.9), True), (("sushl", -1), ("sushi", -4.1), False),
                (("ao", -1), ("at", -2.1), True), (("ao", -1), ("at", -2.3), False),  # a short word is worth less
                (("sush1", -1), ("sushi", -3), True), (("4us", -1), ("bus", -2), True),
                (("s1", -1), ("so", -2), False), (("40", -1), ("do", -1.1), False),  # numbers
                (("", -1), ("sushi", -3), True), (("sushl", -0.01), ("sushi", -0.02), False)):  # beyond doubt
            assert read(text, ("x", -9), word, ("x", -99)) == (word if wins else text), (text, word)
        for negative, word, expected in (
                (("a", -9), ("offer", -2.3), ("offer", -2.3)), (("a", -9), ("offer", -3.5), ("of", -1.5)),
                (("ofer", -0.5), ("offer", -2.3), ("offer", -2.3)),
                (("ofer", -0.001), ("offer", -1), ("ofer", -0.001))):
            assert read(("oi", -1), negative, ("of", -1.5), word) == expected, (negative, word)


def test_a_closed_recognizer_says_so(folder):
    with Recognizer.from_experiment(folder) as closed:
        readings = closed.recognize([draw_word("one")] * 3, batch_size=1)
        next(readings)
    for late in readings, closed.recognize([draw_word("one")]):
        with pytest.raises(ValueError, match="closed"):
            next(late)


def test_a_forked_process_says_so(recognizer):
    child = os.fork()
    if not child:
        try:
            list(recognizer.recognize([draw_word("one")]))
        except ValueError as error:
            os._exit(7 if "spawn" in str(error) else 1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] >> 8 == 7


@pytest.mark.parametrize("arguments", [dict(images=None), dict(images=b"x"), dict(images=np.zeros([4, 4, 3], np.uint8)),
                                       dict(images=[], batch_size=0), dict(images=[], batch_size=1.5),
                                       dict(images=[], orientations=90), dict(images=[], on_error="ignore"),
                                       dict(images=[], orientations=())])
def test_bad_arguments(recognizer, arguments):
    with pytest.raises(ValueError):
        recognizer.recognize(**arguments)


def test_odd_shapes(recognizer):
    images = [np.zeros(shape, np.uint8) for shape in ((1, 1), (1, 5000, 3), (5000, 1), (3, 3, 4))]
    assert len(list(recognizer.recognize(images))) == 4
    sixteen_bits = io.BytesIO()
    Image.fromarray(np.full([20, 50], 60000, np.uint16)).save(sixteen_bits, "PNG")
    cmyk = io.BytesIO()
    Image.new("CMYK", (50, 20)).save(cmyk, "JPEG")
    assert len(list(recognizer.recognize([sixteen_bits.getvalue(), cmyk.getvalue()]))) == 2


def test_two_recognizers_and_the_callers_tensorflow(folder, recognizer):
    """In threads, beside a graph and a session of the caller's own."""
    words = [draw_word(word) for word in WORDS]
    expected = [reading.text for reading in recognizer.recognize(words)]
    found = {}
    with tf.Graph().as_default() as graph, tf.Session() as session, Recognizer.from_experiment(folder) as second:
        mine = tf.constant(3) * 2

        def read(name, one):
            found[name] = [reading.text for reading in one.recognize(words, batch_size=3)]
        threads = [threading.Thread(target=read, args=(i, [recognizer, second][i % 2])) for i in range(4)]
        for thread in threads:
            thread.start()
        assert session.run(mine) == 6
        for thread in threads:
            thread.join()
        assert tf.get_default_graph() is graph and len(graph.get_operations()) < 10
    assert [found[i] for i in range(4)] == [expected] * 4


def test_another_models_checkpoint(folder, tmp_path):
    other = make_experiment(tmp_path, norm="")
    with pytest.raises(checkpoint.CheckpointError, match="not a checkpoint of this configuration"):
        Recognizer(read_config(other), checkpoint.find_checkpoint(os.path.join(folder, "log")))


@pytest.mark.parametrize("shape", [(64, 256, 1), (32, 256, 3), (64, 100, 3), (64, 256)])
def test_preprocessed_images_of_another_shape_are_refused(folder, shape):
    problem = r"image 1 is of shape .*, expected \[64, 256, 3\] as the preprocessing"
    with Recognizer.from_experiment(folder) as recognizer, pytest.raises(ValueError, match=problem):
        recognizer.recognize_preprocessed([np.zeros((64, 256, 3), np.float32), np.zeros(shape, np.float32)])


def test_a_gpu_sees_few_sizes_of_batches(monkeypatch):
    """Of each size, its convolutions are tuned. The results are those of the batch as it is."""
    monkeypatch.setattr(inference, "num_gpus", lambda: 1)
    images = [draw_word(word) for word in WORDS + WORDS[:5]]
    fields = "model { multi_predictors_recognition_model { reading { certain_probability: 1 } } }"
    sizes = []
    with Recognizer.from_pretrained(overrides=[fields]) as padded, Recognizer.from_pretrained(
            overrides=[fields]) as plain:
        plain._inference._is_on_gpu = False
        run = padded._inference._session.run

        def record(fetches, feed_dict):
            if isinstance(fetches, tuple):  # of a search
                sizes.extend(array.shape[0] for array in feed_dict.values())
            return run(fetches, feed_dict)
        monkeypatch.setattr(padded._inference._session, "run", record)
        for count in 1, 3, 13:
            expected = list(plain.recognize(images[:count], details=True))
            for own, other in zip(padded.recognize(images[:count], details=True), expected):
                assert own.text == other.text and own.rectified.shape == other.rectified.shape
                np.testing.assert_allclose(own.score, other.score, atol=1e-3)
    assert 16 in sizes and set(sizes) <= {1, 2, 4, 8, 16, 32}


@pytest.mark.parametrize("count, size", [(1, 1), (2, 2), (3, 4), (33, 64), (64, 64), (65, 128), (256, 256), (257, 320)])
def test_sizes_for_a_gpu(count, size):
    batch = np.arange(2 * count).reshape([count, 2])
    padded = inference._pad(batch)
    assert padded.shape == (size, 2) and (padded[:count] == batch).all() and (padded[count:] == batch[-1]).all()


def test_zooming():
    """A wider border repeats the outermost pixels around a smaller image; a narrower one cuts them off."""
    images = np.full([2, 64, 256, 3], 40, np.float32)
    images[1, 8:-8, 16:-16] = 200
    with Recognizer.from_pretrained() as recognizer:
        zoom = recognizer._inference.zoom
        np.testing.assert_array_equal(zoom(images, 0, 0), images)
        for border, rows, columns in ((16, 32), 32, 179), ((-8, -16), 64, 256), ((-4, -8), 54.9, 238.9):
            zoomed = zoom(images, *border)
            assert zoomed.shape == images.shape and (zoomed[0] == 40).all()
            for line, length in (zoomed[1, :, 128], rows), (zoomed[1, 32], columns):
                assert abs((line[:, 0] > 120).sum() - length) <= 1.5
                assert line.max() == 200 and (line.min() == 40 or length == len(line))


def test_doubtful_texts_are_put_to_the_vote():
    """Here every text is. The image and the points on it are those of the image as it was; the rest is of the view."""
    images = list(find_images([SAMPLES]))
    model = ("model {{ multi_predictors_recognition_model {{ reading {{ doubtful_probability: 1 wide_characters: 0 "
             "use_word_list: false also_inverted: false also_zoomed: {} }} }} }}")
    with Recognizer.from_pretrained(overrides=[model.format("false")]) as recognizer:
        plain = list(recognizer.recognize(images, details=True, orientations=[0]))
        zoomed = [[recognizer._inference.zoom(reading.image[None], *border)[0] for reading in plain]
                  for border in ((6, 13), (-4, -8))]
        first = recognizer.recognize_preprocessed(zoomed[0], details=True)
        second = recognizer.recognize_preprocessed([255 - image for image in zoomed[1]], details=True)
    with Recognizer.from_pretrained(overrides=[model.format("true")]) as recognizer:
        voted = list(recognizer.recognize(images, details=True, orientations=[0]))
    views = set()
    for i, reading in enumerate(voted):
        candidates = [plain[i], first[i], second[i]]
        expected = policy.most_voted(candidates, [one.score for one in candidates], policy.ReadingPolicy())
        assert reading.text == expected.text and abs(reading.score - expected.score) < 1e-3
        view = [one is expected for one in candidates].index(True)
        np.testing.assert_allclose(reading.image, plain[i].image, atol=1e-3)
        np.testing.assert_allclose(reading.rectified, expected.rectified, atol=1e-3)
        rows, columns = [(0, 0), (6, 13), (-4, -8)][view]
        width, height = reading.image.shape[1], 64
        np.testing.assert_allclose(reading.control_points * [width, height] + [columns, rows],
                                   expected.control_points * [width + 2 * columns, height + 2 * rows], atol=1e-2)
        views.add(view)
    assert views == {0, 1, 2}
