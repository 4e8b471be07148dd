"""Training steps of the demo model: python benchmarks/train.py BATCH [fp32|bf16]"""
import sys

from common import (
    alternate,
    build_model,
    check_precision,
    demo_config,
    peak_mb,
    random_images,
    report,
    texts,
    tf,
    trunk,
)

from aster.compat import session_config
from aster.data.dataset import Batch
from aster.training.clones import build_clones
from aster.training.loop import train_op


def main(batch, precision="fp32", seconds=60):
    check_precision(precision)
    run = training_step(demo_config(), batch, precision)
    run()
    peak = peak_mb()
    with tf.Graph().as_default():
        loss = tf.reduce_mean(tf.square(trunk(batch, is_training=True)))
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        alone = tf.group(tf.train.AdadeltaOptimizer(1.0).minimize(loss), *updates)
        trunk_session = start(precision)
    mine, alone = alternate([run, trunk_session.make_callable(alone)], seconds)
    report("train", batch, batch / mine, alone / mine, precision, peak, trunk_images_per_second=round(batch / alone, 1))


def training_step(config, batch, precision="fp32", fused=True):
    """A function that makes one step of the whole model."""
    with tf.Graph().as_default():
        images = tf.Variable(random_images(batch), trainable=False)
        data = Batch(images, tf.constant(texts(batch)), None, None)
        clones = build_clones(build_model(config.model, fused=fused), data, ["/cpu:0"])
        step, _ = train_op(clones, config.train_config, tf.train.get_or_create_global_step())
        return start(precision).make_callable(step)


def start(precision):
    session = tf.Session(config=session_config(bfloat16=precision == "bf16"))
    session.run(tf.global_variables_initializer())
    return session


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3])
