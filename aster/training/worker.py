"""What a worker of a cluster does that is not its chief."""
import logging
import os
import time
from typing import Any, List, Optional

from aster.compat import tf
from aster.training import TrainingStopped
from aster.training.clones import clone_devices
from aster.training.cluster import Cluster, describe_difference
from aster.training.distributed import LOST, describe_loss, session_options, worker_graph
from aster.training.parameter_server import ENDED, RUNNING, STARTING, find_silent, number_of, read_state, state_variable
from aster.training.reach import GaveUp, PatientSession, Unreachable, Watch, describe, is_reachable, wait_for
from aster.training.signals import Signals
from aster.training.stepper import TrainingGraph, raise_if_not_finite

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_LOOKS = 0.3
_SECONDS_BETWEEN_LINES = 10.0
_MOST_FAILURES = 5  # in a row, without a step between them


class Worker:
    """Makes steps with the parameters that a chief has initialized, and joins again when a chief begins anew."""

    def __init__(self, server: Any, config: Any, exp_dir: str, cluster: Cluster, devices: List[str]) -> None:
        """Prepares the work.

        Args:
          server: what `start_server` returned.
          config: a TrainEvalPipelineConfig.
          exp_dir: the experiment folder.
          cluster: the Cluster.
          devices: the device of each clone.
        """
        self._server, self._cluster, self._devices, self._exp_dir = server, cluster, devices, exp_dir
        self._whole_config, self._config, self._number = config, config.train_config, number_of(config)
        self._seconds = float(self._config.cluster_timeout_secs)
        self._chief, self._ps = cluster.tasks(cluster.chief), cluster.tasks("ps")
        self._watch = Watch({**self._chief, **self._ps})
        self._num_failures = 0
        self._signals: Any = None

    def run(self) -> int:
        """Makes steps until the training ends.

        Returns:
          The last global step that this worker has seen.
        """
        self._signals = Signals("leaving the cluster")
        try:
            while True:
                wait_for({**self._ps, **self._chief}, self._seconds, stop=lambda: bool(self._signals.received))
                try:
                    return self._take_part()
                except GaveUp:
                    self._explain_loss(None)
                except LOST as error:
                    self._explain_loss(error)
        finally:
            self._signals.restore()

    def _should_give_up(self) -> bool:
        return bool(self._signals.received or self._watch.missing())

    def _explain_loss(self, error: Optional[Exception]) -> None:
        """Returns if this worker may join again; otherwise raises TrainingStopped."""
        if self._signals.received:
            raise TrainingStopped(f"stopped by {self._signals.received}; to let this worker take part again, run the "
                                  "same command again", 128 + self._signals.number)
        self._num_failures += 1
        is_lost = error and (isinstance(error, tf.errors.DeadlineExceededError) or self._num_failures > _MOST_FAILURES)
        is_silent = isinstance(error, tf.errors.UnavailableError) and find_silent(self._server, self._cluster)
        if is_lost or is_silent or not all(map(is_reachable, self._ps.values())):
            raise describe_loss(error or GaveUp(), self._server, self._cluster, self._seconds) from error
        if error and all(map(is_reachable, self._chief.values())):
            _log.warning("the chief begins anew, or a connection was lost; joining again")
            _log.debug("%s", error)
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _take_part(self) -> int:
        """Waits for the chief, and makes steps. -> see `run`"""
        state = self._wait_for_state(STARTING, RUNNING, ENDED)
        if state[0] == ENDED:
            return self._end(state, 0)
        if state[1] != self._number:
            raise ValueError(describe_difference([f"worker {self._cluster.task}"]))
        with worker_graph(self._whole_config, self._exp_dir, self._cluster, self._devices, state[2]
                          ) as (graph, synchronous):
            told = state_variable(0)
            running = self._wait_for_state(RUNNING, ENDED)
            if running[0] == ENDED:
                return self._end(running, 0)
            if running[1:] != state[1:]:
                raise tf.errors.AbortedError(None, None, "the chief has begun anew")
            session = PatientSession(self._server.target, self._seconds,
                                     config=session_options(self._whole_config, self._cluster, len(self._devices)))
            session.give_up = self._should_give_up
            try:
                return self._train(session, graph, synchronous, [told, running])
            finally:
                session.leave()
                _log.info("%s", graph.stream.report)

    def _train(self, session: PatientSession, graph: TrainingGraph, synchronous: Any, state: List[Any]) -> int:
        if synchronous:
            synchronous.join(session)
        session.run(graph.stream.initializer)
        step = self._wait_for_first_step(session, graph, 0.0 if synchronous else self._config.startup_delay_steps)
        _log.info("takes part from step %d on", step)
        try:
            return self._make_steps(session, graph, step, *state)
        except tf.errors.OpError as error:
            if graph.stream.report.error:
                raise ValueError(graph.stream.report.error) from error
            if isinstance(error, tf.errors.OutOfRangeError):
                _log.info("the data of this worker ended (num_epochs)")
                return step
            raise_if_not_finite(error, step + 1, os.path.join(self._exp_dir, "log"))
            raise

    def _wait_for_state(self, *kinds: str) -> List[str]:
        """-> the words of the training's state, as soon as the first one is one of these."""
        until, is_waiting = time.monotonic() + self._seconds, False
        while True:
            state = read_state(self._server, self._cluster, seconds=self._seconds)
            if state and state[0] in kinds:
                return state
            if self._should_give_up():
                raise GaveUp()
            if time.monotonic() > until:
                raise Unreachable(f"waited {self._seconds:.0f} s for {describe(self._chief)}, which can be reached, "
                                  "but has not initialized the parameters (train_config.cluster_timeout_secs)")
            if not is_waiting:
                _log.info("waiting for %s to initialize the parameters", describe(self._chief))
                is_waiting = True
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _wait_for_first_step(self, session: PatientSession, graph: TrainingGraph, first: float) -> int:
        """Waits for startup_delay_steps. -> the global step."""
        if self._config.num_steps:
            first = min(first, self._config.num_steps)
        while True:
            step = int(session.run(graph.global_step))
            if step >= first:
                return step
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            if self._should_give_up():
                raise GaveUp()

    def _make_steps(self, session: PatientSession, graph: TrainingGraph, step: int, told: Any,
                    joined: List[str]) -> int:
        line_at, num_steps = time.time(), 0
        while not 0 < self._config.num_steps <= step:
            (loss, step, _, _, numbers, _, _), state = session.run([graph.step, told])
            words, step = state.decode("ascii").split(), int(step)
            if words[0] == ENDED:
                return self._end(words, step)
            if words != joined:
                raise tf.errors.AbortedError(None, None, "the chief has begun anew")
            graph.stream.use(numbers)
            self._num_failures, num_steps = 0, num_steps + 1
            if time.time() - line_at > _SECONDS_BETWEEN_LINES:
                speed = num_steps * sum(self._config.batch_size) / (time.time() - line_at)
                _log.info("step %d  loss %.4f  %.1f images/s by this worker", step, loss, speed)
                line_at, num_steps = time.time(), 0
        _log.info("step %d is reached", step)
        return step

    def _end(self, state: List[str], step: int) -> int:
        status = int(state[1])
        if status:
            raise TrainingStopped(f"the chief has ended with status {status}", status)
        _log.info("the chief has ended the training")
        return step


def train_as_worker(server: Any, config: Any, exp_dir: str, cluster: Cluster, *, num_clones: int = 1,
                    clone_on_cpu: bool = False) -> int:
    """Trains as a worker of a cluster, until its chief ends the training.

    Args:
      server: what `start_server` returned.
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder. Nothing is written to it.
      cluster: the Cluster; this process is a worker.
      num_clones: how many clones share each batch of this worker.
      clone_on_cpu: put the clones on the CPU, even if there are GPUs.

    Returns:
      The last global step that this worker has seen.

    Raises:
      ValueError: see `loop.train`.
      TrainingStopped: another process could not be reached, a parameter server was lost, a signal came, a loss or
        gradient is not finite, or the chief ended with a status other than 0.
    """
    return Worker(server, config, exp_dir, cluster, clone_devices(num_clones, clone_on_cpu)).run()
