"""What the benchmarks share: a model to measure, alternating measurements, one JSON line per case."""
import contextlib
import json
import os
import resource
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from aster import checkpoint  # noqa: E402
from aster.compat import tf  # noqa: E402
from aster.config import read_config  # noqa: E402
from aster.model.build import build_model  # noqa: E402
from aster.model.convnets import ResNet  # noqa: E402
from aster.model.layers import BatchNorm, LayerStyle, variance_scaling  # noqa: E402

DEMO = os.path.join(ROOT, "experiments", "demo")


def demo_config():
    return read_config(DEMO)


def random_images(batch):
    """float32 [B, 64, 256, 3], 0..255."""
    return np.random.RandomState(0).uniform(0, 255, [batch, 64, 256, 3]).astype(np.float32)


def texts(batch):
    words = ["benchmark", "a", "flexible", "rectification", "of", "scene", "text", "42"]
    return (words * batch)[:batch]


def trunk(batch, is_training):
    """The ResNet of the demo model alone, as plain TensorFlow -> feature maps of a batch of rectified size. In
    training it has variables, in reading constants."""
    style = LayerStyle(variance_scaling(), batch_norm=BatchNorm(decay=0.99), fold=False)
    images = tf.Variable(np.zeros([batch, 32, 100, 3], np.float32), trainable=False)
    random = np.random.RandomState(0)

    def getter(name, shape=None, **_):
        return random.uniform(0.5, 1.0, shape).astype(np.float32) * 0.05
    with tf.variable_scope("trunk", custom_getter=None if is_training else getter):
        return ResNet(style)(images, is_training)[0]


@contextlib.contextmanager
def saved_model(config, sharpness=1):
    """A checkpoint of the configuration's model with its first random values -> path. `sharpness` multiplies the
    decoders' last layers: random values leave every text in doubt, trained ones few."""
    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default(), tf.Session() as session:
        build_model(config.model, DEMO).recognize(tf.placeholder(tf.float32, [None, 64, 256, 3]))
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            if variable.op.name.endswith("dense/kernel"):
                variable.load(session.run(variable) * sharpness, session)
        yield tf.train.Saver(checkpoint.model_variables()).save(session, os.path.join(folder, "model.ckpt"))


def alternate(functions, seconds):
    """Calls the functions in turn for this long -> the median time of each. So noise hits all of them alike."""
    for function in functions:
        function()
    times = [[] for _ in functions]
    end = time.time() + seconds
    while time.time() < end or len(times[0]) < 3:
        for function, taken in zip(functions, times):
            start = time.time()
            function()
            taken.append(time.time() - start)
    return [float(np.median(taken)) for taken in times]


def check_precision(precision):
    """Ends the program, with a word on stderr, where the processor doesn't have what TensorFlow uses for bf16."""
    with open("/proc/cpuinfo") as stream:
        flags = set(stream.read().split())
    if precision == "bf16" and not flags & {"avx512_bf16", "amx_bf16"}:
        sys.exit(print("this processor has no bfloat16: nothing to measure", file=sys.stderr))


def peak_mb():
    """The largest memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def report(benchmark, batch, images_per_second, ratio_to_trunk=None, precision="fp32", peak=None, **more):
    """Prints one case as a JSON line."""
    line = dict(benchmark=benchmark, batch=batch, precision=precision, images_per_second=round(images_per_second, 1),
                ratio_to_trunk=ratio_to_trunk and round(ratio_to_trunk, 3), peak_mb=peak or peak_mb(),
                tensorflow=tf.__version__, cores=len(os.sched_getaffinity(0)), **more)
    print(json.dumps(line), flush=True)
