"""Compares a model with recorded outputs of the published system.

    python tests/parity.py CONFIG CHECKPOINT NPZ

prints the largest difference of everything that the NPZ holds, and exits with 0 when all of it is within
its tolerance. `tests/test_parity.py` runs the same for the golden model.
"""
import os
import sys

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from aster import checkpoint
from aster.compat import tf
from aster.config import read_config
from aster.model.build import build_model

IMAGE, SCORE, RELATIVE = 1e-4, 1e-3, 1e-3


def run_model(config_path, checkpoint_path, images, texts):
    """uint8 images [B, H, W, 3] and texts [B] -> {name in the NPZ: array}."""
    config = read_config(config_path)
    outputs = {}
    for part in (_inference, _training):
        with tf.Graph().as_default():
            model = build_model(config.model, os.path.dirname(config_path))
            # fed as in real use: of constants TensorFlow would fold, and so round, differently
            inputs = tf.placeholder(tf.float32, (None,) + images.shape[1:]), tf.placeholder(tf.string, [None])
            tensors = part(model, *inputs)
            with tf.Session() as session:
                checkpoint.restore(session, checkpoint.find_checkpoint(checkpoint_path), tf.global_variables())
                outputs.update(session.run(tensors, dict(zip(inputs, (images, texts)))))
    return outputs


def _inference(model, images, _):
    result = model.recognize(images)
    tensors = {"text": result.texts, "score": result.scores, "preprocessed_images": result.preprocessed_images}
    if result.rectification:
        tensors["rectified_images"] = result.rectification.images
        tensors["control_points"] = result.rectification.control_points
    for predictor, decoded in zip(model.predictors, result.decoded):
        name = predictor.decoder.name.lower()
        tensors[name + "_labels"] = decoded.labels
        tensors[name + "_lengths"] = decoded.lengths
        tensors[name + "_scores"] = decoded.scores
    return {"inference/" + name: tensor for name, tensor in tensors.items()}


def _training(model, images, texts):
    result = model.train(images, texts)
    tensors = {"training/loss_" + name.lower(): loss for name, loss in result.losses.items()}
    for predictor, teaching in zip(model.predictors, result.teaching):
        tensors["training/%s_logits" % predictor.decoder.name.lower()] = teaching.logits
    total = tf.add_n(list(result.losses.values())
                     + tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
    variables = tf.trainable_variables()
    for variable, gradient in zip(variables, tf.gradients(total, variables)):
        if gradient is not None:
            tensors["gradient/" + variable.op.name] = tf.sqrt(tf.reduce_sum(tf.square(gradient)))
    return tensors


def compare(expected, actual):
    """-> [(name, largest difference, tolerance, holds)], for every name in `expected`."""
    rows = []
    for name in sorted(expected):
        if name == "training/gradient_norms_names" or not name.startswith(("inference/", "training/")):
            continue
        if name == "training/gradient_norms":
            names = [n.decode() if isinstance(n, bytes) else str(n) for n in expected["training/gradient_norms_names"]]
            rows += [_row("gradient/" + n, norm, actual.get("gradient/" + n), RELATIVE, relative=True)
                     for n, norm in zip(names, expected[name])]
        elif name.startswith("training/loss"):
            rows.append(_row(name, expected[name], actual.get(name), RELATIVE, relative=True))
        elif name.endswith(("labels", "lengths", "text")):
            rows.append(_equal_row(name, expected[name], actual.get(name)))
        else:
            tolerance = IMAGE if name.endswith(("images", "control_points")) else SCORE
            rows.append(_row(name, expected[name], actual.get(name), tolerance))
    return rows


def _row(name, expected, actual, tolerance, relative=False):
    if actual is None or np.shape(actual) != np.shape(expected):
        return name, float("inf"), tolerance, False
    difference = np.abs(np.asarray(actual, np.float64) - expected)
    if relative:
        difference = difference / np.maximum(np.abs(expected), 1e-6)
    largest = float(np.max(difference)) if np.size(difference) else 0.0
    return name, largest, tolerance, bool(largest <= tolerance)


def _equal_row(name, expected, actual):
    """Labels may differ in how far they are padded beyond the longest text."""
    if actual is None:
        return name, float("inf"), 0, False
    if name.endswith("labels"):
        width = max(expected.shape[1], actual.shape[1])
        expected, actual = (np.pad(a, [(0, 0), (0, width - a.shape[1])], "constant", constant_values=-1)
                            for a in (expected, actual))
    different = int(np.sum(np.asarray(expected).astype(bytes) != np.asarray(actual).astype(bytes))) \
        if name.endswith("text") else int(np.sum(expected != actual))
    return name, different, 0, different == 0


def main(arguments):
    if len(arguments) != 3:
        sys.exit(__doc__)
    config_path, checkpoint_path, npz_path = arguments
    expected = dict(np.load(npz_path))
    actual = run_model(config_path, checkpoint_path, expected["images_uint8"], expected["groundtruth_text"])
    rows = compare(expected, actual)
    for name, difference, tolerance, holds in rows:
        print("%-4s %-10.3g (at most %g)  %s" % ("ok" if holds else "FAIL", difference, tolerance, name))
    failed = sum(not holds for _, _, _, holds in rows)
    print("%d comparisons, %d failed" % (len(rows), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
