"""EXIF orientation: applied to photos of one's own, not to published sets, and counted where it is not applied."""
import os

import numpy as np
import pytest
from conversion_helpers import REPORTS, encoded
from inspect_tfrecord import inspect
from PIL import Image
from writing import put

from aster.data.image import decode_image, load_image


def photo(orientation, kind="JPEG", size=(40, 16)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(*size, kind, exif=exif.tobytes())


def test_a_folder_of_photos(convert, data_dir):
    contents = [photo(1), photo(3), photo(6), photo(8, "PNG"), encoded()]
    for i, content in enumerate(contents):
        put(data_dir, f"{i}.jpg", content)
    put(data_dir, "list.tsv", "".join(f"{i}.jpg\ttext\n" for i in range(len(contents))))
    put(data_dir, "0.heic", b"")
    samples, output = convert("folder", "--list", "list.tsv")
    for sample, content in zip(samples, contents):
        np.testing.assert_array_equal(decode_image(sample.encoded), load_image(content))
    same = [sample.encoded == content for sample, content in zip(samples, contents)]
    assert same == [True, False, False, False, True]
    assert "passed over 1 file (1 .heic), not in the list" in output
    assert "EXIF" not in "\n".join(inspect([str(data_dir / ".." / "out.tfrecord")])[0])


def test_an_lmdb_of_photos(convert, data_dir):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(data_dir), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"num-samples", b"1")
        transaction.put(b"image-000000001", photo(6))
        transaction.put(b"label-000000001", b"text")
    sample, = convert("lmdb")[0]
    np.testing.assert_array_equal(decode_image(sample.encoded), load_image(photo(6)))
    assert decode_image(sample.encoded).shape == (40, 16, 3)


def test_published_sets_stay_as_they_are_and_inspect_counts(convert, data_dir):
    """Their boxes and keypoints are those of the stored pixels."""
    put(data_dir, "word_1.png", photo(6))
    put(data_dir, "word_2.png", photo(1))
    put(data_dir, "gt.txt", 'word_1.png, "a"\nword_2.png, "b"\n')
    put(data_dir, "coords.txt", "word_1.png,0,1,38,2,39,14,1,15\n")
    samples, _ = convert("ic15")
    assert samples[0].encoded == photo(6) and samples[0].keypoints is not None
    assert "with an EXIF orientation that training and evaluation do not apply: 1;" in "\n".join(
        inspect([str(data_dir / ".." / "out.tfrecord")])[0])
    os.remove(str(data_dir / "gt.txt"))
    put(data_dir, "img_1.jpg", photo(6, size=(90, 60)))
    put(data_dir, "gt_img_1.txt", "10,10,50,10,50,30,10,30,a\n")
    sample, = convert("ic15")[0]
    assert decode_image(sample.encoded).shape == (20, 40, 3)


def test_photos_of_reports(convert):
    folder = os.path.join(REPORTS, "phone_photos_exif")
    if not os.path.isdir(folder):
        pytest.skip("no ../shared/data/reports")
    samples, output = convert("folder", "--data_dir", folder, "--list", "labels.tsv")
    assert [sample.text for sample in samples] == [
        "street", "market", "hotel", "garden", "bakery", "museum", "library", "harbour"]
    for sample in samples:
        height, width, _ = decode_image(sample.encoded).shape
        assert width > height
        np.testing.assert_array_equal(decode_image(sample.encoded), load_image(os.path.join(folder, sample.filename)))
