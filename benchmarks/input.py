"""Measures the input pipeline alone, on words of Synth90k's size; `step_ms` is what a training step waits for a batch.

    python benchmarks/input.py [BATCH] [--workers CORES ...] [--records FILE]

`--workers 1 2` measures it on one core and on two, in turns. `python_us` is the time for which the lock of Python is
held, in microseconds for each image: all cores together can't read more images a second than 1,000,000 / python_us.
"""
import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from typing import List, Optional

import numpy as np
from common import ROOT, demo_config, report, tf
from PIL import Image
from tensorflow.python.ops.script_ops import FuncRegistry  # no public name: it calls the functions of tf.py_func

from aster.data import example, records
from aster.data.dataset import make_dataset
from aster.data.image import decode_image
from aster.files import find_matches

HEIGHT = 31  # of Synth90k's images


def write_records(folder: str, num_images: int = 4000) -> str:
    """Renders words and writes them as JPEG images of Synth90k's height. Returns the path of the records."""
    rendered, path = os.path.join(folder, "rendered.tfrecord"), os.path.join(folder, "words.tfrecord")
    subprocess.check_call([sys.executable, os.path.join(ROOT, "tools", "create_synthetic_tfrecord.py"),
                           "--output_path", rendered, "--num_images", str(num_images)], stdout=subprocess.DEVNULL)
    with tf.python_io.TFRecordWriter(path) as writer:
        for record in records.read_records(rendered):
            sample = example.parse(record.payload)
            image = Image.fromarray(decode_image(sample.encoded))
            stream = io.BytesIO()
            image.resize([max(1, image.width * HEIGHT // image.height), HEIGHT], Image.BILINEAR).save(stream, "JPEG")
            writer.write(example.serialize(sample._replace(encoded=stream.getvalue())))
    return path


class PythonTime:
    """Adds up the processor time that threads spend in functions that TensorFlow calls in Python."""

    def __init__(self) -> None:
        """Starts to measure."""
        self.seconds = 0.0
        call = FuncRegistry.__call__

        def timed(*arguments):
            start = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
            try:
                return call(*arguments)
            finally:
                self.seconds += time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) - start
        FuncRegistry.__call__ = timed


def use_cores(cores: List[int]) -> None:
    """Lets all threads of this process run on these cores only."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), cores)


def main(batch: int, workers: List[int], records_path: Optional[str], seconds: float = 4, rounds: int = 5) -> None:
    """Measures and reports each number of cores."""
    all_cores = sorted(os.sched_getaffinity(0))
    if not all(1 <= count <= len(all_cores) for count in workers) or batch < 1:
        sys.exit(f"expected BATCH of 1 or more and --workers from 1 to {len(all_cores)}, the cores of this machine")
    if records_path and not find_matches(records_path):
        sys.exit(f"--records {records_path}: no such file")
    config = demo_config()
    python_time = PythonTime()
    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default(), tf.Session() as session:
        reader = config.train_input_reader[0]
        reader.tf_record_input_reader.input_path = records_path or write_records(folder)
        stream = make_dataset([reader], [batch], config.train_config.data_augmentation_options, is_training=True,
                              prefetch=config.train_config.prefetch_queue_capacity)
        session.run(stream.initializer)
        next_batch = session.make_callable(stream.batch.images.op)
        rates = {count: [] for count in workers or [len(all_cores)]}
        num_images, python_seconds = 0, 0.0
        for i in range(rounds + 1):
            for count in rates:
                use_cores(all_cores[:count])
                python_time.seconds, done, start = 0.0, 0, time.time()
                while time.time() < start + seconds:
                    next_batch()
                    done += batch
                if i:  # the first round warms up
                    rates[count].append(done / (time.time() - start))
                    num_images, python_seconds = num_images + done, python_seconds + python_time.seconds
        use_cores(all_cores)
    for count, values in rates.items():
        rate = float(np.median(values))
        report("input", batch, rate, step_ms=round(1000 * batch / rate, 1), workers=count,
               python_us=round(1e6 * python_seconds / num_images, 1),
               ratio_to_first=round(rate / float(np.median(rates[list(rates)[0]])), 2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batch", type=int, nargs="?", default=32, help="images in a batch")
    parser.add_argument("--workers", type=int, nargs="+", default=[], metavar="CORES", help="numbers of cores to use")
    parser.add_argument("--records", metavar="FILE", help="TFRecords to read; otherwise words are rendered first")
    options = parser.parse_args()
    main(options.batch, options.workers, options.records)
