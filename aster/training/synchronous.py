"""Steps of a cluster that are made of the gradients of several workers (Chen et al. 2016, "Revisiting Distributed
Synchronous SGD")."""
import logging
from typing import Any, Optional, Sequence, Tuple

from aster import checkpoint
from aster.compat import tf
from aster.training.clones import Clones
from aster.training.cluster import Cluster
from aster.training.optimizer import make_update
from aster.training.update import check_finite, make_averages, transformed, update_averages

_log = logging.getLogger(__name__)


def check_synchronous(config: Any, num_workers: int) -> None:
    """Checks that a configuration can be trained synchronously, and warns where most gradients would be dropped.

    Args:
      config: a TrainEvalPipelineConfig with sync_replicas.
      num_workers: the number of workers, chief included.

    Raises:
      ValueError: it can't.
    """
    if any(reader.num_epochs for reader in config.train_input_reader):
        raise ValueError("train_config.sync_replicas needs data without end, since a worker whose data end would let "
                         "the others wait; leave num_epochs of train_input_reader out, and set train_config.num_steps")
    if not config.train_config.HasField("replicas_to_aggregate") and num_workers > 1:
        _log.warning("train_config.replicas_to_aggregate is not set, and its default is 1: of the %d gradients of a "
                     "step, %d are dropped. Set it to %d to use all", num_workers, num_workers - 1, num_workers)


class SynchronousUpdate:
    """The update of a synchronous cluster, by tf.train.SyncReplicasOptimizer.

    Each worker gives its gradients to accumulators on the parameter servers, and waits for a token. The chief takes the
    mean of the first `replicas_to_aggregate` gradients, does with it what one machine does with its gradients, and
    gives out the tokens of the next step. Gradients that come later are of an old step, and are dropped.
    """

    def __init__(self, config: Any, cluster: Cluster) -> None:
        """Takes a TrainConfig message, and the Cluster."""
        self._config, self._cluster = config, cluster
        self._optimizer: Any = None
        self._update = _Update(config)
        self._coordinator = tf.train.Coordinator()
        self._num_tokens = max(0, config.replicas_to_aggregate - cluster.num_workers)
        self._init_tokens: Any = None

    def make(self, clones: Clones, _: Any, global_step: Any) -> Tuple[Any, Any]:
        """Builds a worker's step, as `update.train_op` does."""
        with tf.control_dependencies([check_finite(clones.total_loss, clones.gradients)]):
            gradients = [(tf.identity(gradient), variable) for gradient, variable in clones.gradients]
        self._optimizer = tf.train.SyncReplicasOptimizer(
            self._update, replicas_to_aggregate=self._config.replicas_to_aggregate,
            total_num_replicas=self._cluster.num_workers)
        with tf.variable_scope(checkpoint.MOVING_AVERAGE_SCOPE):
            update = self._optimizer.apply_gradients(gradients, global_step)
        # otherwise TensorFlow 2 complains that it is not used
        getattr(self._optimizer.ready_for_local_init_op, "mark_used", lambda: None)()
        self._init_tokens = self._optimizer.get_init_tokens_op(self._num_tokens)
        statistics = clones.update_ops if self._cluster.is_chief else []  # once a step
        return tf.group(update, *statistics), self._update.rate

    def join(self, session: Any) -> None:
        """Lets a worker begin with the current step."""
        session.run(self._optimizer.local_step_init_op)

    def start(self, session: Any) -> None:
        """Lets the chief begin: from now on it makes the updates, in a thread of their own."""
        session.run(self._optimizer.chief_init_op)
        session.run(self._init_tokens)
        self._optimizer.get_chief_queue_runner().create_threads(session, self._coordinator, daemon=True, start=True)

    def has_failed(self) -> bool:
        """Returns whether the thread of the updates has ended."""
        return self._coordinator.should_stop()

    def raise_failure(self) -> None:
        """Raises what has ended the thread of the updates."""
        self._coordinator.raise_requested_exception()

    def describe(self) -> str:
        """Says for the log how many gradients make a step."""
        return f", each step of {self._config.replicas_to_aggregate} of their gradients"


class _Update:
    """Does with the mean gradients what one machine does with its gradients. It has an optimizer's `apply_gradients`,
    which is all that SyncReplicasOptimizer needs."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self.rate: Any = None

    def apply_gradients(self, pairs: Sequence[Tuple[Any, Any]], global_step: Any, _: Optional[str] = None) -> Any:
        # SyncReplicasOptimizer leaves all name scopes, but some optimizers name variables by them
        with tf.name_scope(checkpoint.MOVING_AVERAGE_SCOPE + "/"):
            make, self.rate = make_update(self._config, global_step)
            gradients = transformed(list(pairs), self._config)
            update = make(gradients)
            averages = make_averages(self._config, global_step)
            return tf.group(update, *update_averages(averages, [variable for _, variable in gradients], [update]))
