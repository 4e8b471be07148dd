"""What a worker of a cluster does that is not its chief."""
import logging
import os
import time
from typing import Any, Optional

from aster.compat import tf
from aster.training import TrainingStopped
from aster.training.clones import clone_devices
from aster.training.cluster import Cluster
from aster.training.distributed import LOST, describe_loss, session_options, worker_graph
from aster.training.parameter_server import ENDED, start_server, state_variable
from aster.training.reach import GaveUp, PatientSession, Unreachable, Watch, describe, is_reachable, wait_for
from aster.training.signals import Signals
from aster.training.stepper import TrainingGraph, raise_if_not_finite

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_LOOKS = 0.3
_SECONDS_BETWEEN_LINES = 10.0
_MOST_FAILURES = 5  # in a row, without a step between them


class Worker:
    """Makes steps with the parameters that a chief has initialized, and joins again when a chief begins anew."""

    def __init__(self, config: Any, exp_dir: str, cluster: Cluster, graph: TrainingGraph, synchronous: Any) -> None:
        """Takes what `worker_graph` has built in the current graph."""
        self._config, self._log_dir, self._cluster = config.train_config, os.path.join(exp_dir, "log"), cluster
        self._graph, self._synchronous = graph, synchronous
        self._seconds = float(config.train_config.cluster_timeout_secs)
        self._state = state_variable(0)
        self._chief, self._ps = cluster.tasks(cluster.chief), cluster.tasks("ps")
        self._watch = Watch({**self._chief, **self._ps})
        self._num_failures = 0

    def run(self, server: Any, options: Any) -> int:
        """Makes steps until the training ends. -> the last step that this worker has seen."""
        signals = Signals("leaving the cluster")
        try:
            while True:
                wait_for({**self._ps, **self._chief}, self._seconds, stop=lambda: bool(signals.received))
                session = PatientSession(server.target, self._seconds, config=options)
                session.give_up = lambda: bool(signals.received or self._watch.missing())
                try:
                    return self._take_part(session, signals)
                except GaveUp:
                    self._explain_loss(None)
                except LOST as error:
                    self._explain_loss(error)
                finally:
                    session.leave()
                if signals.received:
                    raise TrainingStopped(f"stopped by {signals.received}; the cluster trains on without this worker",
                                          128 + signals.number)
        finally:
            signals.restore()

    def _explain_loss(self, error: Optional[Exception]) -> None:
        """Returns if this worker may join again; otherwise raises TrainingStopped."""
        self._num_failures += 1
        if error and (isinstance(error, tf.errors.DeadlineExceededError) or self._num_failures > _MOST_FAILURES):
            raise describe_loss(error, self._cluster, self._seconds) from error
        if not all(map(is_reachable, self._ps.values())):
            raise describe_loss(error or Exception(), self._cluster, self._seconds) from error
        if error and all(map(is_reachable, self._chief.values())):
            _log.warning("the chief begins anew, or a connection was lost; joining again")
            _log.debug("%s", error)
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _take_part(self, session: PatientSession, signals: Signals) -> int:
        state = self._wait_for_chief(session)
        if state.startswith(ENDED):
            return self._end(state, 0)
        if self._synchronous:
            self._synchronous.join(session)
        session.run(self._graph.stream.initializer)
        step = self._wait_for_first_step(session)
        _log.info("takes part from step %d on", step)
        try:
            return self._make_steps(session, state, step)
        except tf.errors.OutOfRangeError as error:
            if self._graph.stream.report.error:
                raise ValueError(self._graph.stream.report.error) from error
            _log.info("the data of this worker ended (num_epochs)")
            return step
        except tf.errors.OpError as error:
            if self._graph.stream.report.error:
                raise ValueError(self._graph.stream.report.error) from error
            raise_if_not_finite(error, step + 1, self._log_dir)
            raise
        finally:
            _log.info("%s", self._graph.stream.report)

    def _wait_for_chief(self, session: PatientSession) -> str:
        """-> the state of the training, as soon as there is one."""
        until, is_waiting = time.time() + self._seconds, False
        while True:
            try:
                state = session.run(self._state).decode("ascii")
                if state:
                    return state
            except tf.errors.FailedPreconditionError:  # not initialized
                pass
            if time.time() > until:
                raise Unreachable(f"waited {self._seconds:.0f} s for {describe(self._chief)}, which can be reached, "
                                  "but has not initialized the parameters (train_config.cluster_timeout_secs)")
            if not is_waiting:
                _log.info("waiting for %s to initialize the parameters", describe(self._chief))
                is_waiting = True
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _wait_for_first_step(self, session: PatientSession) -> int:
        """Waits for startup_delay_steps. -> the global step."""
        first = 0.0 if self._synchronous else self._config.startup_delay_steps
        if self._config.num_steps:
            first = min(first, self._config.num_steps)
        while True:
            step = int(session.run(self._graph.global_step))
            if step >= first:
                return step
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            if session.give_up():
                raise GaveUp()

    def _make_steps(self, session: PatientSession, joined: str, step: int) -> int:
        line_at, num_steps = time.time(), 0
        while not 0 < self._config.num_steps <= step:
            (loss, step, _, _, numbers), state = session.run([self._graph.step, self._state])
            state, step = state.decode("ascii"), int(step)
            if state.startswith(ENDED):
                return self._end(state, step)
            if state != joined:
                raise tf.errors.AbortedError(None, None, "the chief has begun anew")
            self._graph.stream.use(numbers)
            self._num_failures, num_steps = 0, num_steps + 1
            if time.time() - line_at > _SECONDS_BETWEEN_LINES:
                speed = num_steps * self._graph.batch_size / (time.time() - line_at)
                _log.info("step %d  loss %.4f  %.1f images/s by this worker", step, loss, speed)
                line_at, num_steps = time.time(), 0
        _log.info("step %d is reached", step)
        return step

    def _end(self, state: str, step: int) -> int:
        status = int(state.split()[1])
        if status:
            raise TrainingStopped(f"the chief has ended with status {status}", status)
        _log.info("the chief has ended the training")
        return step


def train_as_worker(config: Any, exp_dir: str, cluster: Cluster, *, num_clones: int = 1, clone_on_cpu: bool = False
                    ) -> int:
    """Trains as a worker of a cluster, until its chief ends the training.

    Args:
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder. Nothing is written to it.
      cluster: the Cluster; this process is a worker.
      num_clones: how many clones share each batch of this worker.
      clone_on_cpu: put the clones on the CPU, even if there are GPUs.

    Returns:
      The last global step that this worker has seen.

    Raises:
      ValueError: see `loop.train`; or a port is in use.
      TrainingStopped: another process could not be reached, a parameter server was lost, a signal came, a loss or
        gradient is not finite, or the chief ended with a status other than 0.
    """
    server = start_server(cluster, num_clones)
    devices = clone_devices(num_clones, clone_on_cpu)
    with worker_graph(config, exp_dir, cluster, devices) as (graph, synchronous):
        return Worker(config, exp_dir, cluster, graph, synchronous).run(
            server, session_options(config, cluster, num_clones))
