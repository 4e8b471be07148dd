"""Measures reading with the full model, on a GPU if there is one.

    python benchmarks/read.py BATCH [fp32|bf16] [SECONDS]
"""
import sys
from typing import Callable

from common import (
    alternate,
    backbone,
    build_model,
    check_precision,
    checkpoint,
    demo_config,
    random_images,
    report,
    saved_model,
    tf,
)

from aster.compat import session_config
from aster.reading.batches import BatchSplitter

CASES = (  # name, most steps of a text, sharpness
    ("8 letters, without doubt, as trained weights read most words", 9, 1000),
    ("8 letters, all in doubt", 9, 1),
    ("30 letters, all in doubt: random weights never end a text", 30, 1))


def main(batch: int, precision: str = "fp32", seconds: float = 15) -> None:
    check_precision(precision)
    with tf.Graph().as_default():
        features = backbone(batch, is_training=False).op  # an operation is run; a tensor would be copied out too
        backbone_session = tf.Session(config=session_config(reading=True, mixed_precision=precision == "bf16"))
        backbone_session.run(tf.global_variables_initializer())
    run_backbone = backbone_session.make_callable(features)
    images = random_images(batch)
    for case, steps, sharpness in CASES:
        config = demo_config()
        for predictor in config.model.multi_predictors_recognition_model.predictor:
            predictor.attention_predictor.max_num_steps = steps
        read = reader(config, precision, sharpness)
        model_time, backbone_time = alternate([lambda read=read: read(images), run_backbone], seconds)
        report("read", batch, batch / model_time, ratio_to_backbone=backbone_time / model_time, precision=precision,
               case=case, backbone_images_per_second=round(batch / backbone_time, 1))


def reader(config, precision: str, sharpness: float = 1) -> Callable:
    """Returns a function from images [B, 64, 256, 3] to texts and scores, built as the Recognizer builds it.

    Args:
      config: a TrainEvalPipelineConfig of experiments/demo.
      precision: "fp32" or "bf16".
      sharpness: see common.saved_model.
    """
    with saved_model(config, sharpness) as path, tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 64, 256, 3])
        with checkpoint.constants(path):
            recognition = build_model(config.model, mixed_precision=precision == "bf16").recognize(images)
        session = tf.Session(config=session_config(reading=True, mixed_precision=precision == "bf16"))
        run = session.make_callable([recognition.texts, recognition.scores], [images])
        return BatchSplitter(lambda part: list(zip(*run(part))))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3], *map(float, sys.argv[3:4]))
