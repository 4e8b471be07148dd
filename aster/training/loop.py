"""The training loop: builds the graph, resumes, steps, saves and says what it does."""
import contextlib
import logging
import os
import re
import signal
import tempfile
import time
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from aster import checkpoint
from aster.compat import session_config, tf
from aster.data.dataset import check_inputs, make_dataset
from aster.model.build import build_model
from aster.training import TrainingStopped
from aster.training.clones import Clones, build_clones, clone_devices
from aster.training.lock import only_training
from aster.training.memory import check_memory
from aster.training.optimizer import make_optimizer, transform_gradients
from aster.training.progress import Progress
from aster.training.saver import Saver

_log = logging.getLogger(__name__)


class _Graph(NamedTuple):
    """What the loop runs. `step` makes one step, and gives total loss, global step after it and learning rate."""
    step: Any
    stream: Any
    summary: Any
    global_step: Any
    batch_size: int


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
      TrainingStopped: a signal came, or a loss or gradient is not finite.
    """
    log_dir = os.path.join(exp_dir, "log")
    os.makedirs(log_dir, exist_ok=True)
    with tempfile.TemporaryFile(dir=log_dir):  # an error now, not when the first checkpoint is due
        pass
    devices = clone_devices(num_clones, clone_on_cpu)
    with only_training(log_dir), tf.Graph().as_default():
        graph = _build(config, exp_dir, devices)
        if not devices[0].startswith("/gpu"):  # a GPU's own messages name the tensor
            check_memory(tf.get_default_graph(), tf.global_variables())
        options = session_config(num_clones, bfloat16=config.train_config.bfloat16)
        with tf.Session(config=options) as session:
            _log.info("%.1f million parameters to train, on %s", _num_parameters() / 1e6, ", ".join(devices))
            _initialize(session, config.train_config, exp_dir)
            first_step = int(session.run(graph.global_step))
            if 0 < config.train_config.num_steps <= first_step:
                _log.info("%s", _finished(exp_dir, config.train_config.num_steps, first_step))
                return first_step
            session.run(graph.stream.initializer)
            return _run(session, graph, config.train_config, log_dir, first_step, evaluate)


def _finished(exp_dir: str, num_steps: int, step: int) -> str:
    return (f"num_steps {num_steps} is reached already: the latest checkpoint in {exp_dir}/log is of step {step}. "
            f"Raise num_steps in {exp_dir}/config/trainval.prototxt to go on, or for one run: python -m aster.train "
            f"--exp_dir {exp_dir} --set 'train_config {{ num_steps: {2 * step} }}'")


def _build(config: Any, exp_dir: str, devices: Sequence[str]) -> _Graph:
    train_config = config.train_config
    model = build_model(config.model, exp_dir, on_gpu=devices[0].startswith("/gpu"))
    charsets = [predictor.charset for predictor in model.predictors]
    augmentation = train_config.data_augmentation_options
    check_inputs(config.train_input_reader, augmentation, charsets, base_dir=exp_dir,
                 max_characters=model.max_characters, needs_keypoints=bool(model.num_supervised_points))
    stream = make_dataset(
        config.train_input_reader, list(train_config.batch_size), augmentation, is_training=True,
        num_control_points=model.num_supervised_points, charsets=charsets, base_dir=exp_dir,
        prefetch=train_config.prefetch_queue_capacity)
    global_step = tf.train.get_or_create_global_step()
    clones = build_clones(model, stream.batch, devices, freeze=train_config.freeze_variables)
    update, learning_rate = train_op(clones, train_config, global_step)
    with tf.control_dependencies([update]):
        step = (tf.identity(clones.total_loss), tf.identity(global_step), tf.identity(learning_rate))
    return _Graph(step, stream, _summary(clones, learning_rate, stream.batch), global_step,
                  sum(train_config.batch_size))


def train_op(clones: Clones, config: Any, global_step: Any) -> Tuple[Any, Any]:
    """Builds one step of training.

    Args:
      clones: what `build_clones` made.
      config: a TrainConfig message.
      global_step: the variable that counts steps.

    Returns:
      The op of one step, and its learning rate, scalar. The op fails and changes no variable if the loss or a gradient
      is not finite.
    """
    optimizer, rate = make_optimizer(config.optimizer, global_step)
    gradients = transform_gradients(clones.gradients, clip_norm=config.gradient_clipping_by_norm,
                                    bias_multiplier=config.bias_grad_multiplier)
    with tf.variable_scope(checkpoint.MOVING_AVERAGE_SCOPE):
        with tf.control_dependencies([_check_finite(clones.total_loss, gradients)]):
            updates = [optimizer.apply_gradients(gradients, global_step=global_step)] + clones.update_ops
        if config.optimizer.use_moving_average:
            # with the number of updates, the averages of a short run forget the initial values
            averages = tf.train.ExponentialMovingAverage(config.optimizer.moving_average_decay, global_step)
            with tf.control_dependencies(updates):
                updates.append(averages.apply([variable for _, variable in gradients]))
    return tf.group(*updates), rate


def _check_finite(loss: Any, gradients: Sequence[Tuple[Any, Any]]) -> Any:
    """An op that fails if a number is not finite, with the name of its gradient.

    The sum of all squares is finite only if every number is. It is computed in less time than a check of each gradient,
    which therefore runs only to find the name.
    """
    def name_it() -> Any:
        checks = [tf.check_numerics(loss, "the loss")]
        checks += [tf.check_numerics(gradient, "the gradient of " + variable.op.name)
                   for gradient, variable in gradients]
        return tf.group(*checks)
    total = tf.add_n([loss] + [tf.nn.l2_loss(gradient) for gradient, _ in gradients])
    return tf.cond(tf.is_finite(total), tf.no_op, name_it)


def _summary(clones: Clones, learning_rate: Any, batch: Any) -> Any:
    tf.summary.scalar("loss/total", clones.total_loss)
    for name, loss in clones.losses.items():
        tf.summary.scalar("loss/" + name, loss)
    tf.summary.scalar("learning_rate", learning_rate)
    tf.summary.image("images/input", batch.images, max_outputs=4)
    if clones.first.rectification:
        tf.summary.image("images/rectified", clones.first.rectification.images, max_outputs=4)
        tf.summary.histogram("control_points", clones.first.rectification.control_points)
    return tf.summary.merge_all()


def _initialize(session: Any, config: Any, exp_dir: str) -> None:
    """Initializes all variables, then restores those of the latest checkpoint that is whole, or of a warm start."""
    session.run(tf.global_variables_initializer())
    resumed = checkpoint.resume(session, os.path.join(exp_dir, "log"), tf.global_variables())
    if resumed:
        _log.info("resumed from %s", resumed)
    elif config.fine_tune_checkpoint:
        path = checkpoint.find_checkpoint(config.fine_tune_checkpoint, exp_dir)
        left_out = checkpoint.warm_start(session, path, checkpoint.model_variables())
        _log.info("started from %s%s", path,
                  "; these variables are not in it: " + ", ".join(left_out) if left_out else "")


def _run(session: Any, graph: _Graph, config: Any, log_dir: str, step: int,
         evaluate: Optional[Callable[[str], Optional[float]]]) -> int:
    saver = Saver(log_dir, config.keep_checkpoint_every_n_hours)
    writer = tf.summary.FileWriter(log_dir, session.graph)
    progress = Progress(log_dir, num_steps=config.num_steps, batch_size=graph.batch_size, writer=writer)

    def watch(path: Optional[str], step: int) -> None:
        if path:
            progress.saved(step, evaluate(path) if evaluate else None)
            progress.pause()
    first_step, saved_at = step, time.time()
    signals = _Signals()
    try:
        while not config.num_steps or step < config.num_steps:
            if signals.received:
                break
            if step % config.save_summaries_steps == 0:
                (loss, step, learning_rate), summary = session.run([graph.step, graph.summary])
                writer.add_summary(summary, step)
            else:
                loss, step, learning_rate = session.run(graph.step)
            progress.update(int(step), float(loss), float(learning_rate))
            if time.time() - saved_at > config.save_checkpoint_secs:
                watch(saver.save(session, step, is_last=False), step)
                saved_at = time.time()
    except tf.errors.OutOfRangeError:
        _log.info("the data ended (num_epochs) at step %d", step)
    except tf.errors.InvalidArgumentError as error:
        if graph.stream.report.error:  # what the pipeline found wrong with the data, in words
            raise ValueError(graph.stream.report.error) from error
        _raise_if_not_finite(error, step + 1, log_dir)
        raise
    finally:
        signals.restore()
        writer.close()
    if step > first_step:
        path = saver.save(session, step)
        _log.info("saved %s", path)
        watch(path, step)
    _log.info("%s", graph.stream.report)
    if signals.received:
        raise TrainingStopped(f"stopped by {signals.received} at step {step}; to go on from there, run the same "
                              "command again", 128 + signals.number)
    return int(step)


def _raise_if_not_finite(error: Any, step: int, log_dir: str) -> None:
    """Raises TrainingStopped if TensorFlow's error is about a number that is not finite."""
    # the words of check_numerics, and of summaries, which may come first
    match = re.search(r"^(.*) : Tensor had|Nan in summary (histogram)", error.message, re.MULTILINE)
    if match:
        saved = checkpoint.list_checkpoints(log_dir)
        what = (match.group(1) or "a control point").strip()
        where = f"the last checkpoint is {saved[-1]}" if saved else "no checkpoint was saved before"
        raise TrainingStopped(f"step {step}: {what} is infinite or not a number, so training stopped and this step was "
                              f"not saved; {where}. A lower learning rate or gradient_clipping_by_norm may help"
                              ) from error


class _Signals:
    """Remembers SIGINT or SIGTERM, so that the current step is finished and saved. A second signal acts at once."""

    def __init__(self) -> None:
        self.received: Optional[str] = None
        self.number = 0
        self._previous: Dict[int, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not in the main thread: whoever calls us handles signals
                self._previous[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, _: Any) -> None:
        self.number = int(number)
        self.received = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        _log.info("%s: finishing this step, then saving", self.received)
        self.restore()

    def restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())


def _num_parameters() -> int:
    return sum(v.shape.num_elements() for v in tf.trainable_variables())
