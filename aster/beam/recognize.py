"""Images of words -> texts."""
import os
from typing import Any, Iterator, List, NamedTuple, Optional

from aster import pretrained
from aster.beam import quiet
from aster.beam.installed import beam
from aster.beam.words import Broken, Word, count

_BATCH_SIZE = 32  # that of the Recognizer, whose module needs TensorFlow


class Text(NamedTuple):
    """What was read, as `aster.reading.inference.Reading` has it."""
    name: str  # the path of the image
    text: str
    score: float
    doubtful: bool
    hint: Optional[str]


class Recognize(beam.PTransform):
    """Reads the texts of images: a PCollection of Words -> two PCollections, `texts` of Text and `broken` of Broken.

    The counters `read` and `broken` count both. A worker process loads the model once, and its threads share it.

    Args:
      model: the name of a pretrained model, or an experiment folder, whose latest checkpoint is used. Each worker looks
        up the name in its own library; a folder must be there on each worker.
      batch_size: the number of images that are read together.
      num_threads: the number of threads by which a worker process computes. By default, local worker processes share
        the cores, and a process of a cluster has one thread, since runners start a process for each core.
    """

    def __init__(self, model: str = pretrained.DEFAULT, batch_size: int = _BATCH_SIZE, num_threads: Optional[int] = None
                 ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
        self._model = model if model in pretrained.list() else os.path.abspath(model)
        self._batch_size, self._num_threads = batch_size, num_threads

    def expand(self, pcoll: Any) -> Any:
        """Collects batches and reads them."""
        num_threads = self._num_threads or _threads_per_process(pcoll.pipeline.options)
        read = _Read(self._model, num_threads, beam.utils.shared.Shared())
        return (pcoll
                | "Batch" >> beam.BatchElements(min_batch_size=self._batch_size, max_batch_size=self._batch_size)
                | "Read" >> beam.ParDo(read).with_outputs("broken", main="texts"))


def _threads_per_process(options: Any) -> Optional[int]:
    """-> the number of threads of a worker process; None for one a core."""
    names = beam.options.pipeline_options
    runner = options.view_as(names.StandardOptions).runner or "DirectRunner"
    local = options.view_as(names.DirectOptions)
    if runner.rpartition(".")[2] not in names.StandardOptions.LOCAL_RUNNERS:
        return 1
    if local.direct_running_mode != "multi_processing":
        return None
    num_cores = len(os.sched_getaffinity(0))
    return max(1, num_cores // (local.direct_num_workers or num_cores))


class _Read(beam.DoFn):

    def __init__(self, model: str, num_threads: Optional[int], shared: Any) -> None:
        self._model, self._num_threads, self._shared = model, num_threads, shared

    def setup(self) -> None:
        self._recognizer = self._shared.acquire(self._load)

    def _load(self):
        quiet.start_tensorflow(self._num_threads)
        from aster.reading.recognizer import Recognizer
        return Recognizer.from_experiment(pretrained.find(self._model))

    def process(self, batch: List[Word]) -> Iterator[Any]:
        whole = [word for word in batch if not word.error]
        broken = [Broken(word.name, word.error) for word in batch if word.error]
        readings = self._recognizer.recognize([word.image for word in whole], len(batch), on_error="keep")
        for number, (word, reading) in enumerate(zip(whole, readings)):
            if reading.error:
                broken.append(Broken(word.name, reading.error.replace(f"image {number}: ", "", 1)))
            else:
                count("read")
                yield Text(word.name, reading.text, reading.score, reading.doubtful, reading.hint)
        count("broken", len(broken))
        for image in broken:
            yield beam.pvalue.TaggedOutput("broken", image)
