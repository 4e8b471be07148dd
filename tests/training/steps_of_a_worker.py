"""One of the processes of test_all_reduce.py: makes steps on its share of fixed batches, and writes what they give.

    python tests/training/steps_of_a_worker.py CASES.json INDEX RESULTS.npz [ADDRESS ...]

Without addresses, one process makes the steps with the whole batches.
"""
import json
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..")]

from test_clones import POINTS, smooth_images  # noqa: E402

from experiment import WORDS  # noqa: E402  # isort: skip

from aster.checkpoint import MOVING_AVERAGE_SCOPE, assign  # noqa: E402
from aster.compat import session_config, tf  # noqa: E402
from aster.config import read_config  # noqa: E402
from aster.data.dataset import Batch, deal  # noqa: E402
from aster.model.build import build_model  # noqa: E402
from aster.training.all_reduce import all_reduce_options  # noqa: E402
from aster.training.clones import build_clones, clone_devices  # noqa: E402
from aster.training.cluster import Cluster  # noqa: E402
from aster.training.collectives import Collectives  # noqa: E402
from aster.training.parameter_server import start_server  # noqa: E402
from aster.training.update import train_op  # noqa: E402


def make_config(case):
    """The configuration of a case."""
    config = read_config(case["folder"])
    if case["sums"]:
        model = config.model.multi_predictors_recognition_model
        model.keypoint_supervision = True
        model.regression_loss.l2_regression_loss.weight = 1
        model.predictor[0].attention_predictor.loss.sequence_cross_entropy_loss.sample_normalize = False
    return config


def steps(config, index, num_workers, num_clones, options, target):
    """-> {name: what the steps give}"""
    with tf.Graph().as_default():
        mask = tf.constant([1, 1, 1, 0, 1, 0, 0, 0], tf.float32)  # workers have different shares of it
        batch = Batch(tf.constant(smooth_images(8)), tf.constant(WORDS), None, None, tf.constant(POINTS), mask)
        own = Batch(*deal(batch, num_workers)[index])
        shares = [Batch(*share) for share in deal(own, num_clones)] if num_clones > 1 else [own]
        collectives = Collectives(num_workers, index, "/cpu:0") if num_workers > 1 else None
        global_step = tf.train.get_or_create_global_step()
        clones = build_clones(build_model(config.model), shares, clone_devices(num_clones, on_cpu=True),
                              sync_batch_norm=config.train_config.sync_batch_norm, collectives=collectives)
        update, _ = train_op(clones, config.train_config, global_step)
        with tf.Session(target, config=options) as session:
            session.run(tf.global_variables_initializer())
            if index == 0:
                rng = np.random.RandomState(1)
                values = {v.op.name: 0.1 * rng.standard_normal(v.shape.as_list())
                          for v in sorted(tf.trainable_variables(), key=lambda v: v.op.name)}
                values.update({f"{MOVING_AVERAGE_SCOPE}/{name}/ExponentialMovingAverage": value
                               for name, value in values.items()})
                assign(session, [(v, values[v.op.name]) for v in tf.global_variables() if v.op.name in values])
            if collectives:
                session.run(collectives.share(tf.global_variables()))
            losses = [session.run([clones.total_loss, update])[0] for _ in range(config.train_config.num_steps)]
            results = session.run({v.op.name: v for v in tf.global_variables()})
            said = [0, 0]
            if collectives:  # the first worker takes no part in the last step, but says something
                numbers = session.run(collectives.gather_number(f"worker {index // 2}"))
                assert numbers[0] == numbers[1] != 0
                if index == 0:
                    collectives.say(session, 1003.0)
                else:
                    said = session.run([update, collectives.flags])[1]
    return dict(results, losses=np.array(losses), said=np.array(said))


def main(cases, index, path, addresses):
    with open(cases) as stream:
        cases = json.load(stream)
    results = {}
    target, num_cpus = "", 2
    options = session_config(num_cpus)
    if addresses:
        cluster = Cluster({"worker": addresses}, "worker", index)
        options = all_reduce_options(read_config(cases[0]["folder"]), cluster, num_cpus)
        target = start_server(cluster, num_cpus, options).target
    for number, case in enumerate(cases):
        given = steps(make_config(case), index, len(addresses) or 1,
                      case["num_clones"] if addresses else 1, options, target)
        results.update({f"{number} {name}": value for name, value in given.items()})
    np.savez(path, **results)
    os._exit(0)  # closing would wait for the other process


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:])
