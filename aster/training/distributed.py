"""Training in a cluster of TensorFlow's own: what the chief and the other workers do.

Parameters are on the parameter servers. Every worker computes gradients of batches of its own part of the data. The
chief is a worker, too, and it alone initializes, restores and saves. Whenever it starts, it begins anew from the last
checkpoint, and the other workers join it.
"""
import contextlib
import logging
import os
import random
from typing import Any, Callable, Iterator, List, Optional, Tuple

from aster.compat import session_config, tf
from aster.config import mixed_precision
from aster.errors import cause
from aster.training import TrainingStopped, loop
from aster.training.clones import clone_devices
from aster.training.cluster import Cluster
from aster.training.lock import only_training
from aster.training.parameter_server import ENDED, RUNNING, STARTING, find_silent, number_of, read_state, tell
from aster.training.reach import GaveUp, PatientSession, Watch, describe, is_reachable, wait_for
from aster.training.signals import Signals
from aster.training.stepper import Stepper, TrainingGraph
from aster.training.synchronous import SynchronousUpdate, check_synchronous
from aster.training.update import train_op

_log = logging.getLogger(__name__)
_SECONDS_TO_FINISH = 5.0  # a step, after a signal
# What TensorFlow raises where another process is gone or has begun anew.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.FailedPreconditionError, tf.errors.NotFoundError,
        tf.errors.CancelledError, tf.errors.DeadlineExceededError, tf.errors.InternalError, tf.errors.UnknownError)


def train_as_chief(server: Any, config: Any, exp_dir: str, cluster: Cluster, *, num_clones: int = 1,
                   clone_on_cpu: bool = False, evaluate: Optional[Callable[[str], Optional[float]]] = None) -> int:
    """Trains as the chief of a cluster, until num_steps, the end of its data, or a signal.

    Args:
      server: what `start_server` returned.
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder; checkpoints and progress go to its folder log.
      cluster: the Cluster; this process is its chief.
      num_clones: how many clones share each batch of this worker.
      clone_on_cpu: put the clones on the CPU, even if there are GPUs.
      evaluate: see `loop.train`.

    Returns:
      The global step at the end.

    Raises:
      ValueError: see `loop.train`.
      CheckpointError: see `loop.train`.
      TrainingStopped: see `loop.train`; or another process could not be reached, or a parameter server was lost.
    """
    log_dir, seconds = os.path.join(exp_dir, "log"), float(config.train_config.cluster_timeout_secs)
    loop.make_log_dir(log_dir)
    with only_training(log_dir):
        wait_for(cluster.tasks("ps"), seconds)
        status = 1
        try:
            step = _lead(server, config, exp_dir, cluster, clone_devices(num_clones, clone_on_cpu), evaluate)
            status = 0
            return step
        except TrainingStopped as stopped:
            status = stopped.status
            raise
        except LOST + (GaveUp,) as error:
            raise describe_loss(error, server, cluster, seconds) from error
        finally:
            tell(server, cluster, f"{ENDED} {status}", seconds=min(seconds, _SECONDS_TO_FINISH))


def _lead(server: Any, config: Any, exp_dir: str, cluster: Cluster, devices: List[str],
          evaluate: Optional[Callable[[str], Optional[float]]]) -> int:
    """What the chief does, once the parameter servers can be reached. -> the global step at the end."""
    train_config, log_dir = config.train_config, os.path.join(exp_dir, "log")
    seconds = float(train_config.cluster_timeout_secs)
    options = session_options(config, cluster, len(devices))
    containers = _new_containers(server, cluster, seconds, options)
    start = f"{number_of(config)} {' '.join(containers)}"
    _tell_all(server, cluster, f"{STARTING} {start}", seconds)
    with worker_graph(config, exp_dir, cluster, devices, containers[0]) as (graph, synchronous):
        _log.info("this is the chief of %d workers%s; parameters are on %s", cluster.num_workers,
                  synchronous.describe() if synchronous else "", describe(cluster.tasks("ps")))
        session = PatientSession(server.target, seconds, config=options)
        watch = Watch(cluster.tasks("ps", "worker"))
        session.give_up = lambda: bool(watch.missing(list(cluster.tasks("ps"))))
        try:
            loop.initialize(session, graph.model, train_config, exp_dir)
            first_step = int(session.run(graph.global_step))
            if 0 < train_config.num_steps <= first_step:
                _log.info("%s", loop.finished(exp_dir, train_config.num_steps, first_step))
                return first_step
            session.run(graph.stream.initializer)
            if synchronous:
                synchronous.start(session)
            _tell_all(server, cluster, f"{RUNNING} {start}", seconds)

            def run_step(fetches: Any, signals: Signals) -> Any:
                return _run_step_of_chief(session, fetches, signals, synchronous)
            with tf.device(cluster.device + "/cpu:0"):
                stepper = Stepper(session, graph, train_config, log_dir, first_step, evaluate, run_step)
            return stepper.run()
        finally:
            session.leave()


def _new_containers(server: Any, cluster: Cluster, seconds: float, options: Any) -> List[str]:
    """-> the name of a new container, and that of the chief before, if any. The one before that is cleared, where
    nobody is any more."""
    words = read_state(server, cluster, seconds=seconds)
    names = words[2:] if words and words[0] != ENDED else []
    if len(names) > 1:
        tf.Session.reset(server.target, containers=names[1:], config=options)
    return [f"chief{random.SystemRandom().randrange(2 ** 31)}"] + names[:1]


def _tell_all(server: Any, cluster: Cluster, state: str, seconds: float) -> None:
    untold = tell(server, cluster, state, seconds=seconds)
    if untold:
        raise tf.errors.UnavailableError(None, None, f"{', '.join(untold)} can't be reached")


def _run_step_of_chief(session: PatientSession, fetches: Any, signals: Signals,
                       synchronous: Optional[SynchronousUpdate]) -> Any:
    """-> the results; None where a signal came and the step does not end, since it waits for other workers."""
    is_lost = session.give_up

    def give_up() -> bool:
        return bool(signals.is_late(_SECONDS_TO_FINISH) or is_lost() or synchronous and synchronous.has_failed())
    session.give_up = give_up
    try:
        return session.run(fetches)
    except (GaveUp, tf.errors.DeadlineExceededError):  # a signal that has come goes before a timeout
        if synchronous and not is_lost():
            synchronous.raise_failure()
        if is_lost() or not signals.received:
            raise
        return None
    finally:
        session.give_up = is_lost


@contextlib.contextmanager
def worker_graph(config: Any, exp_dir: str, cluster: Cluster, devices: List[str], container: str
                 ) -> Iterator[Tuple[TrainingGraph, Optional[SynchronousUpdate]]]:
    """Builds the graph of a worker, the default one within a `with`.

    Args:
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder.
      cluster: the Cluster; this process is the chief or a worker.
      devices: the device of each clone.
      container: the container of the parameters; see `state_variable`.

    Yields:
      The TrainingGraph, and its SynchronousUpdate where the steps are synchronous.
    """
    batches_per_step, synchronous = 1, None
    if config.train_config.sync_replicas:
        synchronous = SynchronousUpdate(config.train_config, cluster)
        batches_per_step = config.train_config.replicas_to_aggregate
    place = tf.train.replica_device_setter(
        worker_device=cluster.device, ps_device="/job:ps", cluster=tf.train.ClusterSpec(cluster.addresses))
    with tf.Graph().as_default():
        with tf.device(place), tf.container(container):
            graph = loop.build(config, exp_dir, devices, part=(cluster.part, cluster.num_workers),
                               make_update=synchronous.make if synchronous else train_op)
        yield graph._replace(batch_size=graph.batch_size * batches_per_step), synchronous


def session_options(config: Any, cluster: Cluster, num_cpus: int) -> Any:
    """Makes the ConfigProto of a worker's session; `num_cpus` is the number of CPU devices."""
    options = session_config(num_cpus, mixed_precision=mixed_precision(config.train_config))
    options.device_filters.extend(["/job:ps", cluster.device])  # otherwise a session waits for all workers
    return options


def describe_loss(error: Exception, server: Any, cluster: Cluster, seconds: float) -> TrainingStopped:
    """Says why a training ends whose cluster is lost.

    Args:
      error: what TensorFlow raised.
      server: of this process.
      cluster: the Cluster.
      seconds: for how long a process waits for another one.

    Returns:
      What to raise.
    """
    lost = {name: address for name, address in cluster.tasks("ps").items() if not is_reachable(address)}
    again = ("Start the processes of the cluster again: training goes on from the last checkpoint, with what was "
             "trained since then lost")
    if lost:
        return TrainingStopped(f"lost {describe(lost)}, which held parameters. {again}")
    silent = find_silent(server, cluster)
    if silent:
        return TrainingStopped(f"something listens for {describe(silent)}, but does not answer as a parameter server: "
                               "another program has the port, or the process is stopped; see to it, or correct the "
                               f"address in TF_CONFIG. {again}")
    if isinstance(error, tf.errors.DeadlineExceededError):
        away = {name: address for name, address in cluster.others.items() if not is_reachable(address)}
        whom = (describe(away) + ", which can't be reached" if away else
                describe(cluster.others or cluster.tasks("ps")) + ", which can be reached")
        return TrainingStopped(f"waited {seconds:.0f} s for {whom} (train_config.cluster_timeout_secs). {again}")
    return TrainingStopped(f"the cluster is lost: {cause(error)}. {again}")


def check_cluster(config: Any, cluster: Cluster) -> None:
    """Checks that a configuration can be trained in a cluster.

    Args:
      config: a TrainEvalPipelineConfig.
      cluster: the Cluster.

    Raises:
      ValueError: a field does not go with a cluster.
    """
    if config.train_config.sync_replicas:
        check_synchronous(config, cluster.num_workers)
