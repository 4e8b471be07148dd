"""Compares a model with recorded outputs of the published system.

    python tests/parity.py CONFIG CHECKPOINT NPZ

prints the largest difference of everything that the NPZ holds, and exits with 0 when all of it is within
its tolerance. `tests/test_parity.py` runs the same for the golden model.

A thin-plate spline multiplies the last bit of a control point into about 1e-4 of a pixel's value, and the
gradient of the sampler jumps where a point crosses a pixel. So results can depend on the order in which a
convolution adds, which differs between TensorFlow 1.4 and 2. Where a difference is beyond its tolerance, it is
therefore set beside the difference that noise of 1e-6 of the input's value makes in the same program; it is
reported as "noise" if it is no larger than that (for gradients: in the same part of the model), and as
FAIL otherwise.
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
NOISE_DRAWS = 12  # the effect of one ranges over a factor of ten: it depends on which points cross a pixel


def run_model(config_path, checkpoint_path, images, texts):
    """Runs inference and a training pass.

    Args:
      config_path: the model's configuration.
      checkpoint_path: its checkpoint.
      images: [B, H, W, 3], 0..255.
      texts: [B], the true texts.

    Returns:
      {name in the NPZ: array}.
    """
    config = read_config(config_path)
    outputs = {}
    for build in (_inference, _training):
        with tf.Graph().as_default():
            model = build_model(config.model, os.path.dirname(config_path))
            # fed as in real use: of constants TensorFlow would fold, and so round, differently
            inputs = tf.placeholder(tf.float32, (None,) + images.shape[1:]), tf.placeholder(tf.string, [None])
            tensors = build(model, *inputs)
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
    result = model.training_pass(images, texts)
    tensors = {"training/loss_" + name.lower(): loss for name, loss in result.losses.items()}
    for predictor, teaching in zip(model.predictors, result.teacher_forced):
        tensors[f"training/{predictor.decoder.name.lower()}_logits"] = teaching.logits
    total = tf.add_n(list(result.losses.values())
                     + tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
    variables = tf.trainable_variables()
    for variable, gradient in zip(variables, tf.gradients(total, variables)):
        if gradient is not None:
            tensors["gradient/" + variable.op.name] = tf.sqrt(tf.reduce_sum(tf.square(gradient)))
    return tensors


def compare(expected, actual):
    """Compares recorded arrays with ours.

    Args:
      expected: {name in the NPZ: array}, as recorded.
      actual: the same of ours; names may be missing.

    Returns:
      [(name, largest difference, tolerance, whether it holds)], for every name in `expected`.
    """
    rows = []
    for name in sorted(expected):
        if name == "training/gradient_norms_names" or not name.startswith(("inference/", "training/")):
            continue
        if name == "training/gradient_norms":
            names = [_text(n) for n in expected["training/gradient_norms_names"]]
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


def check(config_path, checkpoint_path, npz_path):
    """Compares a model with recorded outputs.

    Args:
      config_path: the model's configuration.
      checkpoint_path: its checkpoint.
      npz_path: the recorded outputs, with the images and texts that they are of.

    Returns:
      [(verdict, name, largest difference, tolerance)]; a verdict is "ok", "noise" or "FAIL".
    """
    expected = dict(np.load(npz_path))
    images, texts = expected["images_uint8"].astype(np.float32), expected["groundtruth_text"]
    actual = run_model(config_path, checkpoint_path, images, texts)
    rows = compare(expected, actual)
    noise = {}
    if not all(holds for _, _, _, holds in rows):
        rng = np.random.RandomState(0)
        for _ in range(NOISE_DRAWS):
            noisy = images * (1.0 + 1e-6 * rng.standard_normal(images.shape)).astype(np.float32)
            for name, difference, _, _ in compare(_as_expected(expected, actual),
                                                  run_model(config_path, checkpoint_path, noisy, texts)):
                noise[_part(name)] = max(noise.get(_part(name), 0.0), difference)
    return [("ok" if holds else "noise" if difference <= noise[_part(name)] else "FAIL", name, difference, tolerance)
            for name, difference, tolerance, holds in rows]


def _part(name):
    """The gradients of one part of the model share what noise does to them."""
    return "/".join(name.split("/")[:2])


def _as_expected(expected, actual):
    """What our model gave, in the layout of the NPZ."""
    result = {name: actual.get(name, expected[name]) for name in expected}
    if "training/gradient_norms" in expected:
        result["training/gradient_norms"] = [actual.get("gradient/" + _text(name), 0.0)
                                             for name in expected["training/gradient_norms_names"]]
    return result


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)


def main(arguments):
    if len(arguments) != 3:
        sys.exit(__doc__)
    rows = check(*arguments)
    for verdict, name, difference, tolerance in rows:
        print(f"{verdict:5} {difference:<10.3g} (at most {tolerance:g})  {name}")
    num_ok, num_noise, num_failed = (sum(row[0] == verdict for row in rows) for verdict in ("ok", "noise", "FAIL"))
    print(f"{num_ok} ok, {num_noise} within noise, {num_failed} failed")
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
