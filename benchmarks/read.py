"""Reading with the demo model: python benchmarks/read.py BATCH [fp32|bf16]"""
import sys

from common import (
    alternate,
    build_model,
    check_precision,
    checkpoint,
    demo_config,
    random_images,
    report,
    saved_model,
    tf,
    trunk,
)

from aster.compat import session_config
from aster.reading.batches import BatchSplitter

CASES = (  # name, most steps of a text, sharpness
    ("8 letters, read without doubt as trained weights do", 9, 1000),
    ("8 letters, all in doubt", 9, 1),
    ("30 letters, all in doubt: random weights never end a text", 30, 1))


def main(batch, precision="fp32", seconds=15):
    check_precision(precision)
    with tf.Graph().as_default():
        features = trunk(batch, is_training=False).op  # run, not fetched
        trunk_session = tf.Session(config=session_config(reading=True, bfloat16=precision == "bf16"))
        trunk_session.run(tf.global_variables_initializer())
    alone = trunk_session.make_callable(features)
    fed = random_images(batch)
    for case, steps, sharpness in CASES:
        config = demo_config()
        for predictor in config.model.multi_predictors_recognition_model.predictor:
            predictor.attention_predictor.max_num_steps = steps
        read = reader(config, precision, sharpness)
        mine, trunk_alone = alternate([lambda: read(fed), alone], seconds)
        report("read", batch, batch / mine, trunk_alone / mine, precision, case=case,
               trunk_images_per_second=round(batch / trunk_alone, 1))


def reader(config, precision, sharpness=1):
    """A function from images [B, 64, 256, 3] to texts and scores."""
    with saved_model(config, sharpness) as path, tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 64, 256, 3])
        with checkpoint.constants(path):
            recognition = build_model(config.model).recognize(images)
        session = tf.Session(config=session_config(reading=True, bfloat16=precision == "bf16"))
        run = session.make_callable([recognition.texts, recognition.scores], [images])
        return BatchSplitter(lambda part: list(zip(*run(part))))  # as the Recognizer does


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3])
