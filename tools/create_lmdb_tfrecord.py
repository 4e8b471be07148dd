#!/usr/bin/env python
"""Converts an LMDB of the layout that most recognisers share: num-samples, image-%09d and label-%09d, from 1.

    python tools/create_lmdb_tfrecord.py --data_dir data_lmdb_release/evaluation/SVT --output_path data/svt.tfrecord

Images go in as they are.
"""
import functools
import os

from conversion.convert import SourceError, make_parser, run


class Numbers:
    """1 to count as a sequence of names."""

    def __init__(self, count):
        self._count = count

    def __len__(self):
        return self._count

    def __getitem__(self, part):
        return ["image-%09d" % i for i in range(part.start + 1, part.stop + 1)]


def _open(path):
    import lmdb
    try:
        return lmdb.open(path, readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error as error:
        raise SourceError(f"{path} is no LMDB (expected a folder with data.mdb): {error}")


def load(arguments):
    with _open(arguments.data_dir) as environment, environment.begin() as transaction:
        count = transaction.get(b"num-samples")
    if count is None or not count.isdigit():
        raise SourceError(f"{arguments.data_dir} has no number under the key num-samples")
    return Numbers(int(count)), functools.partial(read_word, arguments.data_dir), None


@functools.lru_cache(maxsize=1)
def _opened(path, pid):
    """The LMDB of this process, which must not be another's."""
    return _open(path)


def read_word(path, name):
    from aster.data.example import Sample
    with _opened(path, os.getpid()).begin() as transaction:
        image = transaction.get(name.encode("ascii"))
        label = transaction.get(name.replace("image", "label").encode("ascii"))
    if image is None or label is None:
        raise ValueError("the LMDB has no such %s" % ("image" if image is None else "label"))
    try:
        yield Sample(image, label.decode("utf-8"), filename=name)
    except UnicodeDecodeError:
        raise ValueError("its label is not UTF-8 text")


def main(arguments=None):
    run(make_parser(__doc__).parse_args(arguments), load)


if __name__ == "__main__":
    main()
