"""Measures training steps of the full model, on a GPU if there is one.

    python benchmarks/train.py BATCH [fp32|bf16] [SECONDS]
"""
import sys
from typing import Callable

from common import (
    alternate,
    backbone,
    build_model,
    check_precision,
    demo_config,
    peak_mb,
    random_images,
    report,
    texts,
    tf,
)

from aster.compat import session_config
from aster.data.dataset import Batch
from aster.training.clones import build_clones, clone_devices
from aster.training.update import device_to_compile_for, train_op


def main(batch: int, precision: str = "fp32", seconds: float = 60) -> None:
    check_precision(precision)
    train_model = training_step(demo_config(), batch, precision)
    train_model()
    peak = peak_mb()
    with tf.Graph().as_default():
        loss = tf.reduce_mean(tf.square(backbone(batch, is_training=True)))
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        step = tf.group(tf.train.AdadeltaOptimizer(1.0).minimize(loss), *updates)
        train_backbone = start(precision).make_callable(step)
    model_time, backbone_time = alternate([train_model, train_backbone], seconds)
    report("train", batch, batch / model_time, ratio_to_backbone=backbone_time / model_time, precision=precision,
           peak=peak, backbone_images_per_second=round(batch / backbone_time, 1))


def training_step(config, batch: int, precision: str = "fp32", *, fused: bool = True) -> Callable:
    """Returns a function that makes one training step of the whole model on random images.

    Args:
      config: a TrainEvalPipelineConfig of experiments/demo.
      batch: images in a step.
      precision: "fp32" or "bf16".
      fused: with the library's C++ ops; otherwise with standard ops.
    """
    with tf.Graph().as_default():
        images = tf.Variable(random_images(batch), trainable=False)
        data = Batch(images, tf.constant(texts(batch)), None, None)
        devices = clone_devices(1, on_cpu=False)
        model = build_model(config.model, on_gpu=devices[0].startswith("/gpu"), fused=fused,
                            mixed_precision=precision == "bf16")
        clones = build_clones(model, [data], devices)
        step, _ = train_op(clones, config.train_config, tf.train.get_or_create_global_step(),
                           compile_for=device_to_compile_for(devices, clones))
        return start(precision).make_callable(step)


def start(precision: str) -> tf.Session:
    """Returns a session of the current graph with all variables initialized."""
    session = tf.Session(config=session_config(mixed_precision=precision == "bf16"))
    session.run(tf.global_variables_initializer())
    return session


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3], *map(float, sys.argv[3:4]))
