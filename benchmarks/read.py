"""Reading with the demo model: python benchmarks/read.py BATCH [fp32|bf16]"""
import sys

from common import (alternate, build_model, checkpoint, demo_config, peak_mb, random_images, report, saved_model,
                    tf, trunk)

from aster.compat import session_config


def main(batch, precision="fp32", seconds=30):
    config = demo_config()
    with saved_model(config) as path:
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, 64, 256, 3])
            with checkpoint.constants(path):
                recognition = build_model(config.model).recognize(images)
            session = tf.Session(config=session_config(reading=True, bfloat16=precision == "bf16"))
    read = session.make_callable([recognition.texts, recognition.scores], [images])
    fed = random_images(batch)
    read(fed)
    peak = peak_mb()
    with tf.Graph().as_default():
        features = trunk(batch, is_training=False).op  # run, not fetched
        trunk_session = tf.Session(config=session_config(bfloat16=precision == "bf16"))
        trunk_session.run(tf.global_variables_initializer())
    mine, alone = alternate([lambda: read(fed), trunk_session.make_callable(features)], seconds)
    report("read", batch, batch / mine, alone / mine, precision, peak, trunk_images_per_second=round(batch / alone, 1))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3])
