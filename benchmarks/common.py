"""What the benchmarks share: a model to measure, measurements in turns, one JSON line for each case."""
import contextlib
import json
import os
import resource
import sys
import tempfile
import time
from typing import Callable, Iterator, List, Optional

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from aster import checkpoint  # noqa: E402
from aster.compat import num_gpus, tf  # noqa: E402
from aster.config import read_config  # noqa: E402
from aster.model.build import build_model  # noqa: E402
from aster.model.convnets import ResNet  # noqa: E402
from aster.model.layers import BatchNorm, LayerStyle, variance_scaling  # noqa: E402

DEMO = os.path.join(ROOT, "experiments", "demo")


def demo_config():
    """Returns the configuration of experiments/demo, a TrainEvalPipelineConfig."""
    return read_config(DEMO)


def random_images(batch: int) -> np.ndarray:
    """Returns float32 images [B, 64, 256, 3] of random values from 0 to 255, the same in each call."""
    return np.random.RandomState(0).uniform(0, 255, [batch, 64, 256, 3]).astype(np.float32)


def texts(batch: int) -> List[str]:
    """Returns `batch` texts of 1 to 13 characters to train on."""
    words = ["benchmark", "a", "flexible", "rectification", "of", "scene", "text", "42"]
    return (words * batch)[:batch]


def backbone(batch: int, is_training: bool) -> tf.Tensor:
    """Builds the ResNet of the full model alone, of TensorFlow's own layers.

    Args:
      batch: how many images it gets; they have the rectified size, 32x100.
      is_training: with variables; otherwise its weights are constants, as in the model that reads.

    Returns:
      The last feature maps, float32 [B, 1, 25, 512].
    """
    style = LayerStyle(variance_scaling(), batch_norm=BatchNorm(decay=0.99), fold=False)
    images = tf.Variable(np.zeros([batch, 32, 100, 3], np.float32), trainable=False)
    random = np.random.RandomState(0)

    def constant_weights(name, shape=None, **_):
        return random.uniform(0.5, 1.0, shape).astype(np.float32) * 0.05
    with tf.variable_scope("backbone", custom_getter=None if is_training else constant_weights):
        return ResNet(style)(images, is_training)[0]


@contextlib.contextmanager
def saved_model(config, sharpness: float = 1) -> Iterator[str]:
    """Saves a checkpoint of the configuration's model with random weights, for as long as the context lasts.

    Args:
      config: a TrainEvalPipelineConfig.
      sharpness: a factor for the decoders' last layers. Random weights leave every text in doubt, trained ones few; a
        large factor makes random weights as certain as trained ones.

    Yields:
      The path of the checkpoint.
    """
    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default(), tf.Session() as session:
        build_model(config.model, DEMO).recognize(tf.placeholder(tf.float32, [None, 64, 256, 3]))
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            if variable.op.name.endswith("dense/kernel"):
                variable.load(session.run(variable) * sharpness, session)
        yield tf.train.Saver(checkpoint.model_variables()).save(session, os.path.join(folder, "model.ckpt"))


def alternate(functions: List[Callable], seconds: float) -> List[float]:
    """Calls the functions in turns, so that noise of the machine hits all of them alike.

    Args:
      functions: they take no arguments. Each is called once before the measurement.
      seconds: how long to measure; each function is called at least three times.

    Returns:
      The median time of each function in seconds.
    """
    for function in functions:
        function()
    times: List[List[float]] = [[] for _ in functions]
    end = time.time() + seconds
    while time.time() < end or len(times[0]) < 3:
        for function, durations in zip(functions, times):
            start = time.time()
            function()
            durations.append(time.time() - start)
    return [float(np.median(durations)) for durations in times]


def check_precision(precision: str) -> None:
    """Ends the program with status 0 and a message on stderr where `precision` is "bf16", and the machine has neither
    a GPU nor a processor with bfloat16."""
    if num_gpus():
        return
    with open("/proc/cpuinfo") as stream:
        flags = set(stream.read().split())
    if precision == "bf16" and not flags & {"avx512_bf16", "amx_bf16"}:
        print("this processor has no bfloat16, so there is nothing to measure", file=sys.stderr)
        sys.exit(0)  # `make bench` goes on with the next case


def peak_mb() -> int:
    """Returns the largest memory of this process so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def report(benchmark: str, batch: int, images_per_second: float, *, ratio_to_backbone: Optional[float] = None,
           precision: str = "fp32", peak: Optional[int] = None, **more) -> None:
    """Prints one case as a JSON line.

    Args:
      benchmark: the name of the command.
      batch: images in a batch.
      images_per_second: the result.
      ratio_to_backbone: the result divided by that of the backbone alone.
      precision: "fp32" or "bf16".
      peak: the largest memory in MB; by default that of the process so far.
      **more: other fields of the line.
    """
    line = dict(benchmark=benchmark, batch=batch, precision=precision, images_per_second=round(images_per_second, 1),
                ratio_to_backbone=ratio_to_backbone and round(ratio_to_backbone, 3), peak_mb=peak or peak_mb(),
                tensorflow=tf.__version__, cores=len(os.sched_getaffinity(0)), **more)
    print(json.dumps(line), flush=True)
