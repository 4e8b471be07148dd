"""The training loop: builds the graph, resumes, steps, saves and says what it does."""
import logging
import os
import re
import signal
import tempfile
import time
from typing import Any, NamedTuple

from aster import checkpoint
from aster.compat import session_config, tf
from aster.data.dataset import check_inputs, make_dataset
from aster.model.build import build_model
from aster.training import TrainingStopped
from aster.training.clones import build_clones, clone_devices
from aster.training.optimizer import make_optimizer, transform_gradients
from aster.training.progress import Progress

_log = logging.getLogger(__name__)


class _Graph(NamedTuple):
    step: Any           # runs one step -> total loss, global step after it and learning rate
    stream: Any
    summary: Any
    global_step: Any
    batch_size: int


def train(config, exp_dir, num_clones=1, clone_on_cpu=False, evaluate=None):
    """Trains until num_steps, the end of the data or a signal; saves in exp_dir/log -> last global step.

    evaluate: a function of a checkpoint's path that gives its word accuracy; called after each one.
    Raises ValueError for input that can't be used, before any training, and TrainingStopped for a loss
    that is not finite or a signal.
    """
    log_dir = os.path.join(exp_dir, "log")
    os.makedirs(log_dir, exist_ok=True)
    with tempfile.TemporaryFile(dir=log_dir):  # an error now, not when the first checkpoint is due
        pass
    devices = clone_devices(num_clones, clone_on_cpu)
    with tf.Graph().as_default():
        graph = _build(config, exp_dir, devices)
        options = session_config(num_clones, bfloat16=config.train_config.bfloat16)
        with tf.Session(config=options) as session:
            _log.info("%.1f M values to train, on %s", _num_values() / 1e6, ", ".join(devices))
            _initialize(session, config.train_config, log_dir)
            session.run(graph.stream.initializer)
            return _run(session, graph, config.train_config, log_dir, evaluate)


def _build(config, exp_dir, devices):
    train_config = config.train_config
    model = build_model(config.model, exp_dir, on_gpu=devices[0].startswith("/gpu"))
    charsets = [predictor.charset for predictor in model.predictors]
    steps = train_config.data_augmentation_options
    check_inputs(config.train_input_reader, steps, charsets, base_dir=exp_dir, max_characters=model.max_characters)
    stream = make_dataset(
        config.train_input_reader, list(train_config.batch_size), steps, is_training=True,
        num_control_points=model.num_supervised_points, charsets=charsets, base_dir=exp_dir,
        prefetch=train_config.prefetch_queue_capacity)
    global_step = tf.train.get_or_create_global_step()
    clones = build_clones(model, stream.batch, devices, train_config.freeze_variables)
    update, rate = train_op(clones, train_config, global_step)
    with tf.control_dependencies([update]):
        step = (tf.identity(clones.total_loss), tf.identity(global_step), tf.identity(rate))
    return _Graph(step, stream, _summary(clones, rate, stream.batch), global_step, sum(train_config.batch_size))


def train_op(clones, config, global_step):
    """-> (the op of one step, its learning rate). Nothing is trained unless loss and gradients are finite."""
    optimizer, rate = make_optimizer(config.optimizer, global_step)
    gradients = transform_gradients(clones.gradients, config.gradient_clipping_by_norm,
                                    config.bias_grad_multiplier)
    with tf.variable_scope(checkpoint.MOVING_AVERAGE_SCOPE):
        with tf.control_dependencies([_check_finite(clones.total_loss, gradients)]):
            updates = [optimizer.apply_gradients(gradients, global_step=global_step)] + clones.update_ops
        if config.optimizer.use_moving_average:
            # num_updates lets the averages of a short run forget the first values
            averages = tf.train.ExponentialMovingAverage(config.optimizer.moving_average_decay, global_step)
            with tf.control_dependencies(updates):
                updates.append(averages.apply([variable for _, variable in gradients]))
    return tf.group(*updates), rate


def _check_finite(loss, gradients):
    """An op that fails where a number is not finite, with the name of its gradient. Only then are they looked at one
    by one: their squared norms tell faster that all is well."""
    def name_it():
        checks = [tf.check_numerics(loss, "the loss")]
        checks += [tf.check_numerics(gradient, "the gradient of " + variable.op.name)
                   for gradient, variable in gradients]
        return tf.group(*checks)
    total = tf.add_n([loss] + [tf.nn.l2_loss(gradient) for gradient, _ in gradients])
    return tf.cond(tf.is_finite(total), tf.no_op, name_it)


def _summary(clones, rate, batch):
    tf.summary.scalar("loss/total", clones.total_loss)
    for name, loss in clones.losses.items():
        tf.summary.scalar("loss/" + name, loss)
    tf.summary.scalar("learning_rate", rate)
    tf.summary.image("images/input", batch.images, max_outputs=4)
    if clones.first.rectification:
        tf.summary.image("images/rectified", clones.first.rectification.images, max_outputs=4)
        tf.summary.histogram("control_points", clones.first.rectification.control_points)
    return tf.summary.merge_all()


def _initialize(session, config, log_dir):
    """Fresh variables, then those of the latest checkpoint that can be read, or of a warm start."""
    session.run(tf.global_variables_initializer())
    resumed = checkpoint.resume(session, log_dir, tf.global_variables())
    if resumed:
        _log.info("resumed from %s", resumed)
    elif config.fine_tune_checkpoint:
        path = checkpoint.find_checkpoint(config.fine_tune_checkpoint)
        left_out = checkpoint.warm_start(session, path, checkpoint.model_variables())
        _log.info("started from %s%s", path, "; not found there: " + ", ".join(left_out) if left_out else "")


def _run(session, graph, config, log_dir, evaluate):
    saver = checkpoint.Saver(log_dir, config.keep_checkpoint_every_n_hours)
    writer = tf.summary.FileWriter(log_dir, session.graph)
    progress = Progress(log_dir, config.num_steps, graph.batch_size, writer)

    def watch(path, step):
        if path:
            progress.saved(step, evaluate(path) if evaluate else None)
            progress.pause()
    step = first = int(session.run(graph.global_step))
    saved_at = time.time()
    signals = _Signals()
    try:
        while not config.num_steps or step < config.num_steps:
            if signals.received:
                break
            if step % config.save_summaries_steps == 0:
                (loss, step, rate), summary = session.run([graph.step, graph.summary])
                writer.add_summary(summary, step)
            else:
                loss, step, rate = session.run(graph.step)
            progress.update(int(step), float(loss), float(rate))
            if time.time() - saved_at > config.save_checkpoint_secs:
                watch(saver.save(session, step, last=False), step)
                saved_at = time.time()
    except tf.errors.OutOfRangeError:
        _log.info("the data ended (num_epochs) at step %d", step)
    except tf.errors.InvalidArgumentError as error:
        if graph.stream.report.error:
            raise ValueError(graph.stream.report.error)
        _explain(error, step + 1, log_dir)
        raise
    finally:
        signals.restore()
        writer.close()
    if step > first:
        path = saver.save(session, step)
        _log.info("saved %s", path)
        watch(path, step)
    _log.info("%s", graph.stream.report)
    if signals.received:
        raise TrainingStopped("stopped by %s at step %d; the same command goes on from there"
                              % (signals.received, step), 128 + signals.number)
    return int(step)


def _explain(error, step, log_dir):
    """Raises TrainingStopped for a number that is not finite."""
    # the words of check_numerics, and of summaries, which may come first
    found = re.search(r"^(.*) : Tensor had|Nan in summary (histogram)", error.message, re.MULTILINE)
    if found:
        saved = checkpoint.list_checkpoints(log_dir)
        raise TrainingStopped(
            "step %d: %s is infinite or not a number, so training stopped and this step was not saved; %s. "
            "A lower learning rate or gradient_clipping_by_norm may help"
            % (step, (found.group(1) or "a control point").strip(),
               f"the last checkpoint is {saved[-1]}" if saved else "no checkpoint was saved before"))


class _Signals:
    """Remembers SIGINT or SIGTERM, so that the step in hand is finished and saved; a second one acts at once."""

    def __init__(self):
        self.received = self.number = None
        self._previous = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._receive)
            except ValueError:  # not in the main thread: whoever calls us handles signals
                pass

    def _receive(self, number, _):
        self.number = int(number)
        self.received = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number]
        _log.info("%s: finishing this step, then saving", self.received)
        self.restore()

    def restore(self):
        while self._previous:
            signal.signal(*self._previous.popitem())


def _num_values():
    return sum(v.shape.num_elements() for v in tf.trainable_variables())
