"""Which shards of a conversion are complete."""
import argparse
import hashlib
import json
import os
from typing import List, Tuple

from conversion.output import complete_files


class Progress:
    """Remembers complete shards, in a file beside them that exists until all of them are complete.

    A conversion with other options starts anew. `new` has the number of words of each shard that this process wrote.
    Each shard has two counts: words written, and words skipped.
    """

    def __init__(self, name: str, arguments: argparse.Namespace, num_items: int) -> None:
        """Reads what an earlier conversion has left, if its options were the same.

        Args:
          name: the converter's.
          arguments: the parsed options.
          num_items: the length of the data set.
        """
        options = {name: value for name, value in vars(arguments).items() if name not in ("num_workers", "check")}
        described = json.dumps([name, options, num_items], sort_keys=True, default=str)
        self._path = arguments.output_path + ".progress"
        self._key = hashlib.sha1(described.encode("utf-8")).hexdigest()
        self._counts = {}
        self.new = []
        try:
            with open(self._path) as stream:
                content = json.load(stream)
            if content["key"] == self._key:
                self._counts = {int(i): (written, skipped) for i, (written, skipped) in content["counts"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def has(self, index: int, path: str) -> bool:
        """Tells whether a shard is complete.

        Args:
          index: the shard's number, from 0.
          path: its file, which may have been deleted since.

        Returns:
          Whether it is complete. One without words is complete without a file.
        """
        return index in self._counts and (not self._counts[index][0] or os.path.exists(path))

    def add(self, index: int, written: int, skipped: int) -> None:
        """Remembers that a shard is complete.

        Args:
          index: the shard's number, from 0.
          written: the number of its words.
          skipped: how many words were left out.

        Raises:
          OutputError: the file beside the shards can't be written.
        """
        self._counts[index] = written, skipped
        self.new.append(written)
        with complete_files([self._path]) as (part,), open(part, "w") as stream:
            json.dump({"key": self._key, "counts": self._counts}, stream)

    def empty_shards(self) -> List[int]:
        """Lists the shards that have no words.

        Returns:
          Their numbers, from 0.
        """
        return [index for index, (written, _) in sorted(self._counts.items()) if not written]

    def finish(self) -> Tuple[int, int]:
        """Deletes the file beside the shards.

        Returns:
          The number of words in all shards, and how many were skipped.
        """
        if os.path.exists(self._path):
            os.remove(self._path)
        counts = self._counts.values()
        return sum(written for written, _ in counts), sum(skipped for _, skipped in counts)
