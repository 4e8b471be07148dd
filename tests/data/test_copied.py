"""Batches that are copied to a device ahead. A second CPU device takes the place of a GPU."""
import numpy as np
import pytest
from experiment import make_experiment

from aster.compat import CAN_COPY_AHEAD, num_gpus, session_config, tf
from aster.config import read_config
from aster.data import copied
from aster.data.copied import copy_problem, device_to_copy_to
from aster.data.dataset import make_dataset

needs_copies = pytest.mark.skipif(not CAN_COPY_AHEAD, reason="only TensorFlow 2 copies ahead")


def epoch(folder, copy_to):
    """All batches of two epochs, and the device of their images."""
    config = read_config(str(folder))
    config.train_input_reader[0].num_epochs = 2
    with tf.Graph().as_default(), tf.Session(config=session_config(2)) as session:
        stream = make_dataset(config.train_input_reader, [4], config.train_config.data_augmentation_options,
                              is_training=True, base_dir=str(folder), seed=5, copy_to=copy_to)
        fetches = [stream.batch.images, stream.batch.texts, stream.batch.numbers, stream.waited]
        batches = []
        for _ in range(2):  # it can start anew
            session.run(stream.initializer)
            with pytest.raises(tf.errors.OutOfRangeError):
                while True:
                    batches.append(session.run(fetches))
        return batches, stream.batch.images.device


@needs_copies
def test_batches_are_the_same(tmp_path):
    make_experiment(tmp_path)
    (kept, _), (ahead, device) = epoch(tmp_path, None), epoch(tmp_path, "/cpu:1")
    assert device.endswith("CPU:1") and len(ahead) == len(kept) == 8
    for own, other in zip(ahead, kept):
        for a, b in zip(own[:3], other[:3]):
            np.testing.assert_array_equal(a, b)
        assert 0 <= own[3] < 60


@needs_copies
def test_batches_on_a_gpu_are_the_same(tmp_path):
    if not num_gpus():
        pytest.skip("needs a GPU")
    make_experiment(tmp_path)
    assert copy_problem("/gpu:0") == ""
    (kept, _), (ahead, device) = epoch(tmp_path, None), epoch(tmp_path, "/gpu:0")
    assert device.endswith("GPU:0") and len(ahead) == len(kept)
    for own, other in zip(ahead, kept):
        for a, b in zip(own[:3], other[:3]):
            np.testing.assert_array_equal(a, b)


def test_which_device(monkeypatch, caplog):
    monkeypatch.setattr(copied, "copy_problem", lambda device: "")
    assert device_to_copy_to(["/cpu:0"]) is None and device_to_copy_to(["/gpu:0", "/gpu:1"]) is None
    assert device_to_copy_to(["/gpu:0"]) == ("/gpu:0" if CAN_COPY_AHEAD else None)
    assert not caplog.text
    monkeypatch.setattr(copied, "copy_problem", lambda device: "no kernel")
    assert device_to_copy_to(["/gpu:0"]) is None
    assert ("can't copy batches to /gpu:0 ahead (no kernel)" in caplog.text) == CAN_COPY_AHEAD


@needs_copies
def test_whether_it_can_copy_is_tried():
    assert copy_problem("/cpu:1") == ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.Session, "run", lambda *_: (_ for _ in ()).throw(
            tf.errors.NotFoundError(None, None, "no kernel for RemoteCall\nat /gpu")))
        assert copy_problem("/cpu:1") == "no kernel for RemoteCall"
