"""The one place that asks which TensorFlow this is.

Everything else writes graph-mode code against `tf`, which is TensorFlow 1.4
itself or `tensorflow.compat.v1`. Graphs are always built inside
`with tf.Graph().as_default()`. Nothing here switches off the eager mode of the
program that imports this library.
"""
import contextlib
import ctypes
import functools
import os
import warnings
from typing import Any, Callable, Optional, Tuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only: TensorFlow 1.4 warns whenever data ends
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default without AVX-512; 2.5 times faster there too

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # numpy 1.19 warns of TensorFlow 1.4's own source
    warnings.simplefilter("ignore", RuntimeWarning)
    import tensorflow as _tensorflow

VERSION: str = _tensorflow.__version__
IS_TF1 = VERSION.startswith("1.")
CAN_EXPORT_ONNX = not IS_TF1
HAS_ALL_REDUCE = not IS_TF1
CAN_COMPILE = not IS_TF1
CAN_COPY_AHEAD = not IS_TF1
GPU_REMEDY = ("TensorFlow 1.4 needs tensorflow-gpu==1.4.0, with libcudart.so.8.0 and libcudnn.so.6 on LD_LIBRARY_PATH"
              if IS_TF1 else 'pip install "tensorflow[and-cuda]"')
tf: Any = _tensorflow if IS_TF1 else _tensorflow.compat.v1

_CAPABILITY_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of cuda.h

_num_forks = 0  # between the process that imported this module and this one
_session_process: Optional[Tuple[int, int]] = None  # the process that first wanted a session; children inherit it


def _count_fork() -> None:
    global _num_forks
    _num_forks += 1


if hasattr(os, "register_at_fork"):  # Python 3.6 has none
    os.register_at_fork(after_in_child=_count_fork)


def _this_process() -> Tuple[int, int]:
    return os.getpid(), _num_forks  # the number alone may come again


def was_forked() -> bool:
    """Tells whether this process was forked from one that had used TensorFlow. No session works here then: each would
    wait for threads that only the other process has."""
    return _session_process not in (None, _this_process())


def check_not_forked() -> None:
    """Checks that sessions work in this process.

    Raises:
      ValueError: they would wait forever; see `was_forked`.
    """
    if was_forked():
        raise ValueError(
            "this process was forked from one that had used TensorFlow already, so that TensorFlow would hang here; "
            'start processes by multiprocessing.get_context("spawn") (with gunicorn: leave out --preload), or fork '
            "before the first Recognizer is made")


def claim_process() -> None:
    """Notes that TensorFlow is used in this process, so that it is refused in those that are forked from it.

    Raises:
      ValueError: this process is one of those; see `was_forked`.
    """
    global _session_process
    check_not_forked()
    _session_process = _this_process()


def describe() -> str:
    """Says in a line which TensorFlow this is, what it is built for, and which CUDA it wants."""
    text = f"TensorFlow {VERSION}, built for {'GPUs' if _tensorflow.test.is_built_with_cuda() else 'CPUs'}"
    build = {} if IS_TF1 else _tensorflow.sysconfig.get_build_info()
    if build.get("cuda_version"):
        text += f" (CUDA {build['cuda_version']}, cuDNN {build.get('cudnn_version', 'of any version')})"
    return text


@functools.lru_cache(maxsize=None)
def num_gpus() -> int:
    """Counts the GPUs that TensorFlow can use."""
    # Asked of a session, since device_lib takes no session_config: its devices would take all of the GPUs' memory.
    with contextlib.closing(tf.Session(graph=tf.Graph(), config=session_config())) as session:
        return sum(device.device_type == "GPU" for device in session.list_devices())


@functools.lru_cache(maxsize=None)
def is_tensor_core_gpu() -> bool:
    """Whether the first GPU multiplies float32 by tensor cores (TF32: compute capability 8.0, the A100, or newer). Its
    convolutions are fastest on images [B, H, W, C], and those of older ones on [B, C, H, W]."""
    # TensorFlow tells this only through its eager mode, after which a process that is forked from this one hangs.
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    device, major = ctypes.c_int(), ctypes.c_int()
    found = (cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), 0),
             cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device))
    return not any(found) and major.value >= 8


def num_threads() -> int:
    """Counts the threads that compute: one a core, unless TensorFlow's variable TF_NUM_INTRAOP_THREADS says another
    number."""
    limit = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) else len(os.sched_getaffinity(0))


def map_structure(function: Callable, *structures: Any) -> Any:
    """Applies a function to the tensors of nested tuples and lists. Returns the results in the same structure."""
    from tensorflow.python.util import nest  # no public name serves both
    return nest.map_structure(function, *structures)


def defun(*types: Any) -> Callable:
    """A decorator: makes a function of tensors of these types one of the graph, which an op can have as an
    attribute."""
    from tensorflow.python.framework import function  # no public name serves both
    return function.Defun(*types)


def without_autograph(function: Callable) -> Callable:
    """A decorator: TensorFlow 2 runs the function, and what it calls, as they are. Of other functions that a tf.data
    pipeline calls it runs converted copies."""
    return function if IS_TF1 else _tensorflow.autograph.experimental.do_not_convert(function)


def group_by_window(key: Callable, reduce: Callable, window_size: int) -> Callable:
    """Collects elements of a Dataset that have the same key.

    Args:
      key: a function of an element that gives its key, int64.
      reduce: a function (key, dataset of `window_size` elements) that makes a dataset of them.
      window_size: the number of elements.

    Returns:
      What Dataset.apply takes.
    """
    data = _tensorflow.contrib.data if IS_TF1 else _tensorflow.data.experimental
    return data.group_by_window(key, reduce, window_size)


def load_keras() -> Any:
    """Imports Keras 3, which computes by TensorFlow.

    Returns:
      The module keras.

    Raises:
      ImportError: this is TensorFlow 1.4, there is no Keras 3, or it computes by another backend.
    """
    if IS_TF1:
        raise ImportError(f"aster.keras_layers needs Keras 3, which needs TensorFlow 2, and this is {VERSION}; on "
                          "TensorFlow 1.4 use aster.model.rectifier and aster.model.decoder")
    try:
        import keras
    except ImportError as error:
        raise ImportError(f"aster.keras_layers needs Keras 3 with its TensorFlow backend, but `import keras` fails "
                          f"({error}); run: pip install 'keras>=3', and unset KERAS_BACKEND") from error
    if keras.__version__.startswith(("0.", "1.", "2.")):
        raise ImportError(f"aster.keras_layers needs Keras 3, and this is {keras.__version__}; run: "
                          "pip install 'keras>=3'")
    if keras.backend.backend() != "tensorflow":
        raise ImportError(f"Keras computes by {keras.backend.backend()} here, where aster.keras_layers would train "
                          "nothing; set the environment variable KERAS_BACKEND=tensorflow before Keras is imported")
    return keras


def runs_at_once() -> bool:
    """Tells whether operations run where they are written: in eager mode and, of those that change a variable, in a
    tf.function. In a graph, only a session runs them."""
    return not IS_TF1 and tf.executing_eagerly_outside_functions()


def is_compiled() -> bool:
    """Tells whether what is built now is for XLA, which has no kernels of ASTER's ops. Only TensorFlow 2 knows."""
    from tensorflow.python.ops import control_flow_util  # no public name tells
    return control_flow_util.GraphOrParentsInXlaContext(tf.get_default_graph())


def compiled(function: Callable, *arguments: Any) -> Any:
    """Calls a function of tensors in such a way that the graph gets one operation, which XLA compiles when it first
    runs. Only TensorFlow 2 can.

    Args:
      function: it takes tensors and lists of tensors, and returns a tensor. What it does to a variable happens in the
        order in which it is written. It must not make a variable.
      *arguments: of the function.

    Returns:
      The tensor.
    """
    return _tensorflow.function(function, autograph=False, jit_compile=True)(*arguments)


def make_deterministic() -> None:
    """Makes TensorFlow choose operations that give the same bits in every run, also on GPUs, in this process.

    Raises:
      ValueError: this is TensorFlow 1.4, which can't.
    """
    if IS_TF1:
        raise ValueError("train_config.deterministic needs TensorFlow 2; leave it out of the configuration. On a CPU, "
                         "train_config.seed is enough")
    _tensorflow.config.experimental.enable_op_determinism()


def stateless_uniform(shape: Any, seed: Any) -> Any:
    """Draws float32 numbers from 0 to below 1 that depend on the seed, int64 [2], alone. Returns a tensor [*shape]."""
    if IS_TF1:
        return _tensorflow.contrib.stateless.stateless_random_uniform(shape, seed)
    return tf.random.stateless_uniform(shape, seed)


def stateless_normal(shape: Any, seed: Any) -> Any:
    """Draws float32 numbers of the normal distribution, of mean 0 and deviation 1, as `stateless_uniform` does."""
    if IS_TF1:
        return _tensorflow.contrib.stateless.stateless_random_normal(shape, seed)
    return tf.random.stateless_normal(shape, seed)


def without_autotune(dataset: Any) -> Any:
    """Returns the Dataset, untuned.

    TensorFlow 2 would tune the pipeline in a thread of its own, and closing the session would wait for its next look,
    up to a minute later.
    """
    if IS_TF1:
        return dataset
    options = _tensorflow.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def copied_ahead(dataset: Any, device: str) -> Any:
    """Returns a Dataset whose next element is on a device already, while the one before is used. Its iterator must be
    made on that device, and nothing else be done to it. Only TensorFlow 2 can."""
    return dataset.apply(_tensorflow.data.experimental.prefetch_to_device(device, buffer_size=1))


def session_config(num_cpus: int = 1, reading: bool = False, mixed_precision: bool = False) -> Any:
    """Makes the ConfigProto of a session.

    Args:
      num_cpus: the number of CPU devices, for clones.
      reading: whether the graph holds constants and is used at once. Then only one of TensorFlow 2's graph rewriters
        runs, the one that fuses convolutions. The others copy all constants, which takes seconds.
      mixed_precision: whether convolutions and matrix products are done in bfloat16, on processors that have it. For
        GPUs, see `model.build`.

    Returns:
      A tf.ConfigProto.

    Raises:
      ValueError: `mixed_precision` on TensorFlow 1.4; or sessions don't work in this process, see `was_forked`.
    """
    claim_process()
    config = tf.ConfigProto(allow_soft_placement=True, device_count={"CPU": num_cpus})
    config.gpu_options.allow_growth = True
    if IS_TF1:
        if mixed_precision:
            raise ValueError(f"mixed_precision needs TensorFlow 2, and this is {VERSION}; leave it out of the "
                             "configuration")
        return config
    from tensorflow.core.protobuf import rewriter_config_pb2
    rewrite = config.graph_options.rewrite_options
    if is_tensor_core_gpu():
        rewrite.layout_optimizer = rewriter_config_pb2.RewriterConfig.OFF
    if mixed_precision:
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    if reading:
        rewrite.optimizers.extend(["auto_mixed_precision_onednn_bfloat16"] * mixed_precision + ["remap"])
        rewrite.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    return config
