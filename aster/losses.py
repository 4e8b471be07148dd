"""The terms of the training loss."""
import re
from typing import Iterable, List, Tuple

from aster.clone_means import mean_over_clones, num_clones
from aster.compat import tf

_COLLECTION = "aster_losses"
_NAME = re.compile(r"[A-Za-z0-9.]([\w./>\\-]*[\w.>\\-])?", re.ASCII)  # a scope of TensorFlow's
TOTAL = "total"  # the name that TensorBoard has for their sum


def add(name: str, loss: tf.Tensor) -> None:
    """Adds a term to the training loss, from within any part of a model. TensorBoard shows it as loss/<name>.

    Args:
      name: letters, digits and . _ - /, and at the start a letter, a digit or a dot. Not "total", "keypoints" or the
        name of a predictor, which are other losses. If several terms have one name, they are added up.
      loss: a scalar, a float32 tensor or a number, which training minimizes with the other terms.

    Raises:
      ValueError: the name can't be used, or the loss is no scalar or of another type.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"the name of a loss is {name!r}, expected a text of letters, digits and . _ - / that begins "
                         "with a letter, a digit or a dot, and does not end with /")
    check_apart(name, [TOTAL])
    dtype = tf.as_dtype(getattr(loss, "dtype", tf.float32)).base_dtype
    if dtype != tf.float32:
        raise ValueError(f"the loss {name!r} must be float32, not {dtype.name}; use tf.cast(loss, tf.float32)")
    try:
        loss = tf.convert_to_tensor(loss, tf.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the loss {name!r} must be a scalar, float32, not {loss!r}") from error
    if loss.shape.ndims != 0:
        raise ValueError(f"the loss {name!r} must be a scalar, not of shape {loss.shape}")
    tf.add_to_collection(_COLLECTION, (name, loss))


def check_apart(name: str, names: Iterable[str]) -> None:
    """Raises ValueError if the name of an added loss is among those that the training loss has by itself."""
    if name in names:
        raise ValueError(f"the name of a loss is {name!r}, which the training loss has already; expected another name "
                         f"than {', '.join(map(repr, names))}")


def added() -> List[Tuple[str, tf.Tensor]]:
    """Returns the terms that parts have added to the current graph, (name, scalar) each, in their order."""
    return tf.get_collection(_COLLECTION)


def sequence_cross_entropy(logits: tf.Tensor, targets: tf.Tensor, lengths: tf.Tensor, *, weight: float = 1.0,
                           sequence_normalize: bool = False, sample_normalize: bool = True,
                           label_smoothing: float = 0.0) -> tf.Tensor:
    """Sums the cross-entropy over the steps of each text (ASTER, equation 12).

    Args:
      logits: [B, S, L].
      targets: int32 [B, S], the true labels.
      lengths: int32 [B], steps of each text that count.
      weight: multiplies the loss.
      sequence_normalize: whether the sum of each text is divided by its length.
      sample_normalize: whether the sum of all texts is divided by B.
      label_smoothing: the share of each target that is spread over all L labels (Szegedy et al. 2016, section 7).

    Returns:
      A scalar.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    if label_smoothing:
        uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), -1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * uniform
    losses = tf.reduce_sum(losses * tf.sequence_mask(lengths, tf.shape(targets)[1], tf.float32), 1)
    if sequence_normalize:
        losses = losses / tf.cast(tf.maximum(lengths, 1), tf.float32)
    loss = tf.reduce_sum(losses)
    if sample_normalize:
        loss = loss / tf.cast(tf.maximum(tf.shape(targets)[0], 1), tf.float32)
    elif num_clones() > 1:  # the mean over the clones is to be the sum over all texts
        loss = loss * float(num_clones())
    return weight * loss


def l2_regression(predicted: tf.Tensor, annotated: tf.Tensor, mask: tf.Tensor, weight: float = 1.0) -> tf.Tensor:
    """Computes half the squared distance of control points, summed over the points of an image.

    Args:
      predicted: [B, K, 2].
      annotated: [B, K, 2].
      mask: [B], 1 for images that are annotated, otherwise 0.
      weight: multiplies the loss.

    Returns:
      A scalar, the mean over the annotated images; 0 where there are none.
    """
    distances = 0.5 * tf.reduce_sum(tf.square(predicted - annotated), [1, 2])
    # where() and not a product: coordinates of a masked image may be anything, NaN too
    distances = tf.where(mask > 0.0, distances, tf.zeros_like(distances))
    return weight * tf.reduce_sum(distances) / count_of_all_clones(mask)


def count_of_all_clones(mask: tf.Tensor) -> tf.Tensor:
    """Counts the samples that a mean loss is over.

    Args:
      mask: float32 [B], 1 for samples that count, otherwise 0.

    Returns:
      A scalar: 1 or their number. Of several clones, the mean of their numbers, so that the mean loss of the clones is
      that of all samples that count.
    """
    return tf.maximum(mean_over_clones(tf.reduce_sum(mask)), 1.0 / num_clones())
