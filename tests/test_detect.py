"""Whole photos: words that a detector finds are cut out and read."""
import json
import os
import sys
import types

import numpy as np
import pytest
from experiment import run
from PIL import Image

from aster import demo
from aster.pretrained import SAMPLES
from aster.reading import detection


@pytest.fixture
def photo(tmp_path):
    """A photo with two words; returns its path and their corners."""
    picture, corners = Image.new("RGB", (500, 300), (150, 150, 140)), []
    for name, (x, y) in ("2_Market.jpg", (260, 180)), ("1_exit.jpg", (20, 30)):
        word = Image.open(os.path.join(SAMPLES, name)).convert("RGB")
        word = word.resize((200, int(200 * word.height / word.width)))
        picture.paste(word, (x, y))
        corners.append([[x, y], [x + 200, y], [x + 200, y + word.height], [x, y + word.height]])
    path = str(tmp_path / "photo.png")
    picture.save(path)
    return path, corners


@pytest.fixture
def detector(monkeypatch, photo):
    """Puts a detector that knows the photo in the place of rapidocr."""
    def detect(pixels, **_):
        blue_last = np.asarray(Image.open(photo[0]).convert("RGB"))[:, :, ::-1]
        found = pixels.shape == blue_last.shape and (pixels == blue_last).all()
        return types.SimpleNamespace(boxes=np.array(photo[1], np.float32) if found else None)
    monkeypatch.setitem(sys.modules, "rapidocr", types.SimpleNamespace(RapidOCR=lambda **_: detect))
    detection._detector.cache_clear()
    yield
    detection._detector.cache_clear()


def test_the_words_of_a_photo(detector, photo, tmp_path, capsys):
    results = tmp_path / "results.json"
    assert run(demo, "--detect", "--input_image", photo[0], "--json", results) is None
    found = json.loads(results.read_text())
    assert [(row["path"], row["text"].lower()) for row in found] == [(photo[0], "exit"), (photo[0], "market")]
    assert [row["corners"] for row in found] == photo[1][::-1]  # from top to bottom
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_has_no_text_or_is_no_image_is_named(detector, photo, tmp_path, caplog):
    Image.new("RGB", (50, 50)).save(str(tmp_path / "empty.png"))
    (tmp_path / "broken.png").write_bytes(b"no image")
    message = run(demo, "--detect", "--input_image", tmp_path / "empty.png", tmp_path / "broken.png", photo[0])
    assert message == "1 of 3 images could not be read"
    assert "empty.png: no text was found" in caplog.text and "broken.png" in caplog.text


def test_a_missing_package_is_named(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    detection._detector.cache_clear()
    assert "run: pip install rapidocr onnxruntime" in run(demo, "--detect", "--input_image", photo[0])
