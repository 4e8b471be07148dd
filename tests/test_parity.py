"""Recorded outputs of the published system, for a small model (tests/golden)."""
import os

import parity

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


def test_golden_model():
    rows = parity.check(*[os.path.join(GOLDEN, "tiny." + ending) for ending in ("prototxt", "ckpt", "npz")])
    assert len(rows) == 71
    assert [row for row in rows if row[0] == "FAIL"] == []
    # nothing but what lies behind the sampler may differ by rounding
    noisy = [name for verdict, name, _, _ in rows if verdict == "noise"]
    assert all("LocalizationNet" in name or "Convnet" in name or name == "inference/rectified_images"
               for name in noisy), noisy


def test_a_wrong_model_fails():
    expected = {"inference/score": [0.0, 1.0], "inference/text": [b"a", b"b"], "training/loss_x": 2.0}
    actual = {"inference/score": [0.0, 1.01], "inference/text": [b"a", b"c"], "training/loss_x": 2.001}
    assert [(name, holds) for name, _, _, holds in parity.compare(expected, actual)] == [
        ("inference/score", False), ("inference/text", False), ("training/loss_x", True)]
    assert not any(holds for _, _, _, holds in parity.compare(expected, {}))
