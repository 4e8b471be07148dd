"""The training loop: steps, saves, and says what it does; and saves what is good, whatever ends it."""
import logging
import re
import time
from typing import Any, Callable, NamedTuple, Optional, Tuple

from aster import checkpoint
from aster.checkpoint import CheckpointError
from aster.compat import tf
from aster.errors import describe
from aster.model.recognition import RecognitionModel
from aster.training import TrainingStopped
from aster.training.best import BestCheckpoint
from aster.training.divergence import CURES, CheckpointKeeper, DivergenceWatch
from aster.training.progress import Progress
from aster.training.reach import GaveUp, call_patiently
from aster.training.saver import Saver
from aster.training.signals import Signals

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 5.0


class TrainingGraph(NamedTuple):
    """What the loop runs.

    Attributes:
      step: makes one step, and gives total loss, global step after it, learning rate, the share of control points
        that are far outside of their images, the numbers of the batch's samples, the seconds of waiting for them, and
        the losses of `loss_names`.
      stream: the Stream of batches.
      summary: for TensorBoard, a scalar string.
      global_step: the variable that counts steps.
      batch_size: images per step.
      model: the RecognitionModel that is trained.
      place: the variable that keeps where training is in its data, a scalar string; None without a seed.
      loss_names: the losses that the log names beside the total.
    """
    step: Any
    stream: Any
    summary: Any
    global_step: Any
    batch_size: int
    model: RecognitionModel
    place: Any = None
    loss_names: Tuple[str, ...] = ()


class Stepper:
    """Makes the steps of one training."""

    def __init__(self, session: Any, graph: TrainingGraph, config: Any, log_dir: str, first_step: int,
                 evaluate: Optional[Callable[[str], Optional[float]]] = None,
                 run_step: Optional[Callable[[Any, Any], Any]] = None,
                 listen: Callable[[], Signals] = Signals) -> None:
        """Prepares the steps.

        Args:
          session: of the graph, with all variables restored and the stream initialized.
          graph: the TrainingGraph.
          config: a TrainConfig message.
          log_dir: folder of the checkpoints.
          first_step: the global step before the first step.
          evaluate: see `train`.
          run_step: runs fetches, but returns None where a signal came before the step ends. None: a step
            that waits for its data for long is left out.
          listen: makes the Signals that end the training.
        """
        self._run_step, self._listen = run_step or self._run_or_leave, listen
        self._session, self._graph, self._config, self._log_dir = session, graph, config, log_dir
        self._first_step, self._evaluate = first_step, evaluate
        self._saver = Saver(log_dir, config.keep_checkpoint_every_n_hours, graph.model.characters)
        self._progress = Progress(log_dir, num_steps=config.num_steps, batch_size=graph.batch_size,
                                  graph=session.graph)
        self._keeper = CheckpointKeeper(log_dir)
        self._best = BestCheckpoint(log_dir, first_step)
        self._saved_step = first_step
        is_new = not first_step and not config.fine_tune_checkpoint
        self._watch = DivergenceWatch(self._progress.losses_until(first_step), is_new)
        if self._watch.diverged:
            _log.warning("training had diverged already before step %d: %s", first_step, self._watch.diverged)

    def run(self) -> int:
        """Makes steps until num_steps, an early stop, the end of the data, a signal, or an error. Then it saves.

        Returns:
          The global step at the end.

        Raises:
          ValueError: the data can't be read any more.
          CheckpointError: the last checkpoint can't be saved.
          TrainingStopped: see `train`. After a signal, this says that the last checkpoint can't be saved, too.
          Exception: whatever else ends a step. The steps before are saved.
        """
        if self._is_stalled():
            _log.info("%s", self._describe_stall())
            return self._first_step
        failure: Optional[Exception] = None
        signals = self._listen()
        try:
            try:
                self._evaluate_start()
                self._make_steps(signals)
            except tf.errors.OutOfRangeError:
                _log.info("the data ended (num_epochs) at step %d", self._step())
            except TrainingStopped:  # it diverged: the parameters are not worth saving
                raise
            except Exception as error:
                raise_if_not_finite(error, self._step() + 1, self._log_dir)
                failure = error
            self._save_last(failure, signals)
        finally:
            signals.restore()
        report = self._graph.stream.report
        _log.info("%s", report)
        if failure and report.error:
            raise ValueError(report.error) from failure
        if failure:
            raise failure
        if signals.received:
            raise TrainingStopped(f"stopped by {signals.received} at step {self._saved_step}; to go on from there, run "
                                  "the same command again", 128 + signals.number)
        return self._step()

    def _evaluate_start(self) -> None:
        """Evaluates what training starts from, if that is another training, so that the best checkpoint is never worse.
        """
        if self._evaluate and self._config.fine_tune_checkpoint and not self._first_step and self._best.step is None:
            path = self._save(0, is_last=False)
            if path:
                self._show(path, 0)

    def _step(self) -> int:
        return int(self._session.run(self._graph.global_step))

    def _run_or_leave(self, fetches: Any, signals: Signals) -> Any:
        """Runs a step. Returns None where a signal came, and the step still waits for its data some seconds later."""
        def wait_no_more() -> bool:
            return self._graph.stream.waiting.is_set() and signals.is_late(_PATIENCE_SECONDS)
        try:
            return call_patiently(lambda: self._session.run(fetches), give_up=wait_no_more)
        except GaveUp:
            _log.warning("this step still waits for its data, and is left out; closing may take half a minute")
            return None

    def _make_steps(self, signals: Signals) -> None:
        before, step, saved_at = self._first_step - 1, self._first_step, time.time()
        while not signals.received and not 0 < self._config.num_steps <= step:
            # of a cluster, other workers make steps meanwhile
            is_due = step // self._config.save_summaries_steps != before // self._config.save_summaries_steps
            results = self._run_step([self._graph.step, self._graph.summary][:1 + is_due], signals)
            if results is None:
                return
            before, (loss, step, rate, far, numbers, waited, parts) = step, results[0]
            step = int(step)
            if is_due:
                self._progress.add_summary(results[1], step)
            self._graph.stream.use(numbers)
            self._progress.update(step, float(loss), float(rate), float(waited),
                                  dict(zip(self._graph.loss_names, map(float, parts))))
            problem = self._watch.update(float(loss), float(far))
            if problem:
                self._diverge(step, problem)
            if time.time() - saved_at > self._config.save_checkpoint_secs:
                self._keep_or_discard()
                path = self._save(step, is_last=False)
                if path:
                    self._show(path, step)
                    if self._is_stalled():
                        _log.info("%s", self._describe_stall())
                        return
                saved_at = time.time()

    def _save(self, step: int, is_last: bool = True) -> Optional[str]:
        if self._graph.place is not None:
            initializer = self._graph.place.initializer
            self._session.run(initializer, {initializer.inputs[1]: self._graph.stream.place()})
        path = self._saver.save(self._session, step, is_last)
        self._saved_step = step if path else self._saved_step
        return path

    def _is_stalled(self) -> bool:
        return 0 < self._config.early_stopping_evaluations <= self._best.evaluations_since

    def _describe_stall(self) -> str:
        return (f"stopped early: {self._best.evaluations_since} evaluations in a row have not raised the word accuracy "
                f"(early_stopping_evaluations); the best checkpoint is that of step {self._best.step}, with "
                f"{100 * self._best.word_accuracy:.2f} %, in {self._best.folder}")

    def _keep_or_discard(self) -> None:
        """Before a checkpoint of parameters that may be ruined, keeps those that it may push out."""
        if not self._watch.is_suspicious():
            self._keeper.discard()
        elif not self._watch.diverged:  # otherwise they are kept already, or were ruined when training was resumed
            try:
                self._keeper.keep()
            except Exception as error:  # a full disk, say
                _log.error("%s; training goes on", describe(error))

    def _diverge(self, step: int, problem: str) -> None:
        """Keeps the checkpoints of before, and warns or stops."""
        kept = "no checkpoint was saved before"
        try:
            if self._keeper.keep():
                kept = f"the checkpoints of before are kept in {self._keeper.folder}"
        except Exception as error:
            kept = f"the checkpoints of before can't be kept ({describe(error)}): copy them now"
        message = f"step {step}: training has diverged: {problem}; {kept}. {CURES}"
        if self._config.stop_on_divergence:
            raise TrainingStopped(f"{message}. Training stopped (stop_on_divergence), and this step was not saved")
        _log.warning("%s. Training goes on; with stop_on_divergence: true it would stop", message)

    def _show(self, path: str, step: int) -> None:
        """Evaluates a new checkpoint, keeps it if it is the best, and draws the curves."""
        accuracy = None
        if self._evaluate:
            try:
                accuracy = self._evaluate(path)
            except Exception as error:  # what one watches never ends a training
                _log.error("can't evaluate %s: %s; training goes on", path, describe(error))
        if accuracy is not None:
            try:
                self._best.update(path, accuracy)
            except Exception as error:  # a full disk, say
                _log.error("%s; training goes on", describe(error))
        self._progress.saved(step, accuracy)
        self._progress.pause()

    def _save_last(self, failure: Optional[Exception], signals: Signals) -> None:
        """Saves the last step, if there was one. After a failure, that one is the news, and not that of saving; after a
        signal, the status is that of the signal."""
        try:
            step = self._step()
            if step == self._saved_step:
                return
            path = self._save(step)
        except Exception as error:
            if failure:
                _log.error("%s", describe(error))
                return
            if signals.received and isinstance(error, (OSError, CheckpointError, tf.errors.OpError)):
                raise TrainingStopped(f"stopped by {signals.received}: {describe(error)}",
                                      128 + signals.number) from error
            raise
        if failure:
            _log.info("saved %s; to go on from there, run the same command again", path)
        else:
            _log.info("saved %s", path)
            self._show(str(path), step)


def raise_if_not_finite(error: Exception, step: int, log_dir: str) -> None:
    """Raises TrainingStopped if an error is TensorFlow's about a number that is not finite.

    Args:
      error: what a step raised.
      step: the step.
      log_dir: the folder of the checkpoints.
    """
    if not isinstance(error, tf.errors.InvalidArgumentError):
        return
    # the words of check_numerics, and of summaries, which may come first
    match = re.search(r"^(.*) : Tensor had|Nan in summary (histogram)", error.message, re.MULTILINE)
    if match:
        saved = checkpoint.list_checkpoints(log_dir)
        what = (match.group(1) or "a control point").strip()
        where = f"the last checkpoint is {saved[-1]}" if saved else "no checkpoint was saved before"
        raise TrainingStopped(f"step {step}: {what} is infinite or not a number, so training stopped and this step was "
                              f"not saved; {where}. {CURES}") from error
