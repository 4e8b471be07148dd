"""The one place that asks which TensorFlow this is.

Everything else writes graph-mode code against `tf`, which is TensorFlow 1.4
itself or `tensorflow.compat.v1`. Graphs are always built inside
`with tf.Graph().as_default()`; nothing here switches off the eager mode of
the program that imports us.
"""
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only: 1.4 warns at the end of every stream
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default without AVX-512; 2.5 times faster there too

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # numpy 1.19 comments on 1.4's own source
    warnings.simplefilter("ignore", RuntimeWarning)
    import tensorflow as _tensorflow

IS_TF1 = _tensorflow.__version__.startswith("1.")
tf = _tensorflow if IS_TF1 else _tensorflow.compat.v1


def num_gpus():
    """GPUs that TensorFlow can use."""
    from tensorflow.python.client import device_lib  # no public name serves both
    return sum(device.device_type == "GPU" for device in device_lib.list_local_devices())


def map_structure(function, *structures):
    """Applies a function to the tensors of nested tuples and lists -> the same structure."""
    from tensorflow.python.util import nest  # no public name serves both
    return nest.map_structure(function, *structures)


def group_by_window(key, reduce, window_size):
    """For Dataset.apply: collects elements of one key (int64); `reduce` makes a dataset of window_size of them."""
    data = _tensorflow.contrib.data if IS_TF1 else _tensorflow.data.experimental
    return data.group_by_window(key, reduce, window_size)


def without_autotune(dataset):
    """TensorFlow 2 would tune the pipeline in a thread of its own, and closing the session wait for its next look, up
    to a minute later."""
    if IS_TF1:
        return dataset
    options = _tensorflow.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def session_config(num_cpus=1, reading=False, bfloat16=False):
    """ConfigProto of a session.

    Args:
      num_cpus: CPU devices, for clones.
      reading: for a graph of constants that is to be used at once: of TensorFlow 2's graph rewriters only the one
        that fuses convolutions runs, since the others copy all constants, for seconds.
      bfloat16: convolutions and matrix products in bfloat16, on processors that have it. Raises ValueError on 1.4.
    """
    config = tf.ConfigProto(allow_soft_placement=True, device_count={"CPU": num_cpus})
    config.gpu_options.allow_growth = True
    if IS_TF1:
        if bfloat16:
            raise ValueError(f"bfloat16 needs TensorFlow 2, this is {_tensorflow.__version__}; leave it out of the configuration")
        return config
    from tensorflow.core.protobuf import rewriter_config_pb2
    rewrite = config.graph_options.rewrite_options
    if bfloat16:
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    if reading:
        rewrite.optimizers.extend(["auto_mixed_precision_onednn_bfloat16"] * bfloat16 + ["remap"])
        rewrite.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    return config
