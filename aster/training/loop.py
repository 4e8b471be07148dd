"""Training: builds the graph and resumes. stepper.py has the loop."""
import logging
import os
import tempfile
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from aster import checkpoint, losses
from aster.compat import make_deterministic, session_config, tf
from aster.config import mixed_precision
from aster.data.copied import device_to_copy_to
from aster.data.dataset import Batch, check_inputs, deal, make_dataset
from aster.memory import check_memory
from aster.model.build import build_model
from aster.model.recognition import RecognitionModel
from aster.training.clones import Clones, build_clones, clone_devices
from aster.training.collectives import Collectives
from aster.training.divergence import share_far_outside
from aster.training.exchange import can_exchange
from aster.training.fine_tuning import start_from
from aster.training.lock import only_training
from aster.training.stepper import Stepper, TrainingGraph
from aster.training.update import device_to_compile_for, train_op

_log = logging.getLogger(__name__)


def train(config: Any, exp_dir: str, *, num_clones: int = 1, clone_on_cpu: bool = False,
          evaluate: Optional[Callable[[str], Optional[float]]] = None) -> int:
    """Trains until num_steps, the end of the data, or a signal. Resumes from the latest checkpoint in exp_dir/log.

    Args:
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder; checkpoints and progress go to its folder log.
      num_clones: how many clones share each batch.
      clone_on_cpu: put the clones on the CPU, even if there are GPUs.
      evaluate: a function of a checkpoint's path that returns its word accuracy, 0..1, or None. It is called after
        each checkpoint.

    Returns:
      The global step at the end.

    Raises:
      ValueError: the input can't be used, which is raised before any training where it can be known then; or another
        process trains in exp_dir.
      CheckpointError: a checkpoint can't be read, or the last one can't be saved.
      TrainingStopped: a signal came, a loss or gradient is not finite, or training diverged and stop_on_divergence is
        set.
    """
    log_dir = os.path.join(exp_dir, "log")
    make_log_dir(log_dir)
    devices = clone_devices(num_clones, clone_on_cpu)
    with only_training(log_dir), tf.Graph().as_default():
        graph = build(config, exp_dir, devices)
        if not devices[0].startswith("/gpu"):  # a GPU's own messages name the tensor
            check_memory(tf.get_default_graph(), tf.global_variables())
        options = session_config(num_clones, mixed_precision=mixed_precision(config.train_config))
        with tf.Session(config=options) as session:
            _log.info("%s parameters to train, on %s", f"{_num_parameters():,}", ", ".join(devices))
            initialize(session, graph.model, config.train_config, exp_dir)
            first_step = int(session.run(graph.global_step))
            if 0 < config.train_config.num_steps <= first_step:
                _log.info("%s", finished(exp_dir, config.train_config.num_steps, first_step))
                return first_step
            _go_to_place(session, graph, first_step)
            session.run(graph.stream.initializer)
            return Stepper(session, graph, config.train_config, log_dir, first_step, evaluate).run()


def make_log_dir(log_dir: str) -> None:
    """Makes the folder of checkpoints. Raises OSError now, not when the first one is due, if nobody can write there."""
    os.makedirs(log_dir, exist_ok=True)
    with tempfile.TemporaryFile(dir=log_dir):
        pass


def _go_to_place(session: Any, graph: TrainingGraph, first_step: int) -> None:
    """Lets the data go on where the training that is resumed had stopped."""
    if graph.place is None:
        return
    place = session.run(graph.place).decode("utf-8")
    if not place and first_step:
        _log.warning("the training that is resumed had no seed, so its place in the data is not saved; the data start "
                     "from the beginning")
    if place and not graph.stream.go_to(place):
        _log.warning("the readers or the seed are not those of the training that is resumed; the data start from the "
                     "beginning")


def finished(exp_dir: str, num_steps: int, step: int) -> str:
    """Says that num_steps is reached already, and how to go on."""
    return (f"num_steps {num_steps} is reached already: the latest checkpoint in {exp_dir}/log is of step {step}. "
            f"Raise num_steps in {exp_dir}/config/trainval.prototxt to go on, or for one run: python -m aster.train "
            f"--exp_dir {exp_dir} --set 'train_config {{ num_steps: {2 * step} }}'")


def build(config: Any, exp_dir: str, devices: Sequence[str], *, part: Tuple[int, int] = (0, 1),
          make_update: Optional[Callable[..., Tuple[Any, Any]]] = None,
          collectives: Optional[Collectives] = None, compile_for: Optional[str] = None) -> TrainingGraph:
    """Builds what is trained, in the current graph.

    Args:
      config: a TrainEvalPipelineConfig.
      exp_dir: the experiment folder.
      devices: the device of each clone.
      part: (index, count) of the part of the data that this process reads; see `make_dataset`.
      make_update: for a process that shares its parameters with others, `train_op` or a function like it. None: its
        parameters are its own.
      collectives: joins the steps of several processes that have parameters of their own. None: there is one.
      compile_for: for `train_op`. None: what `device_to_compile_for` chooses, where one process trains alone.

    Returns:
      The TrainingGraph.

    Raises:
      ValueError: the input can't be used.
    """
    train_config = config.train_config
    seed = train_config.seed if train_config.HasField("seed") else None
    tf.set_random_seed(seed)
    if train_config.deterministic:
        make_deterministic()
    with checkpoint.only_get_variable():
        model = build_model(config.model, exp_dir, on_gpu=devices[0].startswith("/gpu"),
                            mixed_precision=mixed_precision(train_config))
    charsets = [predictor.charset for predictor in model.predictors]
    augmentation = train_config.data_augmentation_options
    check_inputs(config.train_input_reader, augmentation, charsets, base_dir=exp_dir,
                 max_characters=model.max_learnt_characters(skipping=False),
                 ctc_characters=model.max_learnt_characters(skipping=True),
                 needs_keypoints=bool(model.num_supervised_points))
    stream = make_dataset(
        config.train_input_reader, list(train_config.batch_size), augmentation, is_training=True,
        num_control_points=model.num_supervised_points, charsets=charsets, base_dir=exp_dir, seed=seed,
        prefetch=train_config.prefetch_queue_capacity, part=part, num_shares=len(devices),
        copy_to=None if make_update else device_to_copy_to(devices))
    global_step = tf.train.get_or_create_global_step()
    # One clone slices its batch for nothing. But the seeds that TensorFlow 1.4 gives initializers depend on the number
    # of operations before, and a seed is to give the same parameters as ever.
    shares = stream.shares if len(devices) > 1 else [Batch(*share) for share in deal(stream.batch, 1)]
    clones = build_clones(model, shares, devices, freeze=train_config.freeze_variables,
                          sync_batch_norm=train_config.sync_batch_norm, shared_variables=make_update is not None,
                          collectives=collectives,
                          with_copies=not (make_update or collectives) and can_exchange(devices))
    if make_update:
        update, learning_rate = make_update(clones, train_config, global_step)
    else:
        device = compile_for or (None if collectives else device_to_compile_for(devices, clones))
        update, learning_rate = train_op(clones, train_config, global_step, compile_for=device)
    added = _added_losses(clones)
    rectification = clones.first.rectification
    far = share_far_outside(rectification.control_points) if rectification else tf.constant(0.0)
    with tf.control_dependencies([update]):
        with tf.device(global_step.device):  # elsewhere, its value may be sent before the update
            step_after = tf.identity(global_step)
        others = [tf.identity(value) for value in (clones.total_loss, learning_rate, far, stream.batch.numbers,
                                                   stream.waited, tf.stack(list(added.values()) or [0.0]))]
    place = None
    if seed is not None and not make_update and not collectives:
        with tf.variable_scope(checkpoint.MOVING_AVERAGE_SCOPE), tf.device("/cpu:0"):  # saved as the optimizer's are
            place = tf.get_variable(checkpoint.PLACE_IN_DATA, initializer=tf.constant(""), trainable=False)
    summary = _summary(clones, learning_rate, stream.batch)
    return TrainingGraph((others[0], step_after, *others[1:]), stream, summary, global_step,
                         sum(train_config.batch_size), model, place, tuple(added))


def _added_losses(clones: Clones) -> Dict[str, Any]:
    """The losses of parts, such as CTC, by name; none where there is no other, since the total says it then."""
    names = [name for name, _ in losses.added()] if len(clones.losses) > 1 else []
    return {name: clones.losses[name] for name in names}


def _summary(clones: Clones, learning_rate: Any, batch: Any) -> Any:
    tf.summary.scalar("loss/" + losses.TOTAL, clones.total_loss)
    for name, loss in clones.losses.items():
        tf.summary.scalar("loss/" + name, loss)
    tf.summary.scalar("learning_rate", learning_rate)
    tf.summary.image("images/input", batch.images, max_outputs=4)
    if clones.first.rectification:
        tf.summary.image("images/rectified", clones.first.rectification.images, max_outputs=4)
        tf.summary.histogram("control_points", clones.first.rectification.control_points)
    return tf.summary.merge_all()


def initialize(session: Any, model: RecognitionModel, config: Any, exp_dir: str) -> None:
    """Initializes all variables, then restores those of the latest checkpoint that is whole, or of a warm start.

    Args:
      session: of the graph.
      model: the model.
      config: a TrainConfig message.
      exp_dir: the experiment folder.

    Raises:
      CheckpointError: a checkpoint can't be used.
    """
    session.run(tf.global_variables_initializer())
    resumed = checkpoint.resume(session, os.path.join(exp_dir, "log"), tf.global_variables(), model.characters)
    if resumed:
        _log.info("resumed from %s", resumed)
    elif config.fine_tune_checkpoint:
        start_from(session, checkpoint.find_checkpoint(config.fine_tune_checkpoint, exp_dir), model)


def _num_parameters() -> int:
    return sum(v.shape.num_elements() for v in tf.trainable_variables())
