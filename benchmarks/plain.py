"""The demo model beside the same of variables and standard operations, as the published system builds it:
python benchmarks/plain.py BATCH"""
import sys

from common import alternate, build_model, checkpoint, demo_config, random_images, report, saved_model, tf
from read import reader
from train import training_step


def main(batch, seconds=30):
    config = demo_config()
    for predictor in config.model.multi_predictors_recognition_model.predictor:
        predictor.attention_predictor.max_num_steps = 9  # random values never end a text
    fed = random_images(batch)
    read, plain = reader(config, "fp32"), plain_reader(config)
    compare("read", batch, [lambda: read(fed), lambda: plain(fed)], seconds)
    compare("train", batch, [training_step(config, batch, fused=fused) for fused in (True, False)], seconds)


def compare(benchmark, batch, functions, seconds):
    mine, plain = alternate(functions, seconds)
    report("plain", batch, batch / mine, case=benchmark, times_plain=round(plain / mine, 2))


def plain_reader(config):
    with saved_model(config) as path, tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 64, 256, 3])
        recognition = build_model(config.model, fused=False).recognize(images)
        session = tf.Session()
        checkpoint.restore(session, path, checkpoint.model_variables())
        return session.make_callable([recognition.texts, recognition.scores], [images])


if __name__ == "__main__":
    main(int(sys.argv[1]))
