#!/usr/bin/env python
"""Converts an LMDB that has num-samples, image-%09d and label-%09d, counted from 1, as many recognizers use them.

    python tools/create_lmdb_tfrecord.py --data_dir data_lmdb_release/evaluation/SVT --output_path data/svt.tfrecord

Images are copied as they are. Only one whose EXIF orientation turns it is written anew, upright, as PNG.
"""
import argparse
import functools
import os
from typing import Iterator, List

from conversion.convert import DataSet, SourceError, make_parser, run


class ImageKeys:
    """The keys of the images, as a sequence that takes no memory."""

    def __init__(self, count: int) -> None:
        """Makes the sequence.

        Args:
          count: the number of images.
        """
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice) -> List[str]:
        return [f"image-{i:09d}" for i in range(part.start + 1, part.stop + 1)]


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of an LMDB.

    Args:
      arguments: the parsed options.

    Returns:
      The data set.

    Raises:
      SourceError: the folder is no LMDB, is cut short, or has not this layout.
    """
    import lmdb
    try:
        with _open(arguments.data_dir) as environment, environment.begin() as transaction:
            count = transaction.get(b"num-samples")
            num_entries = environment.stat()["entries"]
    except lmdb.Error as error:
        raise SourceError(f"{arguments.data_dir}: the LMDB is damaged ({error}); get it again") from error
    if count is None or not count.isdigit():
        raise SourceError(f"{arguments.data_dir} has no number under the key num-samples")
    if int(count) > num_entries:
        raise SourceError(f"{arguments.data_dir}: num-samples says {int(count)}, but there are only {num_entries} "
                          "entries, images and labels together; the LMDB is damaged")
    return DataSet(ImageKeys(int(count)), functools.partial(read_word, arguments.data_dir))


def _open(path):
    import lmdb
    try:
        environment = lmdb.open(path, readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error as error:
        raise SourceError(f"{path} is no LMDB (expected a folder with data.mdb), or cut short: {error}") from error
    # Reading behind the end of a file that is mapped into memory would end the process.
    size, whole = os.path.getsize(os.path.join(path, "data.mdb")), (
        environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if size < whole:
        environment.close()
        raise SourceError(f"{os.path.join(path, 'data.mdb')} ends after {size} of {whole} bytes: {whole - size} are "
                          "missing; get it again")
    return environment


@functools.lru_cache(maxsize=1)
def _opened(path, pid):
    """The LMDB of this process: an LMDB that was opened before a fork must not be used after it."""
    return _open(path)


def read_word(path: str, key: str) -> Iterator:
    """Reads an image and its label.

    Args:
      path: the folder of the LMDB.
      key: the key of the image.

    Yields:
      The Sample.

    Raises:
      ValueError: one of the two is missing, or the label is not UTF-8.
    """
    from aster.data import image as images
    from aster.data.example import Sample
    with _opened(path, os.getpid()).begin() as transaction:
        image = transaction.get(key.encode("ascii"))
        label = transaction.get(key.replace("image", "label").encode("ascii"))
    if image is None or label is None:
        raise ValueError(f"the LMDB has no such {'image' if image is None else 'label'}")
    try:
        text = label.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("its label is not UTF-8 text") from error
    yield Sample(images.upright(image), text, filename=key)


def main(arguments=None):
    run(make_parser(__doc__).parse_args(arguments), load)


if __name__ == "__main__":
    main()
