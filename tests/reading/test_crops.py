"""Words cut out of a photo."""
import glob
import os

import numpy as np
import pytest
from PIL import Image

import aster
from aster.pretrained import SAMPLES

RAMP = np.stack([*np.meshgrid(np.arange(0, 200), np.arange(0, 100)), np.zeros([100, 200])], 2).astype(np.uint8)


def test_an_upright_rectangle_is_a_slice():
    cut = aster.crop(RAMP, [(20, 30), (80, 30), (80, 50), (20, 50)])
    np.testing.assert_array_equal(cut, RAMP[30:50, 20:80])


@pytest.mark.parametrize("turn", range(1, 4))
def test_the_first_corner_is_the_top_left_of_the_text(turn):
    corners = [(20, 30), (80, 30), (80, 50), (20, 50)]
    cut = aster.crop(RAMP, corners[turn:] + corners[:turn])
    np.testing.assert_array_equal(cut, np.rot90(RAMP[30:50, 20:80], turn))


def test_a_perspective_becomes_straight():
    """A word that was warped into a quadrilateral comes back."""
    word = np.asarray(Image.open(glob.glob(os.path.join(SAMPLES, "2_*"))[0]).convert("RGB").resize((120, 40)))
    corners = np.array([(30.0, 60.0), (160.0, 20.0), (170.0, 75.0), (35.0, 110.0)])
    from aster.reading.crops import _homography
    coefficients = _homography(corners, np.array([[0, 0], [120, 0], [120, 40], [0, 40]]))
    photo = Image.fromarray(word).transform((200, 130), Image.PERSPECTIVE, coefficients, Image.BICUBIC)
    cut = aster.crop(photo, corners.tolist())
    assert cut.shape[0] in range(50, 58) and cut.shape[1] in range(134, 140)
    back = np.asarray(Image.fromarray(cut).resize((120, 40), Image.BICUBIC)).astype(int)
    assert np.abs(back - word)[3:-3, 3:-3].mean() < 6


def test_beyond_the_border_it_is_continued():
    cut = aster.crop(RAMP, [(-10, -5), (20, -5), (20, 10), (-10, 10)])
    assert cut.shape == (15, 30, 3)
    np.testing.assert_array_equal(cut[5:, 10:], RAMP[:10, :20])
    assert (cut[:5, :, 1] == 0).all() and (cut[:, :10, 0] == 0).all()


@pytest.mark.parametrize("corners", [
    [(0, 0), (10, 0), (10, 10)], [(0, 0), (10, 10), (10, 0), (0, 10)], [(0, 0), (10, 0), (10, 0), (0, 10)],
    [(0, 0), (10, 0), (10, 0.2), (0, 0.2)], [(0, 0), (float("nan"), 0), (10, 10), (0, 10)],
    [(0, 0), (10, 0), (2, 2), (0, 10)], [(0, 0), (0, 10), (10, 10), (10, 0)],
    [(9000, 0), (9010, 0), (9010, 10), (9000, 10)],
    [(0, 0), (1e9, 0), (1e9, 1e9), (0, 1e9)], "text"])
def test_what_is_no_quadrilateral_is_told(corners):
    with pytest.raises(ValueError, match="corner|quadrilateral"):
        aster.crop(RAMP, corners)
