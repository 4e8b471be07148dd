"""Measures the input pipeline alone; `step_ms` is what a training step would wait for a batch.

    python benchmarks/input.py [BATCH]
"""
import os
import subprocess
import sys
import tempfile
import time

from common import ROOT, demo_config, report, tf

from aster.data.dataset import make_dataset


def main(batch: int = 32, seconds: float = 20) -> None:
    config = demo_config()
    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default():
        path = os.path.join(folder, "words.tfrecord")
        subprocess.check_call([sys.executable, os.path.join(ROOT, "tools", "create_synthetic_tfrecord.py"),
                               "--output_path", path, "--num_images", "2000"], stdout=subprocess.DEVNULL)
        reader = config.train_input_reader[0]
        reader.tf_record_input_reader.input_path = path
        stream = make_dataset([reader], [batch], config.train_config.data_augmentation_options, is_training=True,
                              prefetch=config.train_config.prefetch_queue_capacity)
        with tf.Session() as session:
            session.run(stream.initializer)
            next_batch = session.make_callable(stream.batch.images.op)
            for _ in range(20):
                next_batch()
            start, count = time.time(), 0
            while time.time() < start + seconds:
                next_batch()
                count += batch
            rate = count / (time.time() - start)
    report("input", batch, rate, step_ms=round(1000 * batch / rate, 1))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
