"""The files of checkpoints: which lie in a folder, in which order, and what reads them safely."""
import contextlib
import logging
import os
import re
import tempfile
from typing import Dict, Iterator, List, Sequence

import numpy as np

from aster.compat import tf
from aster.errors import cause, warn_once
from aster.files import is_no_file

_log = logging.getLogger(__name__)

MODEL = "model.ckpt"
OPTIMIZER = "optimizer.ckpt"
CHARACTERS = ".characters.json"  # follows the path of a checkpoint; see character_sets.py
BEST = "best"  # the folder in log that holds the best checkpoint
STATE = "checkpoint"  # TensorFlow's name of the file that lists the checkpoints of a folder
_PART = re.compile(r"\.(index|meta|data-[0-9]{5}-of-[0-9]{5}|characters\.json)$")
_INDEX = re.compile(r"(.+)-([0-9]+)\.index", re.DOTALL)
_INDEX_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # the last bytes of LevelDB's tables
# TensorFlow takes the path that it reads for a pattern, and one with a colon for a file of another machine. The last
# are the parts of names that are not UTF-8.
_NOT_PLAIN = re.compile(r"[*?\[\]\\:\ud800-\udfff]")


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of another model; the message says which, and what to do."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint's files are broken or incomplete. `problem` is the message without what to do."""

    def __init__(self, path: str, reason: str) -> None:
        """Makes the message.

        Args:
          path: the checkpoint's path.
          reason: what is wrong with it.
        """
        self.problem = f"{path}: damaged or not a checkpoint ({reason})"
        folder = os.path.dirname(path)
        best = list_checkpoints(os.path.join(folder, BEST))
        if [other for other in list_checkpoints(folder) if other != path]:
            advice = f"name another one, or move {path}.* to another folder to use the one before it"
        elif best:
            advice = f"name another one, such as {best[-1]}"
        else:
            advice = "name another one, or copy its files again from where they came"
        super().__init__(f"{self.problem}; {advice}")


def exists(path: str) -> bool:
    """Returns whether there is a checkpoint of this path, without .index. It may be damaged."""
    # the second is TensorFlow's first format
    return os.path.isfile(path + ".index") or os.path.isfile(path) and not _PART.search(path)


def step_of(path: str) -> int:
    """Returns the step in the name of a checkpoint; -1 if it has none."""
    match = _INDEX.fullmatch(os.path.basename(path) + ".index")
    return int(match.group(2)) if match else -1


def list_checkpoints(folder: str) -> List[str]:
    """Lists the checkpoints that lie in a folder.

    The file `checkpoint` of the folder names the latest. All others come before it, by the steps in their names: the
    file may be missing, damaged or incomplete. One that was saved after the file was written (the training was killed
    in between) is later still. Checkpoints elsewhere are never listed: a file `checkpoint` that was copied with its
    folder may name those of the original.

    Args:
      folder: usually an experiment's folder log.

    Returns:
      Their paths, the latest last.
    """
    return [os.path.join(folder, name) for name in _sorted(folder, _listed(folder))]


def list_latest(folder: str, count: int) -> List[str]:
    """Lists the checkpoints of which Saver keeps the latest only; a folder may have others, which are kept for good.

    Args:
      folder: an experiment's folder log.
      count: how many there are if the file `checkpoint` does not say.

    Returns:
      Their paths, the latest last.
    """
    listed = _listed(folder)
    names = _sorted(folder, listed)
    if listed:
        chosen = set(listed) | _saved_later(folder, listed)
        names = [name for name in names if name in chosen]
    else:
        names = names[-count:]
    return [os.path.join(folder, name) for name in names if re.fullmatch(re.escape(MODEL) + "-[0-9]+", name)]


def _sorted(folder: str, listed: Sequence[str]) -> List[str]:
    later = _saved_later(folder, listed)
    return sorted(_names(folder) | set(listed),
                  key=lambda name: (name in later, name in listed[-1:], step_of(name), name))


def _names(folder: str) -> set:
    """The names of all checkpoints with a step that lie in a folder."""
    try:
        files = os.listdir(folder)
    except OSError:
        return set()
    matches = [_INDEX.fullmatch(file) for file in files if os.path.isfile(os.path.join(folder, file))]
    return {match.group()[:-len(".index")] for match in matches if match and match.group(1) != OPTIMIZER}


def _listed(folder: str) -> List[str]:
    """The names of those checkpoints of a folder that its file `checkpoint` lists, the latest last."""
    file = os.path.join(folder, STATE)
    try:
        if is_no_file(file):
            raise ValueError("it is not a file")
        state = tf.train.get_checkpoint_state(os.path.abspath(folder))
    except Exception as error:  # of several types
        warn_once(_log, f"{file}: damaged ({cause(error)}); the names of the files give the order")
        return []
    if not state:
        return []
    # the folder may have moved since: the file can hold absolute paths
    paths = [path for path in state.all_model_checkpoint_paths if path != state.model_checkpoint_path]
    if state.model_checkpoint_path:  # the latest, also where a published or edited file lists no others
        paths.append(state.model_checkpoint_path)
        name = os.path.basename(state.model_checkpoint_path)
        if not exists(os.path.join(folder, name)):
            warn_once(_log, f"{file} names {state.model_checkpoint_path}, but {folder} has no {name or 'such file'}; "
                            "checkpoints of other folders are not used")
    names = map(os.path.basename, paths)
    return [name for name in names if name and exists(os.path.join(folder, name))]


def _saved_later(folder: str, listed: Sequence[str]) -> set:
    """The names of those checkpoints that Saver wrote after the file `checkpoint`."""
    if not listed:
        return set()

    def time(name: str) -> float:
        with contextlib.suppress(OSError):  # deleted by a training meanwhile
            return os.path.getmtime(os.path.join(folder, name))
        return 0.0
    return {name for name in _names(folder)
            if name.startswith(MODEL + "-") and name not in listed and step_of(name) > step_of(listed[-1])
            and time(name + ".index") > time(STATE)}


class Reader:
    """Reads the variables of a checkpoint. Whatever fails is a DamagedCheckpoint. `shapes` is {name: shape}."""

    def __init__(self, path: str, plain_path: str) -> None:
        """Opens it; see `open_reader`."""
        self._path = path
        _check_files(path)
        with self._guard():
            _check_end(path + ".index")
            self._reader = tf.train.NewCheckpointReader(plain_path)
            self.shapes: Dict[str, List[int]] = self._reader.get_variable_to_shape_map()
            self._check_size(path + ".data-00000-of-00001")

    def _check_size(self, file: str) -> None:
        """Raises ValueError if a file, which has the values of all variables one behind the other, is cut short."""
        dtypes = {name: tf.as_dtype(dtype) for name, dtype in self._reader.get_variable_to_dtype_map().items()}
        if tf.string in dtypes.values() or not os.path.isfile(file):
            return
        expected = sum(dtypes[name].size * int(np.prod(shape)) for name, shape in self.shapes.items())
        size = os.path.getsize(file)
        if size < expected:
            raise ValueError(f"{os.path.basename(file)} ends after {size} of {expected} bytes: {expected - size} are "
                             "missing")

    def read(self, name: str) -> np.ndarray:
        """Reads a variable; float16 becomes float32.

        Args:
          name: its name in the checkpoint.

        Returns:
          Its value.

        Raises:
          DamagedCheckpoint: it can't be read.
        """
        with self._guard():
            value = np.asarray(self._reader.get_tensor(name))  # a text comes without
        return value.astype(np.float32) if value.dtype == np.float16 else value

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # TensorFlow 1.4 and 2 raise different types
            reason = cause(error) if exists(self._path) else "its files are gone"
            raise DamagedCheckpoint(self._path, reason) from error


def _check_end(file: str) -> None:
    """Raises ValueError if an index is cut short. Where it ends is in its last bytes, so nobody knows what is missing.
    """
    with contextlib.suppress(FileNotFoundError), open(file, "rb") as stream:  # TensorFlow's first format has no index
        size = os.path.getsize(file)
        stream.seek(max(0, size - len(_INDEX_END)))
        if stream.read() != _INDEX_END:
            raise ValueError(f"{os.path.basename(file)} has no end: it is no index, or cut short after {size} bytes")


def _check_files(path: str) -> None:
    """Raises DamagedCheckpoint where a part of a checkpoint is no file: TensorFlow would wait for a pipe forever."""
    folder, name = os.path.split(path)
    for file in os.listdir(folder or os.curdir) if os.path.isdir(folder or os.curdir) else []:
        part = os.path.join(folder, file)
        if file.startswith(name) and (file == name or _PART.fullmatch(file[len(name):])) and is_no_file(part):
            raise DamagedCheckpoint(path, f"{part} is not a file")


@contextlib.contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """Opens a checkpoint, also one whose path TensorFlow would take for a pattern, within a `with`.

    Args:
      path: the checkpoint's path.

    Yields:
      A Reader.

    Raises:
      DamagedCheckpoint: it can't be read.
    """
    if not _NOT_PLAIN.search(os.path.abspath(path)):
        yield Reader(path, path)
        return
    folder, name = os.path.split(os.path.abspath(path))
    with tempfile.TemporaryDirectory() as links:
        plain_path = os.path.join(links, MODEL)
        for file in os.listdir(folder) if os.path.isdir(folder) else []:
            if file == name or file.startswith(name + "."):
                os.symlink(os.path.join(folder, file), plain_path + file[len(name):])
        yield Reader(path, plain_path)
