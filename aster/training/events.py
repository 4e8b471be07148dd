"""The event files that TensorBoard shows."""
import contextlib
import itertools
import os
import socket
import time
from typing import Any

from aster.compat import tf
from aster.data.records import frame_record
from aster.files import errors_name

_number = itertools.count()


class EventFile:
    """Writes summaries to a new event file of a folder. Each of them can be read when `add` returns.

    tf.summary.FileWriter writes in a thread of its own, where nobody notices a full disk (TensorFlow 1.4), or it ends
    with a traceback (TensorFlow 2).
    """

    def __init__(self, folder: str) -> None:
        """Makes the folder and the file in it. Raises OSError, which names the file, as all methods do."""
        self.path = os.path.join(folder, f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}."
                                         f"{next(_number)}")
        with errors_name(self.path):
            os.makedirs(folder, exist_ok=True)
        try:
            self._write(file_version="brain.Event:2")
        except OSError:
            with contextlib.suppress(OSError):
                os.remove(self.path)
            raise

    def add(self, summary: Any, step: int) -> None:
        """Adds a summary, a message or its bytes, of a global step."""
        message = summary if isinstance(summary, tf.Summary) else tf.Summary.FromString(summary)
        self._write(summary=message, step=step)

    def add_graph(self, graph: Any) -> None:
        """Adds a tf.Graph."""
        self._write(graph_def=graph.as_graph_def(add_shapes=True).SerializeToString())

    def _write(self, **fields: Any) -> None:
        with errors_name(self.path), open(self.path, "ab") as stream:
            stream.write(frame_record(tf.Event(wall_time=time.time(), **fields).SerializeToString()))
