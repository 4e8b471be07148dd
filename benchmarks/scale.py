"""Measures where the time of a training step goes, for clones and for workers with each strategy.

    python benchmarks/scale.py [BATCH] [--steps N]

The full model is trained on rendered words. 1, 2 and 4 clones share BATCH images, on all cores of this machine. 1 and 2
workers have half as many images each, and a core each; a parameter server runs on any core. One JSON line a case, in
milliseconds of a step, which are means over the workers of medians over the steps:

  data_ms      waiting for the batch
  compute_ms   from then until the worker, or the mean of the clones, has its own gradients
  others_ms    from then until the slowest worker or clone has its gradients
  exchange_ms  from then until the mean gradient is there. With a parameter server: fetching the parameters, and sending
               the gradients until they are applied; nobody waits for others
  update_ms    the rest: the optimizer, the moving averages, and the batch statistics
"""
import argparse
import contextlib
import logging
import multiprocessing
import os
import queue
import socket
import sys
import tempfile
import time

import numpy as np
from common import DEMO, demo_config, report, tf
from input import write_records

from aster.compat import session_config
from aster.training import loop
from aster.training.all_reduce import all_reduce_options
from aster.training.clones import clone_devices
from aster.training.cluster import ALL_REDUCE, PS, Cluster
from aster.training.collectives import Collectives
from aster.training.distributed import session_options
from aster.training.parameter_server import start_server
from aster.training.update import train_op

WARM_UP = 3  # steps


class Stamps:
    """The times at which gradients are there, as tensors: `own` of each clone or of this worker, `mean` of all."""

    def __init__(self, num_clones, collectives):
        self.num_clones, self.collectives = num_clones, collectives

    def make(self, clones, config, global_step):
        """Builds a step as `train_op` does, and the stamps."""
        gradients = [gradient for gradient, _ in clones.gradients]
        if self.collectives:
            parts = [[value for value, _ in self.collectives.step]]
        elif self.num_clones > 1:  # a mean is a sum of the clones' gradients, divided
            parts = list(zip(*[gradient.op.inputs[0].op.inputs for gradient in gradients]))
        else:
            parts = [gradients]
        self.own, self.mean = [stamp(part) for part in parts], stamp(gradients)
        return train_op(clones, config, global_step)


def stamp(tensors):
    """The time, in seconds, when the last of these tensors is there."""
    with tf.control_dependencies([tensor.op for tensor in tensors]), tf.device("/cpu:0"):
        return tf.py_func(time.monotonic, [], tf.float64)


def run_worker(results, barrier, records, cluster, batch, num_clones, steps):
    """A process that trains, and puts the times of each step into a queue."""
    for noisy in "tensorflow", "absl":
        logging.getLogger(noisy).setLevel(logging.ERROR)
    config = demo_config()
    config.train_input_reader[0].tf_record_input_reader.input_path = records
    del config.train_input_reader[1:]
    config.train_config.batch_size[:] = [batch]
    is_ps = cluster and "ps" in cluster.addresses
    options, target, place, collectives = session_config(num_clones), "", None, None
    part = (cluster.part, cluster.num_workers) if cluster else (0, 1)
    if cluster:
        options = (session_options if is_ps else all_reduce_options)(config, cluster, num_clones)
    options.inter_op_parallelism_threads = 32  # otherwise stamps wait for a thread that is free
    options.use_per_session_threads = not cluster  # a server has its own
    if cluster:
        target = start_server(cluster, num_clones, options).target
        place = cluster.device
    if is_ps:
        place = tf.train.replica_device_setter(worker_device=cluster.device, ps_device="/job:ps",
                                               cluster=tf.train.ClusterSpec(cluster.addresses))
    with tf.Graph().as_default(), tf.device(place):
        if cluster and not is_ps:
            collectives = Collectives(cluster.num_workers, cluster.part, "/cpu:0")
        stamps = Stamps(num_clones, collectives)
        graph = loop.build(config, DEMO, clone_devices(num_clones, on_cpu=True), part=part, make_update=stamps.make,
                           collectives=collectives)
        with tf.device(cluster.device if cluster else None):
            fetch = tf.group(*[tf.identity(variable).op for variable in tf.trainable_variables()])
        session = tf.Session(target, config=options)
        if not is_ps or cluster.is_chief:
            session.run(tf.global_variables_initializer())
        barrier.wait()
        session.run(graph.stream.initializer)
        for i in range(WARM_UP + steps):
            if i == WARM_UP:
                barrier.wait()
            pull = 0.0
            if is_ps:
                start = time.monotonic()
                session.run(fetch)
                pull = time.monotonic() - start
            start = time.monotonic()
            (_, _, _, _, _, waited, _), own, mean = session.run([graph.step, stamps.own, stamps.mean])
            if i >= WARM_UP:
                results.put((part[0], i - WARM_UP, [start, pull, waited, mean, time.monotonic()] + list(own)))
    results.put(None)
    time.sleep(600)  # it is killed when the others are done, too


def run_ps(cluster):
    """A parameter server."""
    start_server(cluster).join()


def make_clusters(num_workers, strategy):
    """The Cluster of each process; None: it trains by itself."""
    if strategy is None:
        return [None]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num_workers + 1)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        chief, ps, *workers = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    jobs = {"chief": [chief], "worker": workers, "ps": [ps]}
    if strategy == ALL_REDUCE:
        del jobs["ps"]
    return [Cluster(jobs, job, i) for job in jobs for i in range(len(jobs[job]))]


def measure(records, images, *, num_clones, num_workers, strategy, is_pinned, steps):
    """Starts the processes of a case, and returns their times [worker, step, 5 or more]."""
    context = multiprocessing.get_context("spawn")
    results, barrier = context.Queue(), context.Barrier(num_workers)
    cores, processes = sorted(os.sched_getaffinity(0)), []
    try:
        for i, cluster in enumerate(make_clusters(num_workers, strategy)):
            if cluster and cluster.is_ps:
                processes.append(context.Process(target=run_ps, args=(cluster,)))
            else:
                processes.append(context.Process(target=run_worker, args=(
                    results, barrier, records, cluster, images, num_clones, steps)))
                if is_pinned:
                    os.sched_setaffinity(0, [cores[i % len(cores)]])  # the process inherits it
            processes[-1].start()
            os.sched_setaffinity(0, cores)
        times, ended = {}, 0
        while ended < num_workers:
            try:
                result = results.get(timeout=1)
            except queue.Empty:
                if not all(process.is_alive() for process in processes):
                    sys.exit("a process has failed")
                continue
            if result is None:
                ended += 1
            else:
                times[result[:2]] = result[2]
    finally:
        for process in processes:
            process.kill()
            process.join()
    return np.array([[times[worker, step] for step in range(steps)] for worker in range(num_workers)])


def analyse(times):
    """Times of `measure` -> {name: milliseconds}"""
    start, pull, waited, mean, end = np.moveaxis(times[:, :, :5], 2, 0)
    own = times[:, :, 5:]
    slowest = own.max((0, 2))
    if pull.any():  # workers do not wait for each other
        slowest = own[:, :, 0]
    parts = dict(data=waited, compute=own.mean(2) - start - waited - pull, others=slowest - own.mean(2),
                 exchange=mean - slowest + pull, update=end - mean, step=end - start)
    if pull.any():  # when the parameter server has the gradients, they are applied
        parts["exchange"], parts["update"] = pull + end - mean, 0 * end
    return {f"{name}_ms": max(0.0, round(1000 * float(np.median(part, 1).mean()), 1)) for name, part in parts.items()}


def main(batch, steps):
    """Measures and reports all cases."""
    cases = [(f"{n} clones", dict(num_clones=n, num_workers=1, strategy=None, is_pinned=False)) for n in (1, 2, 4)]
    cases += [(f"{n} workers, {strategy or 'alone'}",
               dict(num_clones=1, num_workers=n, strategy=strategy, is_pinned=True))
              for n, strategy in ((1, None), (1, PS), (2, PS), (2, ALL_REDUCE))]
    with tempfile.TemporaryDirectory() as folder:
        records = write_records(folder, 1000)
        for name, case in cases:
            images = batch // 2 if case["is_pinned"] else batch
            parts = analyse(measure(records, images, steps=steps, **case))
            images *= case["num_workers"]
            report("scale", images, 1000 * images / parts["step_ms"], case=name, **parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batch", type=int, nargs="?", default=16, help="images of the clones, 4 or more (default: 16)")
    parser.add_argument("--steps", type=int, default=20, help="steps of each case (default: 20)")
    given = parser.parse_args()
    main(given.batch, given.steps)
