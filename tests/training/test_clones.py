import numpy as np
import pytest
from experiment import WORDS, make_experiment, random_images

from aster.compat import tf
from aster.config import read_config
from aster.data.dataset import Batch
from aster.model.build import build_model
from aster.training.clones import build_clones, clone_devices


def gradients(config, devices, freeze=()):
    """{variable: gradient} for a fixed batch and fixed variables, and the total loss."""
    with tf.Graph().as_default():
        batch = Batch(tf.constant(random_images(8)), tf.constant(WORDS), None, None)
        clones = build_clones(build_model(config.model), batch, devices, freeze=freeze)
        options = tf.ConfigProto(device_count={"CPU": len(devices)}, allow_soft_placement=True)
        with tf.Session(config=options) as session:
            session.run(tf.global_variables_initializer())
            rng = np.random.RandomState(1)
            for variable in sorted(tf.trainable_variables(), key=lambda v: v.op.name):
                value = 0.1 * rng.standard_normal(variable.shape.as_list())
                session.run(variable.initializer, {variable.initializer.inputs[1]: value})
            names = [variable.op.name for _, variable in clones.gradients]
            values = session.run([clones.total_loss] + [gradient for gradient, _ in clones.gradients])
            assert len(tf.global_variables()) == len(set(v.op.name for v in tf.global_variables()))
    return dict(zip(names, values[1:])), values[0]


def test_clones_share_variables_and_average_gradients(tmp_path):
    # without batch statistics, two clones of half a batch are one clone of the whole
    config = read_config(make_experiment(tmp_path, norm="regularizer { l2_regularizer { weight: 0.01 } }"))
    one, loss = gradients(config, ["/cpu:0"])
    two, loss_of_two = gradients(config, ["/cpu:0", "/cpu:1"])
    assert set(one) == set(two) and any(np.abs(g).max() > 0 for g in one.values())
    np.testing.assert_allclose(loss, loss_of_two, rtol=1e-5)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-2, atol=1e-4, err_msg=name)


def test_frozen_variables_get_no_gradient(tmp_path):
    config = read_config(make_experiment(tmp_path))
    names, _ = gradients(config, ["/cpu:0"], ["LocalizationNet/.*", "FeatureExtractor/Convnet/conv1"])
    assert not any(name.startswith("LocalizationNet") for name in names)
    assert "FeatureExtractor/Convnet/conv1/weights" in names  # the whole name must match
    with pytest.raises(ValueError, match="leaves nothing to train"):
        gradients(config, ["/cpu:0"], [".*"])


def test_more_clones_than_gpus_is_an_error():
    with pytest.raises(ValueError, match="--clone_on_cpu"):
        clone_devices(64, on_cpu=False)
    assert clone_devices(2, on_cpu=True) == ["/cpu:0", "/cpu:1"]
