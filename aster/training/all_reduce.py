"""Training in a cluster without parameter servers: what each of its workers does, the chief among them.

Each worker has parameters of its own. They are equal, since each step changes them by the mean gradient of all workers.
The chief restores, and gives the others what it has; it alone saves and writes progress.
"""
import contextlib
import logging
import os
import time
from typing import Any, Callable, List, Optional

from aster.compat import HAS_ALL_REDUCE, VERSION, session_config, tf
from aster.config import mixed_precision
from aster.errors import cause
from aster.memory import check_memory
from aster.training import TrainingStopped, loop
from aster.training.clones import clone_devices
from aster.training.cluster import Cluster, describe_difference
from aster.training.collectives import Collectives
from aster.training.distributed import LOST
from aster.training.lock import only_training
from aster.training.reach import GaveUp, PatientSession, Watch, describe, is_reachable, wait_for
from aster.training.shared_signals import ENDED, SharedSignals
from aster.training.stepper import Stepper, TrainingGraph, raise_if_not_finite

_log = logging.getLogger(__name__)
_SECONDS_TO_PART = 1.5  # in which the others receive what this worker has sent, and see who was lost first
_SECONDS_TO_FINISH = 5.0  # waiting for data, after a signal
_SECONDS_TO_FIND = 5.0  # who was lost
_AGAIN = "Start the processes of the cluster again: training goes on from the last checkpoint"


def check_all_reduce(config: Any) -> None:
    """Checks that a configuration can be trained without parameter servers, and says what has no effect then.

    Args:
      config: a TrainEvalPipelineConfig.

    Raises:
      ValueError: it can't.
    """
    if not HAS_ALL_REDUCE:
        raise ValueError(f"--strategy all_reduce needs TensorFlow 2, and this is {VERSION}; use parameter servers "
                         "(--strategy ps)")
    if any(reader.num_epochs for reader in config.train_input_reader):
        raise ValueError("--strategy all_reduce needs data without end, since a worker whose data end would let the "
                         "others wait; leave num_epochs of train_input_reader out, and set train_config.num_steps")
    if config.train_config.sync_replicas:
        _log.info("train_config.sync_replicas has no effect with --strategy all_reduce, whose steps are of all workers")


def all_reduce_options(config: Any, cluster: Cluster, num_cpus: int) -> Any:
    """Makes the ConfigProto of a worker's server and of its session.

    Args:
      config: a TrainEvalPipelineConfig.
      cluster: the Cluster.
      num_cpus: the number of CPU devices, for clones.
    """
    options = session_config(num_cpus, mixed_precision=mixed_precision(config.train_config))
    options.device_filters.append(cluster.device)  # each worker has a graph of its own
    options.experimental.collective_group_leader = f"/job:{cluster.chief}/replica:0/task:0"
    return options


def train_all_reduce(server: Any, config: Any, exp_dir: str, cluster: Cluster, *, num_clones: int = 1,
                     clone_on_cpu: bool = False, evaluate: Optional[Callable[[str], Optional[float]]] = None) -> int:
    """Trains as a worker of a cluster without parameter servers, until num_steps or a signal.

    Args:
      server: what `start_server` returned, with `all_reduce_options`.
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder; the chief writes checkpoints and progress to its folder log.
      cluster: the Cluster.
      num_clones: how many clones share each batch of this worker.
      clone_on_cpu: put the clones on the CPU, even if there are GPUs.
      evaluate: see `loop.train`; for the chief only.

    Returns:
      The global step at the end.

    Raises:
      ValueError: see `loop.train`; or the workers' configurations differ.
      CheckpointError: see `loop.train`.
      TrainingStopped: see `loop.train`; or another process could not be reached, or was lost, or the chief ended with a
        status other than 0.
    """
    log_dir = os.path.join(exp_dir, "log")
    devices = clone_devices(num_clones, clone_on_cpu)
    with contextlib.ExitStack() as stack:
        if cluster.is_chief:
            loop.make_log_dir(log_dir)
            stack.enter_context(only_training(log_dir))
        stack.enter_context(tf.Graph().as_default())
        wait_for(cluster.others, float(config.train_config.cluster_timeout_secs))
        return _Worker(server, config, exp_dir, cluster, devices).run(evaluate)


class _Worker:
    """A worker, which makes its steps at the same time as the others."""

    def __init__(self, server: Any, config: Any, exp_dir: str, cluster: Cluster, devices: List[str]) -> None:
        """Builds the graph, as the default one, and starts a session."""
        self._config, self._cluster, self._exp_dir = config, cluster, exp_dir
        self._log_dir = os.path.join(exp_dir, "log")
        self._seconds = float(config.train_config.cluster_timeout_secs)
        self._watch = Watch(cluster.others)
        with tf.device(cluster.device):
            self._collectives = Collectives(cluster.num_workers, cluster.part, devices[0])
            graph = loop.build(config, exp_dir, devices, part=(cluster.part, cluster.num_workers),
                               collectives=self._collectives)
            self._share = self._collectives.share(tf.global_variables())
            self._numbers = self._collectives.gather_number(str(config))
        if not devices[0].startswith("/gpu"):
            check_memory(tf.get_default_graph(), tf.global_variables())
        self._graph: TrainingGraph = graph._replace(batch_size=graph.batch_size * cluster.num_workers)
        self._session = PatientSession(server.target, self._seconds,
                                       config=all_reduce_options(config, cluster, len(devices)))
        self._lost = ""  # who was lost
        self._are_together = True  # all are between the same two steps

    def run(self, evaluate: Optional[Callable[[str], Optional[float]]]) -> int:
        """Makes the steps. See `train_all_reduce`."""
        try:
            first_step = self._start()
            num_steps = self._config.train_config.num_steps
            if 0 < num_steps <= first_step:
                _log.info("%s", loop.finished(self._exp_dir, num_steps, first_step))
                return first_step
            return self._lead(first_step, evaluate) if self._cluster.is_chief else self._follow(first_step)
        except LOST + (GaveUp,) as error:
            raise self._describe_loss(error) from error
        finally:
            time.sleep(_SECONDS_TO_PART)
            self._session.leave()

    def _start(self) -> int:
        """Initializes, and gets what the chief has. -> the global step"""
        if self._cluster.is_chief:
            loop.initialize(self._session, self._graph.model, self._config.train_config, self._exp_dir)
        else:
            self._session.run(tf.global_variables_initializer())
            _log.info("waiting for the chief at %s to give the parameters", self._cluster.workers["the chief"])
        numbers = self._run_with_others(self._numbers)
        different = [name for name, number in zip(self._cluster.workers, numbers) if number != numbers[0]]
        if different:
            raise ValueError(describe_difference(different))
        self._run_with_others(self._share)
        step = int(self._session.run(self._graph.global_step))
        name = list(self._cluster.workers)[self._cluster.part]
        _log.info("this is %s of %d workers, each step of the gradients of all; it begins at step %d", name,
                  len(numbers), step)
        self._session.run(self._graph.stream.initializer)
        return step

    def _run_with_others(self, fetches: Any, flag: float = 0.0, give_up: Callable[[], bool] = lambda: False) -> Any:
        """Runs what only all workers together can run, unless one of them is lost."""
        self._session.give_up = lambda: bool(self._watch.missing() or give_up())
        self._are_together = False
        try:
            results = self._session.run(fetches, {self._collectives.flag: flag})
        except LOST + (GaveUp,) as error:
            self._lost = self._find_lost(error)
            raise
        finally:
            self._session.give_up = lambda: False
        self._are_together = True
        return results

    def _run_step(self, fetches: Any, signals: SharedSignals) -> Any:
        """-> the results; None where a signal came, and the step still waits for data."""
        def wait_no_more() -> bool:
            return self._graph.stream.waiting.is_set() and signals.is_late(_SECONDS_TO_FINISH)
        try:
            results, flags = self._run_with_others([fetches, self._collectives.flags], signals.flag, wait_no_more)
        except (GaveUp, tf.errors.DeadlineExceededError) as error:
            if self._lost or not wait_no_more():  # the step may end yet, so that nothing can be saved now
                raise self._describe_loss(error) from error
            signals.agree([signals.flag], ["this process"])
            return None
        signals.agree([int(round(float(flag))) for flag in flags], list(self._cluster.workers))
        return results

    def _lead(self, first_step: int, evaluate: Optional[Callable[[str], Optional[float]]]) -> int:
        """What the chief does. Where it ends before the others, it tells them."""
        config, status, step = self._config.train_config, 1, 0
        stepper = Stepper(self._session, self._graph, config, self._log_dir, first_step, evaluate, self._run_step,
                          SharedSignals)
        try:
            step = stepper.run()
            status = 0
            return step
        except TrainingStopped as stopped:
            status = stopped.status
            raise
        finally:  # after a signal, or with num_steps, they know it
            if self._are_together and not (status > 128 or 0 < config.num_steps <= step):
                with contextlib.suppress(*LOST, GaveUp):
                    self._session.give_up = lambda: bool(self._watch.missing())
                    self._collectives.say(self._session, ENDED + status)

    def _follow(self, step: int) -> int:
        """What the others do. -> the last step"""
        signals = SharedSignals()
        try:
            while not signals.received and not 0 < self._config.train_config.num_steps <= step:
                results = self._run_step(self._graph.step, signals)
                if signals.status_of_chief == 0:
                    _log.info("the chief has ended the training")
                    return step
                if signals.status_of_chief:
                    status = signals.status_of_chief
                    raise TrainingStopped(f"the chief has ended with status {status}", status)
                if results is not None:
                    step = int(results[1])
                    self._graph.stream.use(results[4])
        except tf.errors.OpError as error:
            if self._graph.stream.report.error:
                raise ValueError(self._graph.stream.report.error) from error
            raise_if_not_finite(error, step + 1, self._log_dir)
            raise
        finally:
            signals.restore()
            _log.info("%s", self._graph.stream.report)
        if signals.received:
            raise TrainingStopped(f"stopped by {signals.received} at step {step}", 128 + signals.number)
        _log.info("step %d is reached", step)
        return step

    def _find_lost(self, error: Exception) -> str:
        """-> who can't be reached, once that is known; empty: all can be reached."""
        until = time.time() + (0.0 if isinstance(error, tf.errors.DeadlineExceededError) else _SECONDS_TO_FIND)
        while True:
            lost = {name: address for name, address in self._cluster.others.items() if not is_reachable(address)}
            if lost or time.time() > until:
                return describe(lost)
            time.sleep(0.1)

    def _describe_loss(self, error: Exception) -> TrainingStopped:
        if self._lost:
            return TrainingStopped(f"lost {self._lost}. {_AGAIN}")
        if isinstance(error, tf.errors.DeadlineExceededError):
            return TrainingStopped(f"waited {self._seconds:.0f} s for a step together with "
                                   f"{describe(self._cluster.others)}, which can be reached "
                                   f"(train_config.cluster_timeout_secs). {_AGAIN}")
        return TrainingStopped(f"the cluster is lost: {cause(error)}. {_AGAIN}")
