#!/usr/bin/env python
"""Saves the first images of a TFRecord: extract_images.py data/test.tfrecord data/images 8"""
import itertools
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from aster.data import example, records  # noqa: E402


def main(path, folder, count):
    os.makedirs(folder, exist_ok=True)
    for record in itertools.islice(records.read_records(path), int(count)):
        if record.error:
            sys.exit(f"{record.where}: {record.error}")
        sample = example.parse(record.payload)
        extension = "png" if sample.encoded.startswith(b"\x89PNG") else "jpg"
        name = os.path.join(folder, "%02d_%s.%s" % (record.number, sample.text, extension))
        with open(name, "wb") as stream:
            stream.write(sample.encoded)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
