"""Starting from the parameters of another training, also of one with another character set."""
import logging
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from aster import character_sets, checkpoint
from aster.checkpoint_files import open_reader
from aster.compat import tf
from aster.data.charset import NUM_SPECIAL_LABELS
from aster.model.recognition import RecognitionModel

_log = logging.getLogger(__name__)


def start_from(session: Any, path: str, model: RecognitionModel) -> None:
    """Restores what a checkpoint has of a model's variables, and logs what starts anew.

    Where a predictor's character set is another one there, what belongs to a character is carried to its new label. A
    new letter starts from the same letter in the other case, other new characters start anew. A checkpoint without
    character sets gives the variables of the same shape only.

    Args:
      session: a session of the model's graph, whose variables are initialized.
      path: the checkpoint's path.
      model: the model.

    Raises:
      CheckpointError: the checkpoint has none of the variables, or is damaged.
    """
    variables, stored = checkpoint.model_variables(), character_sets.read(path)
    differences = character_sets.describe_differences(stored or {}, model.characters)
    if differences:
        is_new = any(set(here) - set((stored or {}).get(name, here)) for name, here in model.characters.items())
        _log.info("the character set of %s is another one: %s. %s the model knows of the common ones is kept", path,
                  differences, "A new letter starts from the same letter in the other case if the model knows that, "
                  "other new characters start anew, and what" if is_new else "What")
    carried: List[Tuple[Any, np.ndarray]] = []
    anew: List[Any] = []
    for predictor in model.predictors:
        decoder, here = predictor.decoder, "".join(predictor.charset.characters)
        there = (stored or {}).get(decoder.name, here)
        if there == here:
            continue
        if hasattr(decoder, "label_axes"):
            carried += _carry_variables(session, path, variables, decoder.label_axes(), there=there, here=here)
        else:
            anew += [v for v in variables if v.op.name.startswith(decoder.name + "/")]
            _log.warning("predictor %s: all of it starts anew, since its decoder has no label_axes; docs/extending.md "
                         "says what that is", decoder.name)
    handled = {v.op.name for v in anew} | {v.op.name for v, _ in carried}
    left_out = checkpoint.warm_start(session, path, [v for v in variables if v.op.name not in handled])
    if carried:
        checkpoint.assign(session, carried)
    _start_averages(session)
    left_out = sorted(left_out + [v.op.name for v in anew])
    _log.info("started from %s%s", path,
              "; these variables are not in it, and start anew: " + ", ".join(left_out) if left_out else "")
    if stored is None and left_out:
        _log.warning("%s: its character sets are not stored, so what its decoders know of common characters can't be "
                     "carried over; if you know them, write them to %s (docs/configuration.md has its form)",
                     path, character_sets.path_beside(path))


def _start_averages(session: Any) -> None:
    """Lets the moving averages start from the parameters, not from those that a new model would have."""
    by_name = {v.op.name: v for v in tf.global_variables()}
    averages = [(by_name.get(checkpoint.average_name(v.op.name)), v) for v in tf.trainable_variables()]
    averages = [(average, v) for average, v in averages if average is not None]
    checkpoint.assign(session, list(zip([average for average, _ in averages],
                                        session.run([v for _, v in averages]))))


def _carry_variables(session: Any, path: str, variables: List[Any], label_axes: Dict[str, int], *, there: str,
                     here: str) -> List[Tuple[Any, np.ndarray]]:
    """(variable, value) of those variables with an axis of labels that the checkpoint has in a shape that fits."""
    values = []
    with open_reader(path) as reader:
        for variable in variables:
            name = variable.op.name
            if name in label_axes and name in reader.shapes:
                value = carry(reader.read(name), session.run(variable), label_axes[name], there=there, here=here)
                if value is not None:
                    values.append((variable, value))
    return values


def carry(stored: np.ndarray, initial: np.ndarray, axis: int, *, there: str, here: str) -> Optional[np.ndarray]:
    """Moves what belongs to labels to the labels that the same characters have in another character set.

    Args:
      stored: the value in the checkpoint.
      initial: the initial value here, which new characters keep.
      axis: the axis that begins with one place for each label. What follows on it belongs to other inputs, and is kept.
      there: the characters of the checkpoint, in the order of their labels.
      here: those of the configuration.

    Returns:
      The value to start from, a new letter's from the same letter in the other case; None if the shapes differ by more
      than the numbers of labels.
    """
    source, target = np.moveaxis(stored, axis, 0), np.moveaxis(initial.copy(), axis, 0)
    num_there, num_here = NUM_SPECIAL_LABELS + len(there), NUM_SPECIAL_LABELS + len(here)
    rest = len(source) - num_there
    if source.shape[1:] != target.shape[1:] or rest < 0 or rest != len(target) - num_here:
        return None
    label_there = {character: label for label, character in enumerate(there, NUM_SPECIAL_LABELS)}
    target[:NUM_SPECIAL_LABELS] = source[:NUM_SPECIAL_LABELS]
    for label, character in enumerate(here, NUM_SPECIAL_LABELS):
        known = character if character in label_there else character.swapcase()
        if known in label_there:
            target[label] = source[label_there[known]]
    target[num_here:] = source[num_there:]
    return np.moveaxis(target, 0, axis)
