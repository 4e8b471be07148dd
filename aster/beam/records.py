"""Images of words with their texts -> TFRecord files."""
import zlib
from typing import Any, Iterator, NamedTuple

from aster.beam import quiet
from aster.beam.installed import beam
from aster.beam.shards import WriteShards, temporary_folder
from aster.beam.words import Broken, Word, count
from aster.data.writing import make_record, shard_paths


class Written(NamedTuple):
    """What WriteTFRecord gives: the PCollections of the paths that were written, and of Broken."""
    paths: Any
    broken: Any


class WriteTFRecord(beam.PTransform):
    """Writes records to train on: a PCollection of Words with texts -> Written.

    What can't be trained on, by the rules of the converters in tools/, is in `broken`. The counters `written` and
    `broken` count both. Images are copied as they are; only one whose EXIF orientation turns it is written anew,
    upright, as PNG.

    The files appear together when all are complete, and replace those of an earlier run. Where there is no record at
    all, those stay. The name of an image tells its shard, so that another run makes the same shards, with the records
    in any order.

    Args:
      path: the file, on any file system that Beam knows. With several shards they are PATH-00000-of-0000N and so on.
      num_shards: the number of files. One that would have no record is not written.
      temporary: a folder on the same file system. A new folder in it has what is not complete, and is removed in the
        end (default: a new folder PATH.part-...).
    """

    def __init__(self, path: str, num_shards: int = 1, temporary: str = "") -> None:
        super().__init__()
        if num_shards < 1:
            raise ValueError(f"num_shards must be 1 or more, not {num_shards}")
        self._path, self._num_shards = path, num_shards
        self._temporary = temporary_folder(f"{temporary}/records" if temporary else path)

    def expand(self, pcoll: Any) -> Any:  # Beam reads such hints, and knows no named tuple
        """Makes the records in all workers, and writes them."""
        make = beam.ParDo(_MakeRecords(self._num_shards))
        made = pcoll | "MakeRecords" >> make.with_outputs("broken", main="records")
        paths = made.records | "Write" >> WriteShards(shard_paths(self._path, self._num_shards), self._temporary)
        return Written(paths, made.broken)


class _MakeRecords(beam.DoFn):
    """Word -> (number of its shard, record as a file has it), or Broken."""

    def __init__(self, num_shards: int) -> None:
        self._num_shards = num_shards

    def setup(self) -> None:
        quiet.import_tensorflow()

    def process(self, word: Word) -> Iterator[Any]:
        from aster.data.records import frame_record
        try:
            framed = frame_record(_make_record(word))
        except ValueError as error:
            count("broken")
            yield beam.pvalue.TaggedOutput("broken", Broken(word.name, str(error)))
            return
        count("written")
        yield zlib.crc32(word.name.encode("utf-8", "backslashreplace")) % self._num_shards, framed


def _make_record(word: Word) -> bytes:
    from aster.data import example, image
    if word.error:
        raise ValueError(word.error)
    if word.text is None:
        raise ValueError("it has no text")
    return make_record(example.Sample(image.upright(word.image), word.text, word.lexicon, filename=word.name))
