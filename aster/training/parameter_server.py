"""A process that holds parameters, and what the chief tells the others through it."""
import contextlib
import logging
import socket
import time
import zlib
from typing import Any, Dict, Iterator, List, Tuple

from aster.compat import session_config, tf
from aster.training import TrainingStopped
from aster.training.cluster import Cluster
from aster.training.reach import GaveUp, PatientSession, Unreachable, describe, is_reachable
from aster.training.signals import Signals

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_PART = 10.0  # in which the workers read how it ended
STARTING, RUNNING, ENDED = "starting", "running", "ended"  # the first word of a state


def start_server(cluster: Cluster, num_cpus: int = 1, options: Any = None) -> Any:
    """Starts TensorFlow's server of this process. It ends with the process.

    Args:
      cluster: the Cluster.
      num_cpus: the number of CPU devices, for clones.
      options: a tf.ConfigProto; None: that of a cluster with parameter servers.

    Returns:
      A tf.train.Server.

    Raises:
      ValueError: its port is in use.
    """
    address = cluster.addresses[cluster.job][cluster.task]
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", int(address.rpartition(":")[2])))
    except OSError as error:
        raise ValueError(f"TF_CONFIG: {address} is the address of this process, and its port can't be used here "
                         f"({error.strerror}); stop the process that has it, or choose another port") from error
    return tf.train.Server(tf.train.ClusterSpec(cluster.addresses), job_name=cluster.job, task_index=cluster.task,
                           config=options or _config(cluster, num_cpus))


def _config(cluster: Cluster, num_cpus: int = 1) -> Any:
    config = session_config(num_cpus)
    if cluster.is_ps:
        config.device_count["GPU"] = 0
    return config


def state_variable(index: int) -> Any:
    """Returns the variable of parameter server `index` through which the chief tells how the training is.

    It is a scalar string: "starting <configuration> <container> <the container before>", "running ..." likewise, or
    "ended <status>". The configuration is the chief's `number_of`. Each time the chief starts, the parameters get a
    container of their own, so that what is left of the time before can't disturb.
    """
    with tf.device(f"/job:ps/task:{index}/cpu:0"):
        return tf.get_variable(f"cluster_state_{index}", initializer=tf.constant(""), trainable=False,
                               collections=[tf.GraphKeys.LOCAL_VARIABLES])


def number_of(config: Any) -> str:
    """Returns a number for a TrainEvalPipelineConfig, the same for equal ones."""
    return str(zlib.crc32(str(config).encode("utf-8")))


def tell(server: Any, cluster: Cluster, state: str, *, seconds: float) -> List[str]:
    """Tells all parameter servers that can be reached how the training is.

    Args:
      server: the chief's.
      cluster: the Cluster.
      state: see `state_variable`.
      seconds: how long each may take to answer.

    Returns:
      The names of those that could not be told.
    """
    untold = []
    for i, (name, address) in enumerate(cluster.tasks("ps").items()):
        try:
            if not is_reachable(address):
                raise tf.errors.UnavailableError(None, None, f"{address} can't be reached")
            with _state_of(i, server, cluster, seconds) as (session, variable):
                session.run(variable.initializer, {variable.initializer.inputs[1]: state})
        except (tf.errors.OpError, GaveUp) as error:
            _log.debug("%s is not told %r: %s", name, state, error)
            untold.append(name)
    return untold


def read_state(server: Any, cluster: Cluster, *, seconds: float) -> List[str]:
    """Reads how the training is, from the first parameter server.

    Args:
      server: of this process.
      cluster: the Cluster.
      seconds: how long the answer may take.

    Returns:
      The words of the state; none before the chief has told it.

    Raises:
      tf.errors.OpError: the parameter server does not answer.
      GaveUp: it can't be reached.
    """
    with _state_of(0, server, cluster, seconds) as (session, variable):
        try:
            return session.run(variable).decode("ascii").split()
        except (tf.errors.FailedPreconditionError, tf.errors.NotFoundError):  # the chief has not written it yet
            return []


def find_silent(server: Any, cluster: Cluster) -> Dict[str, str]:
    """Finds the parameter servers that don't answer, though something listens at their addresses.

    Args:
      server: of this process.
      cluster: the Cluster.

    Returns:
      {name: address}.
    """
    silent = {}
    for i, (name, address) in enumerate(cluster.tasks("ps").items()):
        try:
            with _state_of(i, server, cluster, _SECONDS_TO_ANSWER) as (session, variable):
                session.run(variable)
        except (tf.errors.DeadlineExceededError, tf.errors.UnavailableError) as error:
            _log.debug("%s does not answer: %s", name, error)
            silent[name] = address
        except (tf.errors.OpError, GaveUp) as error:  # the answer is an error, or it can't be reached
            _log.debug("%s: %s", name, error)
    return silent


@contextlib.contextmanager
def _state_of(index: int, server: Any, cluster: Cluster, seconds: float) -> Iterator[Tuple[Any, Any]]:
    """A session, and the state variable of a parameter server."""
    config = session_config()
    config.device_filters.extend([f"/job:ps/task:{index}", cluster.device])
    with tf.Graph().as_default():
        variable = state_variable(index)
        session = PatientSession(server.target, seconds, config=config)
        session.give_up = lambda: not is_reachable(cluster.addresses["ps"][index])
        try:
            yield session, variable
        finally:
            session.leave()


def serve(server: Any, cluster: Cluster, seconds: float) -> None:
    """Holds parameters until the chief says that the training has ended.

    Args:
      server: what `start_server` returned.
      cluster: the Cluster; this process is a ps.
      seconds: for how long the chief may be away.

    Raises:
      TrainingStopped: the chief was away for too long, or ended with a status other than 0, or a signal came.
    """
    name = f"ps {cluster.task}"
    _log.info("%s holds parameters, at %s", name, cluster.tasks("ps")[name])
    signals = Signals("holding the parameters until the chief has saved them")
    try:
        state = _wait_for_end(server, cluster, seconds, signals)
    finally:
        signals.restore()
    others = cluster.tasks(cluster.chief, "worker")
    until = time.monotonic() + _SECONDS_TO_PART
    while time.monotonic() < until and any(map(is_reachable, others.values())):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    if signals.received:
        raise TrainingStopped(f"{name}: stopped by {signals.received}", 128 + signals.number)
    status = int(state.split()[1])
    if status:
        raise TrainingStopped(f"{name}: the chief has ended with status {status}", status)


def _wait_for_end(server: Any, cluster: Cluster, seconds: float, signals: Signals) -> str:
    """-> the state in which the training ended; a state without a meaning after a signal."""
    chief = cluster.tasks(cluster.chief)
    config = _config(cluster)
    config.device_filters.append(cluster.device)
    with tf.Graph().as_default():
        variable = state_variable(cluster.task)
        session = PatientSession(server.target, seconds, config=config)
        seen, is_waiting = time.monotonic(), False
        while True:
            state = _read(session, variable)
            if state.startswith(ENDED):
                return state
            if all(map(is_reachable, chief.values())):
                seen, is_waiting = time.monotonic(), False
            elif signals.received:
                return state
            elif time.monotonic() - seen > seconds:
                raise Unreachable(f"ps {cluster.task}: waited {seconds:.0f} s for {describe(chief)}, which can't be "
                                  "reached (train_config.cluster_timeout_secs); what was trained since the last "
                                  "checkpoint is lost")
            elif not is_waiting:
                _log.info("waiting for %s, for %.0f s at most", describe(chief), seconds)
                is_waiting = True
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _read(session: Any, variable: Any) -> str:
    try:
        return session.run(variable).decode("ascii")
    except tf.errors.OpError:  # the chief has not written it yet, or begins anew
        return ""
