"""The evaluations of a training: after each checkpoint, and what the best one has gained over the start."""
import errno
import json
import logging
import os
from typing import Any, Dict, Iterator, List, Optional

from aster.checkpoint_files import step_of
from aster.compat import tf
from aster.data.dataset import check_inputs
from aster.errors import describe
from aster.evaluation.comparison import mcnemar
from aster.evaluation.evaluator import evaluate, summary_lines
from aster.files import is_no_file

_log = logging.getLogger(__name__)
_MARKS = {True: "1", False: "0", None: "-"}  # whether a word is right; a truth may have nothing to compare


class EvaluationHistory:
    """Evaluates the checkpoints of a training on each eval_input_reader, and keeps what came of it.

    Each evaluation is a line of log/evaluations.jsonl: {"step": ..., "data_sets": [{"dataset": ..., "word_accuracy":
    ..., "right": "1101-"}]}. The text "right" has a mark for each word: 1 right, 0 wrong, - nothing to compare.
    """

    def __init__(self, config: Any, exp_dir: str) -> None:
        """Looks at the data, before any training.

        Args:
          config: a TrainEvalPipelineConfig with eval_num_examples.
          exp_dir: the experiment folder.

        Raises:
          FileNotFoundError: a file is missing.
          ValueError: the data can't be used.
        """
        self._config = type(config)()
        self._config.CopyFrom(config)
        self._config.eval_config.num_examples = config.train_config.eval_num_examples
        self._exp_dir = exp_dir
        self._path = os.path.join(exp_dir, "log", "evaluations.jsonl")
        with tf.Graph().as_default():
            check_inputs(config.eval_input_reader, config.eval_config.data_preprocessing_steps, base_dir=exp_dir,
                         field="eval_input_reader", is_training=False)

    def evaluate(self, path: str) -> Optional[float]:
        """Evaluates a checkpoint. The log has the results.

        Args:
          path: the checkpoint's path.

        Returns:
          The mean of the word accuracies of all readers, 0..1; None if it can't be evaluated, which the log says.
        """
        data_sets: List[Dict[str, Any]] = []
        try:
            for number in range(len(self._config.eval_input_reader)):
                rights: List[Optional[bool]] = []
                result = evaluate(self._config, self._exp_dir, path, reader=number, on_word=rights.append)
                _log.info("%s", "\n".join(summary_lines(result)))
                data_sets.append({"dataset": result["dataset"], "word_accuracy": result["word_accuracy"],
                                  "right": "".join(map(_MARKS.__getitem__, rights))})
        except (OSError, ValueError) as error:
            _log.error("can't evaluate %s: %s; training goes on", path, error)
            return None
        self._append({"step": step_of(path), "data_sets": data_sets})
        return sum(data_set["word_accuracy"] for data_set in data_sets) / len(data_sets)

    def _append(self, record: Dict[str, Any]) -> None:
        try:
            if is_no_file(self._path):
                raise OSError(errno.EINVAL, "it is not a file", self._path)
            with open(self._path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
        except OSError as error:
            _log.error("%s; training goes on", describe(error))

    def compare_best_with_start(self) -> Iterator[str]:
        """Says for each data set what the best checkpoint has gained over the start, and whether by chance.

        Yields:
          A line for each data set; none where the start was not evaluated.
        """
        records = self._read()
        if 0 not in records:
            return
        # the first of the best, as the best checkpoint is
        best = max(records, key=lambda step: (_mean_accuracy(records[step]), -step))
        for start, end in zip(records[0], records[best]):
            won = sum(a == "0" and b == "1" for a, b in zip(start["right"], end["right"]))
            lost = sum(a == "1" and b == "0" for a, b in zip(start["right"], end["right"]))
            yield (f"{end['dataset']}: {100 * start['word_accuracy']:.2f} % at the start, "
                   f"{100 * end['word_accuracy']:.2f} % at step {best}, which is the best: {won} words won, {lost} "
                   f"lost (McNemar's test: p = {mcnemar(won, lost):.2g})")

    def _read(self) -> Dict[int, List[Dict[str, Any]]]:
        """{step: its data sets} of the file. What can't be read is left out, and so are other data."""
        records: Dict[int, List[Dict[str, Any]]] = {}
        if is_no_file(self._path):
            return {}
        try:
            with open(self._path, encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    try:
                        record = json.loads(line)
                        records[int(record["step"])] = record["data_sets"]
                        _mean_accuracy(record["data_sets"])
                    # a line that a full disk cut short, or that somebody wrote
                    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
                        continue
        except OSError:
            pass
        lengths = {step: [(data_set["dataset"], len(data_set["right"])) for data_set in data_sets]
                   for step, data_sets in records.items()}
        return {step: data_sets for step, data_sets in records.items() if lengths[step] == lengths.get(0)}


def _mean_accuracy(data_sets: List[Dict[str, Any]]) -> float:
    return sum(data_set["word_accuracy"] for data_set in data_sets) / len(data_sets)
