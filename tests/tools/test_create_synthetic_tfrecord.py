"""Rendered words: reproducible, with true key points, and never a test word in training."""
import codecs
import hashlib
import io
import os
import re
import shutil
import string
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from aster.compat import tf
from aster.data import example

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path.append(TOOLS)

import create_synthetic_tfrecord as tool  # noqa: E402
from synthetic import effects, fonts, paint, photos, render, words  # noqa: E402
from synthetic.offensive import is_offensive  # noqa: E402
from synthetic.texts import TextSource  # noqa: E402

ENGLISH = ["street", "market", "Coffee", "exit", "Golden", "pharmacy", "jungle", "Quay"]


@pytest.fixture
def word_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\n".join(ENGLISH).encode("utf-8"))
    return str(path)


@pytest.fixture
def no_packages(monkeypatch):
    """Neither font packages nor a word list are installed."""
    monkeypatch.setattr(fonts, "_PACKAGED", ())
    monkeypatch.setitem(sys.modules, "spellchecker", None)


needs_fonts = pytest.mark.skipif(not fonts.find_paths(), reason="no fonts: pip install " + fonts.PACKAGES)


def make(tmp_path, name, *options):
    """Runs the tool -> the path that it wrote."""
    path = str(tmp_path / name)
    tool.run(tool.parse_arguments(["--output_path", path] + list(map(str, options))))
    return path


def read(path):
    return [example.parse(record) for record in tf.python_io.tf_record_iterator(path)]


def message_of(*arguments):
    """What the command says when it stops."""
    with pytest.raises(SystemExit) as stopped:
        tool.main(list(map(str, arguments)))
    assert stopped.value.code not in (None, 0)
    return str(stopped.value.code)


@needs_fonts
def test_output_does_not_depend_on_workers(tmp_path, word_file):
    options = ["--num_images", 40, "--words", word_file, "--seed", 5, "--num_shards", 2]
    for workers in 1, 3:
        make(tmp_path, f"workers{workers}", "--num_workers", workers, *options)
    for shard in "00000-of-00002", "00001-of-00002":
        one, three = [(tmp_path / f"workers{workers}-{shard}").read_bytes() for workers in (1, 3)]
        assert one == three
    assert not list(tmp_path.glob("*.part-*"))
    other = make(tmp_path, "seed6", *options[:4] + ["--seed", 6])
    first = read(str(tmp_path / "workers1-00000-of-00002"))
    assert len(first) == 20
    assert first[0].encoded != read(other)[0].encoded


@needs_fonts
def test_records_and_preview(tmp_path, word_file):
    preview = tmp_path / "sheet.png"
    path = make(tmp_path, "deep/folder.tfrecord", "--num_images", 20, "--words", word_file,
                "--preview", preview)
    for sample in read(path):
        picture = Image.open(io.BytesIO(sample.encoded))
        assert picture.mode == "RGB" and min(picture.size) >= 8
        assert sample.keypoints.shape == (2 * render.NUM_POINTS, 2)
        # A crop may cut into the text a little.
        assert (sample.keypoints >= -3).all() and (sample.keypoints <= np.add(picture.size, 3)).all()
        assert set(sample.text) <= set("".join(ENGLISH))
    assert Image.open(str(preview)).size[0] > 100


@needs_fonts
@pytest.mark.parametrize("spacing", [0, 12.5])
@pytest.mark.parametrize("sizes", [(48, 48, 48), (48, 36, 36), (36, 36, 96)], ids=str)
def test_keypoints_of_a_straight_word_are_the_edges_of_its_ink(sizes, spacing):
    face = fonts.find_faces("Hxg")[0]
    image, points = render.draw_text("Hxg", [fonts.load(face.path, size) for size in sizes], spacing=spacing)
    left, top, right, bottom = image.getbbox()
    assert np.allclose(points.min(axis=0), [left, top])
    assert np.allclose(points.max(axis=0), [right, bottom])
    assert left > 0 and top > 0 and right < image.width and bottom < image.height
    upper, lower = np.split(points, 2)
    assert (np.diff(upper[:, 0]) > 0).all() and (upper[:, 1] < lower[:, 1]).all()


@needs_fonts
def test_an_o_may_be_a_disc():
    font = fonts.load(fonts.find_faces("GOD")[0].path, 48)
    spacing = 10  # so that no letter reaches into another's columns
    plain, points = (np.asarray(one) for one in render.draw_text("GOD", 3 * [font], spacing=spacing))
    image, same_points = (np.asarray(one) for one in render.draw_text("GOD", 3 * [font], spacing=spacing,
                                                                      discs={1: 100}))
    np.testing.assert_allclose(points[:, 0], same_points[:, 0])
    changed = np.flatnonzero((image != plain).any(axis=0))
    left, right = changed[0], changed[-1] + 1
    ink = plain[:, left:right] > 0
    rows = np.flatnonzero(ink.any(axis=1))
    disc = image[rows[0]:rows[-1] + 1, left:right]
    assert ink.any(axis=0).all() and not plain[:, [left - 1, right]].any()
    assert not image[:rows[0], left:right].any() and not image[rows[-1] + 1:, left:right].any()
    assert abs(disc.mean() / 100 - np.pi / 4) < 0.02 and disc.max() == 100


@pytest.mark.parametrize("effect", [effects.stretch, effects.slant, effects.arc, effects.wave,
                                    effects.perspective, effects.rotate, effects.crop],
                         ids=lambda effect: effect.__name__)
@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_points_move_with_the_ink(effect, strength):
    """A bar of ink between the curves stays between them, and fills what is between them."""
    bar = Image.new("L", (220, 60))
    bar.paste(255, (10, 10, 210, 50))
    x = np.linspace(10, 210, 32)
    points = np.concatenate([np.column_stack([x, np.full(32, y)]) for y in (10.0, 50.0)])
    for seed in range(5):
        image, moved = effect(bar, points, np.random.RandomState(seed), strength)
        low, high = np.clip([moved.min(axis=0), moved.max(axis=0)], 0, image.size)  # a crop may cut some off
        # The margin is for the antialiased edge; cells of a curve are straight.
        assert np.abs(np.subtract(image.point(lambda v: 255 * (v > 127)).getbbox(),
                                  np.concatenate([low, high]))).max() < 2
        top, bottom = np.split(moved, 2)
        ink = np.asarray(image) > 127
        tenth = (bottom - top) / 10
        assert _at(ink, (top + tenth)[1:-1]).all() and _at(ink, (bottom - tenth)[1:-1]).all()
        assert not _at(ink, top - tenth).any() and not _at(ink, bottom + tenth).any()


def test_the_narrowest_word_keeps_most_of_its_ink():
    """An I, as narrow as a stroke; a comma, as low as one."""
    for width, height in (2, 60), (60, 2):
        bar = Image.new("L", (width + 20, height + 20), 255)
        points = np.array([[10, 10], [10 + width, 10], [10, 10 + height], [10 + width, 10 + height]], float)
        for seed in range(50):
            image, moved = effects.crop(bar, points, np.random.RandomState(seed), 1)
            shown = np.clip(moved[3], 0, image.size) - np.clip(moved[0], 0, image.size)
            assert (shown > 0.7 * (moved[3] - moved[0])).all()


def _at(ink, points):
    """Whether there is ink at each point; points outside of the image have none."""
    padded = np.pad(ink, 50, mode="constant")
    column, row = np.floor(points).astype(int).T + 50
    return padded[row, column]


@needs_fonts
def test_photograph_effects_keep_points_in_place():
    image = Image.fromarray(np.random.RandomState(0).randint(0, 255, (40, 120, 3)).astype(np.uint8))
    points = np.concatenate([np.column_stack([np.linspace(0, 120, 8), np.full(8, y)])
                             for y in (0.0, 40.0)])
    for _, effect in effects.EFFECTS[-5:]:
        result, moved = effect(image, points, np.random.RandomState(1), 1.0)
        assert np.allclose(moved.max(axis=0), result.size)


@needs_fonts
def test_neighbours_stand_around_the_word_and_not_on_it():
    font = fonts.load(fonts.find_faces("HANDLE")[0].path, render.FONT_SIZE)
    word, points = render.draw_text("HANDLE", 6 * [font])
    picture, moved = render.surround(word, points, font, neighbours=["AN", "HEN", "LAND", "HEAD"],
                                     rng=np.random.RandomState(0))
    left, top, right, bottom = moved[[0, 0, -1, -1], [0, 1, 0, 1]].astype(int)
    ink = np.asarray(picture)
    assert (ink[top:bottom, left:right] == np.asarray(word.crop(word.getbbox()))[:bottom - top, :right - left]).all()
    for side in ink[top:bottom, :left], ink[top:bottom, right:], ink[:top], ink[bottom:]:
        assert side.max() > 200
    alone, _ = render.surround(word, points, font, neighbours=[""] * 4, rng=np.random.RandomState(0))
    assert np.asarray(alone).sum() == np.asarray(word).sum()


@needs_fonts
def test_photographs_as_backgrounds(tmp_path, word_file, capfd):
    folder = tmp_path / "photos"
    folder.mkdir()
    assert "no photograph" in message_of("--output_path", tmp_path / "x", "--backgrounds", folder)
    rows = np.arange(300)[:, None, None] * np.ones([1, 400, 3])
    Image.fromarray((rows / 2).astype(np.uint8)).save(str(folder / "ramp.png"))
    piece = photos.Photos(str(folder)).piece((50, 30), np.random.RandomState(0))
    assert piece.shape == (30, 50, 3) and piece[-1].mean() > piece[0].mean() + 3
    make(tmp_path, "x", "--words", word_file, "--num_images", 16, "--backgrounds", folder)
    (folder / "broken.jpg").write_bytes(b"no image")
    for seed in range(4):  # the next one stands in for it
        again = photos.Photos(str(folder)).piece((50, 30), np.random.RandomState(seed))
        assert again[-1].mean() > again[0].mean() + 3
    assert capfd.readouterr().err.count("broken.jpg is left out") >= 1
    (folder / "ramp.png").write_bytes(b"no image either")
    with pytest.raises(photos.PhotoError, match="none of the 2"):
        photos.Photos(str(folder)).piece((50, 30), np.random.RandomState(0))


def test_words_joined_to_one():
    source = TextSource(["Sing", "Tel", "a" * 17], string.ascii_letters)
    rng = np.random.RandomState(0)
    drawn = {source._joined(rng).lower() for _ in range(200)}
    assert {"singtel", "telsing"} <= drawn and max(map(len, drawn)) <= 20
    spelled = {TextSource(["Sing"], string.ascii_letters)._joined(rng) for _ in range(200)}
    assert spelled == {"SingSing", "SINGSING", "singsing"}
    for split in "train", "test":
        source = TextSource(["Sing", "Tel", "Red", "Bank", "Inn"], string.ascii_letters + ".'", split=split)
        made = [kind(rng) for _ in range(200) for kind in (source._joined, source._punctuated)]
        for text in map(str.lower, filter(None, made)):  # also in inn's and www.inn.com
            assert {words.in_test_split(word) for word in source.words if word.lower() in text} == {split == "test"}
    assert not TextSource([], "0123456789.-")._punctuated(rng)


@pytest.mark.parametrize("seed", range(4))
def test_stripes_are_as_far_apart_as_the_line_says(seed):
    size, line = (400, 300), 50
    field = paint.stripes(size, line, np.random.RandomState(seed))
    assert field.shape == (300, 400) and field.dtype == np.float32
    assert -1 <= field.min() < -0.9 and 0.9 < field.max() <= 1
    # over a row, or a column, from one bar to the next
    jumps = max([np.flatnonzero(np.abs(np.diff(lines)) > 0.5) for lines in (field[150], field[:, 200])], key=len)
    assert 0.08 * line - 2 < np.diff(jumps[::2]).mean() < 2 * 0.8 * line


def test_glare_lights_what_is_beside_bright_letters():
    pixels = np.full([60, 120, 3], 20, np.uint8)
    pixels[20:40, 30:90] = 250
    points = np.array([[30, 20], [90, 20], [30, 40], [90, 40]], float)
    image = Image.fromarray(pixels)
    dark, lit = [np.asarray(effects.glare(image, points, np.random.RandomState(0), strength)[0], float)
                 for strength in (0, 1)]
    np.testing.assert_array_equal(dark, pixels)
    assert lit[18, 60].mean() > pixels[18, 60].mean() + 20 and lit[0, 0].mean() < 40


def test_punctuation_and_prices_only_where_the_charset_has_them():
    def drawn(charset):
        source, rng = TextSource(ENGLISH, charset), np.random.RandomState(0)
        return [source.draw(rng) for _ in range(800)]

    assert all(text.isalnum() for text in drawn(words.LATIN))
    texts = drawn(words.LATIN + ".,:$!?")
    assert any(text.startswith("$") and text[1:].replace(".", "").isdigit() for text in texts)
    assert any(text[:-1].lower() in map(str.lower, ENGLISH) and text[-1] in ".,!?" for text in texts)


def test_addresses_only_where_the_charset_has_their_signs():
    rng = np.random.RandomState(0)
    source = TextSource(ENGLISH, words.LATIN + ".@-:/")
    drawn = [source._address(rng) for _ in range(400)]
    assert any(text.startswith("www.") for text in drawn) and any("@" in text for text in drawn)
    assert all(re.fullmatch(r"[a-z0-9.@:/-]+\.[a-z]+", text.lower()) for text in drawn if not text.isalpha())
    assert max(map(len, drawn)) <= 24
    source = TextSource(ENGLISH, words.LATIN)
    assert all(source._address(rng).isalnum() for _ in range(100))
    assert TextSource([], words.LATIN + ".@-:/")._address(rng) == ""


def test_words_of_other_languages_for_photos():
    pytest.importorskip("spellchecker")
    listed = words.photo_words()
    assert {"schon", "manana", "heisses"} <= set(listed) and set("".join(listed)) <= set(words.LATIN)
    assert len(set(listed)) == len(listed) > 110000
    english = set(words.default_words())
    share = np.mean([word not in english for word in listed[:8000]])
    assert 0.1 < share < 0.15
    assert not any(map(is_offensive, listed))


@needs_fonts
def test_lines_of_words(tmp_path, word_file):
    path = make(tmp_path, "lines", "--num_images", 60, "--words", word_file, "--max_words", 4)
    counts = [len(sample.text.split(" ")) for sample in read(path)]
    assert set(counts) == {1, 2, 3, 4}


def test_long_lines_are_turned_less_than_words():
    def turn(width):
        points = np.array([[0, 0], [width, 0], [0, 40], [width, 40]], float)
        image = Image.new("L", (width, 40))
        moved = effects.rotate(image, points, np.random.RandomState(1), 1)[1]
        return np.degrees(np.arctan2(*(moved[1] - moved[0])[::-1]))
    assert turn(480) == pytest.approx(turn(100)) and abs(turn(100)) > 1
    assert turn(1920) == pytest.approx(turn(100) / 4)


@needs_fonts
def test_no_text_is_in_both_splits(tmp_path):
    texts = {}
    for split in "train", "test":
        source = TextSource(ENGLISH * 20 + [f"w{i}" for i in range(500)], words.LATIN, split=split)
        rng = np.random.RandomState(0)
        texts[split] = {source.draw(rng).lower() for _ in range(2000)}
        assert len(texts[split]) > 50
    assert not texts["train"] & texts["test"]
    assert len({words.in_test_split(text) for text in ("STREET", "street", "(Street)", "Street!")}) == 1


@needs_fonts
@pytest.mark.parametrize("max_words", [1, 3])
@pytest.mark.parametrize("charset", ["αβγδεζηθικλμνξοπρστυφχψω", words.LATIN + ".!'"], ids=["greek", "latin"])
def test_texts_are_made_of_words_of_their_split(charset, max_words):
    """Also where there are no digits for numbers; and nothing but single spaces is between words."""
    listed = ["λογος", "κοσμε", "θαλασσα"] if "α" in charset else ENGLISH
    sources = {split: TextSource(listed * 9, charset, split=split, max_words=max_words)
               for split in ("train", "test")}
    drawn = {split: [source.draw(np.random.RandomState(seed)) for seed in range(300)]
             for split, source in sources.items()}
    for split, texts in drawn.items():
        assert all(text == " ".join(text.split()) for text in texts)
        assert {words.in_test_split(part) for text in texts for part in text.split(" ")} == {split == "test"}


def test_share_of_the_test_split():
    share = np.mean([words.in_test_split(f"word{i}") for i in range(5000)])
    assert abs(share - words.TEST_FRACTION) < 0.02


@needs_fonts
def test_characters_that_no_font_has_are_not_drawn(tmp_path, capsys):
    path = tmp_path / "mixed.txt"
    path.write_bytes("Äpfel\n\U0001f409\u4e2d\n\U0001f409\n".encode("utf-8"))
    path = make(tmp_path, "mixed.tfrecord", "--words", path, "--num_images", 20)
    assert "left out" in capsys.readouterr().err
    texts = [sample.text for sample in read(path)]
    assert any("Ä" in text for text in texts)
    assert not set("".join(texts)) & {"\U0001f409"}


@needs_fonts
def test_a_font_that_lacks_a_character_is_not_used():
    dejavu = [face for face in fonts.find_faces("aжé") if face.family == "DejaVuSans"]
    if not dejavu:
        pytest.skip("DejaVu comes with matplotlib")
    assert dejavu[0].characters == set("aжé")
    lacking = fonts.Face("no/such/file.ttf", "Lacking", frozenset("a"))
    renderer = render.Renderer(TextSource(["жa"], "жa"), [lacking, dejavu[0]], seed=0, strength=0.5)
    assert renderer.faces_for("жa") == [[dejavu[0]]]
    assert not renderer.can_write("中")


@needs_fonts
def test_fonts_of_a_family_are_found_by_their_names(tmp_path, monkeypatch):
    some = fonts.find_paths()[0]
    monkeypatch.setattr(fonts, "_PACKAGED", ())
    for name in "Lato-Bold.ttf", "open-sans-latin-400-normal.woff", "open-sans-latin-700-italic.woff", "readme.txt":
        shutil.copy(some, str(tmp_path / name))
    assert [face.family for face in fonts.find_faces("a", [str(tmp_path)])] == ["Lato", "open-sans", "open-sans"]


@needs_fonts
def test_damaged_fonts_are_named(tmp_path, monkeypatch, capsys):
    good, bad = fonts.find_paths()[0], tmp_path / "bad.woff"
    bad.write_bytes(b"no font")
    monkeypatch.setattr(fonts, "_PACKAGED", ())
    shutil.copy(good, str(tmp_path / "Good.ttf"))
    assert [face.family for face in fonts.find_faces("a", [str(tmp_path)])] == ["Good"]
    assert f"1 of 2 fonts left out; the first: {bad}" in capsys.readouterr().err
    with pytest.raises(fonts.FontError, match="bad.woff"):
        fonts.find_faces("a", [good, str(bad)])

    def damaged(*_, **__):
        raise OSError("invalid outline")
    monkeypatch.setattr(fonts.ImageDraw.ImageDraw, "text", damaged)
    with pytest.raises(fonts.FontError, match="Good.ttf is a damaged font .invalid outline"):
        fonts.find_faces("a", [str(tmp_path / "Good.ttf")])


@needs_fonts
def test_numbers_alone(tmp_path):
    path = make(tmp_path, "numbers", "--num_images", 20, "--charset", "0123456789")
    assert all(sample.text.isdigit() for sample in read(path))


def test_shaking_brings_nothing_in_from_the_other_side():
    pixels = np.full([40, 100, 3], 20, np.uint8)
    pixels[:, -4:] = 250
    points = np.array([[5, 0], [95, 0], [5, 40], [95, 40]], float)
    for seed in range(9):
        shaken = np.asarray(effects.shake(Image.fromarray(pixels), points, np.random.RandomState(seed), 1)[0])
        assert shaken.shape == pixels.shape and (shaken[:, :50] == 20).all() and shaken[:, -1].min() > 100


def test_bad_arguments(tmp_path, word_file, capsys):
    for arguments, problem in ((("--num_images", "1.5"), "must be a whole number, 1 or more, not '1.5'"),
                               (("--seed", "-1"), "0 to 2"),
                               (("--num_images", "3", "--num_shards", "4"), "3 images are not enough"),
                               (("--difficulty", "2"), "must be 0 to 1, not '2'")):
        with pytest.raises(SystemExit):
            tool.parse_arguments(["--output_path", "x"] + list(arguments))
        assert problem in capsys.readouterr().err


@needs_fonts
def test_a_preview_in_the_place_of_the_output(tmp_path, word_file):
    assert "name the same file" in message_of("--output_path", tmp_path / "x", "--words", word_file,
                                              "--preview", tmp_path / "x")


def test_missing_fonts_and_words(tmp_path, word_file, no_packages):
    output = tmp_path / "out.tfrecord"
    assert "pip install matplotlib" in message_of("--output_path", output, "--words", word_file)
    assert "pip install pyspellchecker" in message_of("--output_path", output)
    assert "nowhere.txt" in message_of("--output_path", output, "--words", "nowhere.txt")
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"\n")
    assert "is empty" in message_of("--output_path", output, "--words", empty)
    latin1 = tmp_path / "latin1.txt"
    latin1.write_bytes(b"caf\xe9\n")
    assert "not UTF-8" in message_of("--output_path", output, "--words", latin1)
    for wrong in "no/such/folder", str(tmp_path), word_file:
        assert wrong in message_of("--output_path", output, "--words", word_file, "--fonts", wrong)
    assert not output.exists()


@needs_fonts
def test_unwritable_output(tmp_path, word_file):
    (tmp_path / "file").write_bytes(b"")
    for path in tmp_path / "file" / "out.tfrecord", tmp_path:
        assert "cannot write" in message_of("--output_path", path, "--words", word_file)


@needs_fonts
def test_an_error_leaves_no_file(tmp_path, word_file, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(tool, "write_records", interrupted)
    message = message_of("--output_path", tmp_path / "out" / "x.tfrecord", "--words", word_file)
    assert "nothing was written" in message
    assert not list((tmp_path / "out").iterdir())


def test_workers_do_not_need_tensorflow():
    code = "import sys, create_synthetic_tfrecord; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.call([sys.executable, "-c", code], cwd=TOOLS) == 0


@needs_fonts
@pytest.mark.parametrize("number", [0, 40])
def test_an_image_that_fails_is_named(tmp_path, word_file, monkeypatch, number):
    call = render.Renderer.__call__
    monkeypatch.setattr(render.Renderer, "__call__", lambda self, index: 1 // (index != number) and call(self, index))
    message = message_of("--output_path", tmp_path / "out" / "x.tfrecord", "--words", word_file, "--seed", 7,
                         "--num_images", 64, "--num_workers", 2)
    assert f"image {number} of --seed 7 failed: ZeroDivisionError" in message
    assert os.path.basename(__file__) in message
    assert not list((tmp_path / "out").glob("*"))


@needs_fonts
def test_an_error_in_what_was_given_is_told_as_it_is(tmp_path, word_file):
    (tmp_path / "photo.png").write_bytes(b"none")
    for seed in range(4):  # in the first image, or in a later one, which a worker renders
        message = message_of("--output_path", tmp_path / "x.tfrecord", "--words", word_file, "--seed", seed,
                             "--num_images", 64, "--num_workers", 2, "--backgrounds", tmp_path)
        assert message == "create_synthetic_tfrecord: none of the 1 photographs of --backgrounds can be read"


def test_default_words_have_those_of_signs_among_the_first():
    pytest.importorskip("spellchecker")
    listed = words.default_words()
    assert len(listed) == len(set(listed)) == 100000
    assert listed[:4] == ["the", "hotel", "you", "sale"]
    rng = np.random.RandomState(1)
    source, first = TextSource(listed, words.LATIN), set(listed[:3000])
    drawn = [source._word(rng).lower() for _ in range(20000)]
    assert 0.018 < drawn.count("the") / 20000.0 < 0.026
    assert 0.28 < sum(word in first for word in drawn) / 20000.0 < 0.35


# In ROT13, as in tools/synthetic/offensive.txt.
@pytest.mark.parametrize("word", ["nff", "NFFRF", "shpx", "Shpxvat", "fuvg", "fuvggl", "pbvghf", "cravfrf", "phzf",
                                  "juberf"])
def test_offensive_words_and_their_inflections(word):
    assert is_offensive(codecs.decode(word, "rot13"))
    assert is_offensive(f'"{codecs.decode(word, "rot13")}"!')


@pytest.mark.parametrize("word", [
    "Scunthorpe", "class", "assess", "PASS", "passes", "bass", "title", "titan", "cockpit", "Dickens", "spicy",
    "spices", "raccoon", "grape", "scrape", "drapes", "therapist", "Essex", "sextant", "analysis", "canal",
    "button", "crapes", "japes", "snigger", "Montenegro", "arsenal", "penitence", "organic", "Cummings",
    "document", "cucumber", "pigeon", "shuttlecock", "debugger", "whorl", "homosexual", "gay", "the", "24", ""])
def test_words_that_only_contain_an_offensive_one_are_kept(word):
    assert not is_offensive(word)


def test_the_renderer_draws_no_offensive_word_and_a_reader_knows_them():
    pytest.importorskip("spellchecker")
    drawn, reading = words.default_words(), words.reading_words()
    assert not any(map(is_offensive, drawn)) and len(reading) == len(set(reading)) == 100000
    left_out = sorted(set(reading) - set(drawn))
    assert 300 < len(left_out) < 1000 and all(map(is_offensive, left_out))
    # What is left is in the same order, and rare words take the places that are free.
    assert drawn[:len(reading) - len(left_out)] == [word for word in reading if not is_offensive(word)]


def test_the_list_that_comes_with_the_model_is_the_unfiltered_one():
    """words.txt was made with pyspellchecker 0.9: with another version, most of its words are the same."""
    pytest.importorskip("spellchecker")
    path = os.path.join(TOOLS, "..", "aster", "pretrained", "english", "words.txt")
    listed = words.read_words(path)
    assert len(listed) == 100000 and sum(map(is_offensive, listed)) > 300
    assert len(set(listed) & set(words.reading_words())) > 80000


def test_the_split_of_a_word_depends_on_nothing_but_the_word():
    """So no word changes its split when others are left out."""
    pytest.importorskip("spellchecker")
    for word in words.reading_words()[:2000]:
        assert words.in_test_split(word) == (int(hashlib.md5(word.encode()).hexdigest()[:8], 16) < 0.1 * 2 ** 32)
    for split in "train", "test":
        source = TextSource(words.default_words(), words.LATIN, split=split)
        rng = np.random.RandomState(2)
        drawn = {source.draw(rng).lower() for _ in range(2000)}
        assert {words.in_test_split(text) for text in drawn} == {split == "test"}


def test_chance_makes_no_offensive_word():
    source = TextSource(["pen", "is"], string.ascii_letters)
    rng = np.random.RandomState(0)
    joined = {source._joined(rng).lower() for _ in range(300)}
    assert "ispen" in joined and not any(map(is_offensive, joined))
    source = TextSource(["shot"], "shoit")
    misspelled = {source._misspelled(rng) for _ in range(300)}
    assert "shoo" in misspelled and not any(map(is_offensive, misspelled))
    source = TextSource([], "acs")
    strings = {source._random_string(rng) for _ in range(3000)}
    assert "sac" in strings and not any(map(is_offensive, strings))


def test_words_that_a_user_lists_are_drawn_as_they_are():
    source = TextSource([codecs.decode("pbpx", "rot13")], string.ascii_letters)
    drawn = {source._word(np.random.RandomState(seed)).lower() for seed in range(9)}
    assert drawn == {codecs.decode("pbpx", "rot13")}
