"""Files that appear when all of them are complete, of any number of shards, in bounded memory.

A runner on one machine would keep in memory what it groups. So only names of files are grouped here: each bundle writes
a file for each shard, these files are joined, and in the end all shards are renamed together.
"""
import errno
import glob
import os
import re
import shutil
import socket
import uuid
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from aster.beam.installed import beam
from aster.files import errors_name


class WriteShards(beam.PTransform):
    """Writes files: a PCollection of (number of a shard, bytes) -> a PCollection of the paths that were written.

    Bytes of one shard follow each other in any order. A shard without any is not written, and an old one is removed;
    where no shard has any, all old ones stay.

    Args:
      paths: the path of each shard, on any file system that Beam knows.
      temporary: a folder on the same file system that does not exist. It is removed in the end.
    """

    def __init__(self, paths: List[str], temporary: str) -> None:
        super().__init__()
        self._paths, self._temporary = paths, temporary

    def expand(self, pcoll: Any) -> Any:
        """Writes parts, joins those of a shard, and renames what was joined."""
        return (pcoll
                | "WriteParts" >> beam.ParDo(_WriteParts(self._temporary))
                | "Group" >> beam.GroupByKey()
                | "Join" >> beam.Map(_join, self._temporary)
                | "Gather" >> beam.combiners.ToList()
                | "Rename" >> beam.FlatMap(_rename, self._paths, self._temporary).with_output_types(str))


def temporary_folder(path: str) -> str:
    """Returns a new name for a folder beside an output, which tells the machine and the process that it is of."""
    return f"{path}.part-{uuid.uuid4().hex[:12]}-{socket.gethostname()}-{os.getpid()}"


def delete_abandoned(path: str) -> None:
    """Deletes what processes of this machine that were killed have left beside an output; nothing whose name
    `temporary_folder` does not give, and no folder of another machine, which may run."""
    ours = re.compile(re.escape(f"{path}.part-") + "[0-9a-f]{12}-" + re.escape(socket.gethostname()) + "-([0-9]+)")
    for folder in glob.glob(glob.escape(path) + ".part-*"):
        found = ours.fullmatch(folder)
        if found and not os.path.exists("/proc/" + found.group(1)) and os.path.exists("/proc/self"):
            shutil.rmtree(folder, ignore_errors=True)


def delete_file(path: str) -> None:
    """Deletes a file, if it is there.

    Raises:
      OSError: it is a folder, which Beam would delete with all that is in it.
    """
    check_no_folder(path)
    delete_folder(path)


def delete_folder(path: str) -> None:
    """Deletes a folder that `temporary_folder` has named, if it is there."""
    if _files().exists(path):
        _files().delete([path])


def check_no_folder(path: str) -> None:
    """Raises IsADirectoryError where a file is to be written or deleted, and a folder of this machine is there."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, and a file is to be written there; remove it, or name "
                                "another output", path)


def _files():
    return beam.io.filesystems.FileSystems


def _create(path):
    return _files().create(path, compression_type=beam.io.filesystem.CompressionTypes.UNCOMPRESSED)


def _open(path):
    return _files().open(path, compression_type=beam.io.filesystem.CompressionTypes.UNCOMPRESSED)


def _part(folder, shard):
    """A name of its own, since a runner may try a bundle again, or twice at the same time."""
    return _files().join(folder, f"{shard}-{uuid.uuid4().hex}")


@beam.typehints.with_input_types(Tuple[int, bytes])
@beam.typehints.with_output_types(Tuple[int, str])
class _WriteParts(beam.DoFn):
    """(shard, bytes) -> (shard, path of a part) at the end of a bundle."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._parts: Dict[int, Tuple[str, Any]] = {}

    def process(self, element: Tuple[int, bytes]) -> None:
        shard, data = element
        with errors_name(self._folder):
            if shard not in self._parts:
                path = _part(self._folder, shard)
                self._parts[shard] = path, _create(path)
            self._parts[shard][1].write(data)

    def finish_bundle(self) -> Iterator[Any]:
        window = beam.transforms.window.GlobalWindow()
        for shard, (path, stream) in self._parts.items():
            with errors_name(path):
                stream.close()
            yield beam.utils.windowed_value.WindowedValue((shard, path), window.max_timestamp(), [window])


def _join(element: Tuple[int, Iterable[str]], temporary: str) -> Tuple[int, str]:
    """Writes the parts of a shard one after the other -> (shard, path)."""
    shard, parts = element
    path = _part(temporary, f"joined-{shard}")
    with errors_name(path), _create(path) as target:
        for part in sorted(parts):
            with _open(part) as source:
                shutil.copyfileobj(source, target, 1 << 20)
    return shard, path


def _rename(joined: List[Tuple[int, str]], paths: List[str], temporary: str) -> Iterator[str]:
    """All shards take their places. It may run again after it has failed half-way."""
    for path in paths:
        check_no_folder(path)
    for shard, path in sorted(joined):
        if _files().exists(path):
            _files().rename([path], [paths[shard]])
        yield paths[shard]
    if joined:
        for shard in set(range(len(paths))) - {shard for shard, _ in joined}:
            delete_file(paths[shard])
    delete_folder(temporary)
