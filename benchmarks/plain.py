"""Measures the full model beside the same model of variables and standard operations, as in the published system.

    python benchmarks/plain.py BATCH
"""
import sys
from typing import Callable, List

from common import alternate, build_model, checkpoint, demo_config, random_images, report, saved_model, tf
from read import reader
from train import training_step


def main(batch: int, seconds: float = 30) -> None:
    config = demo_config()
    for predictor in config.model.multi_predictors_recognition_model.predictor:
        predictor.attention_predictor.max_num_steps = 9  # random weights never end a text
    images = random_images(batch)
    read, read_plain = reader(config, "fp32"), plain_reader(config)
    compare("read", batch, [lambda: read(images), lambda: read_plain(images)], seconds)
    compare("train", batch, [training_step(config, batch, fused=fused) for fused in (True, False)], seconds)


def compare(case: str, batch: int, functions: List[Callable], seconds: float) -> None:
    """Measures two functions, the library's and the plain one, and prints the case as a JSON line."""
    library_time, plain_time = alternate(functions, seconds)
    report("plain", batch, batch / library_time, case=case, times_plain=round(plain_time / library_time, 2))


def plain_reader(config) -> Callable:
    """Returns a function from images [B, 64, 256, 3] to texts and scores, of variables and standard operations."""
    with saved_model(config) as path, tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 64, 256, 3])
        recognition = build_model(config.model, fused=False).recognize(images)
        session = tf.Session()
        checkpoint.restore(session, path, checkpoint.model_variables())
        return session.make_callable([recognition.texts, recognition.scores], [images])


if __name__ == "__main__":
    main(int(sys.argv[1]))
