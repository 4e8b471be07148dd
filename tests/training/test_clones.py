import numpy as np
import pytest
from experiment import WORDS, make_experiment

from aster.checkpoint import MOVING_AVERAGE_SCOPE, assign
from aster.compat import CAN_COMPILE, HAS_ALL_REDUCE, tf
from aster.config import read_config
from aster.data.dataset import Batch, deal, make_dataset
from aster.model.build import build_model
from aster.training.clones import build_clones, clone_devices
from aster.training.update import train_op

POINTS = np.random.RandomState(2).uniform(0, 1, [8, 6, 2]).astype(np.float32)
PENALTY = "regularizer { l2_regularizer { weight: 0.01 } }"


def smooth_images(count):
    """Between the pixels of a noisy image, the gradient of the control points would jump with each rounding."""
    y, x = np.mgrid[0:64, 0:256] / 64.0
    phases = np.random.RandomState(0).uniform(0, 6, [count, 1, 1, 3])
    return (127 + 100 * np.sin(2 * y[..., None] + 3 * x[..., None] + phases)).astype(np.float32)


def devices_of(operations):
    """The names of devices of operations or variables; or the names themselves, which can be written in two ways."""
    return {tf.DeviceSpec.from_string(getattr(one, "device", one)).to_string() for one in operations}


def step(config, num_clones, freeze=(), compiled=False, with_copies=False):
    """Makes a step on a fixed batch from fixed variables -> {"loss": total loss}, {variable: gradient}, {variable:
    value after it}."""
    with tf.Graph().as_default():
        mask = tf.constant([1, 1, 1, 0, 1, 0, 0, 0], tf.float32)  # clones have different shares of it
        batch = Batch(tf.constant(smooth_images(8)), tf.constant(WORDS), None, None, tf.constant(POINTS), mask)
        shares = [Batch(*share) for share in deal(batch, num_clones)]
        # not on /cpu:0, which everything reaches: the first clone's device takes the place of a GPU
        devices = [f"/cpu:{i + 1}" for i in range(num_clones)]
        with tf.device(devices[0]):
            global_step = tf.train.get_or_create_global_step()
        clones = build_clones(build_model(config.model), shares, devices, freeze=freeze,
                              sync_batch_norm=config.train_config.sync_batch_norm, with_copies=with_copies)
        update, _ = train_op(clones, config.train_config, global_step, compile_for=devices[0] if compiled else None)
        assert devices_of(tf.global_variables()) == devices_of(devices[:1])
        every = tf.get_default_graph().get_operations()
        for kind in "Conv2D", "Conv2DBackpropFilter":  # each clone's are on its own device, gradients too
            assert devices_of(op for op in every if op.type == kind) == devices_of(devices)
        options = tf.ConfigProto(device_count={"CPU": num_clones + 1}, allow_soft_placement=True)
        with tf.Session(config=options) as session:
            session.run(tf.global_variables_initializer())
            rng = np.random.RandomState(1)
            assign(session, [(variable, 0.1 * rng.standard_normal(variable.shape.as_list()))
                             for variable in sorted(tf.trainable_variables(), key=lambda v: v.op.name)])
            names = [variable.op.name for _, variable in clones.gradients]
            total, values, _ = session.run([clones.total_loss, [gradient for gradient, _ in clones.gradients], update])
            assert len(tf.global_variables()) == len(set(v.op.name for v in tf.global_variables()))
            after = session.run({v.op.name: v for v in tf.global_variables()})
    return total, dict(zip(names, values)), after


def assert_equal_steps(config, num_clones, **options):
    loss, gradients, after = step(config, 1)
    loss_of_many, gradients_of_many, after_of_many = step(config, num_clones, **options)
    assert set(gradients) == set(gradients_of_many) and any(np.abs(g).max() > 0 for g in gradients.values())
    np.testing.assert_allclose(loss, loss_of_many, rtol=1e-5)
    assert set(after) == set(after_of_many)
    for name in after:
        if not name.startswith(MOVING_AVERAGE_SCOPE):  # the optimizer's are gradients, which rounding changes by more
            np.testing.assert_allclose(after[name], after_of_many[name], rtol=1e-5, atol=1e-5, err_msg=name)
    for name, gradient in gradients.items():
        difference = np.abs(gradient - gradients_of_many[name]).max()
        assert difference <= 0.05 * np.abs(gradient).max() + 1e-5, name


MOMENTUM = ("momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } } "
            "use_moving_average: false")


@pytest.mark.parametrize("with_copies", [False, pytest.param(True, marks=pytest.mark.skipif(
    not HAS_ALL_REDUCE, reason="only TensorFlow 2 has collective operations"))])
@pytest.mark.parametrize("norm, train, num_clones", [
    (PENALTY, "", 2), ("batch_norm { decay: 0.9 train: false } " + PENALTY, "", 2),
    ("batch_norm { decay: 0.9 } " + PENALTY, "sync_batch_norm: true", 4)], ids=["no norm", "inference", "synchronised"])
def test_a_step_of_clones_is_that_of_one(tmp_path, norm, train, num_clones, with_copies):
    config = read_config(make_experiment(tmp_path, norm=norm, train=train, optimizer=MOMENTUM))
    assert_equal_steps(config, num_clones, with_copies=with_copies)


@pytest.mark.skipif(not CAN_COMPILE, reason="only TensorFlow 2 compiles")
def test_the_compiled_end_of_a_step_is_that_of_one(tmp_path):
    config = read_config(make_experiment(tmp_path, norm="batch_norm { decay: 0.9 }", train="sync_batch_norm: true",
                                         optimizer=MOMENTUM))
    assert_equal_steps(config, 2, compiled=True)


def test_losses_of_some_samples_and_sums_are_those_of_one_clone(tmp_path):
    config = read_config(make_experiment(tmp_path, norm=PENALTY, optimizer=MOMENTUM,
                                         train="gradient_clipping_by_global_norm: 1"))
    model = config.model.multi_predictors_recognition_model
    model.keypoint_supervision = True
    model.regression_loss.l2_regression_loss.weight = 1
    loss = model.predictor[0].attention_predictor.loss.sequence_cross_entropy_loss
    loss.sample_normalize = False
    loss.sequence_normalize = True
    assert_equal_steps(config, 2)


def test_batch_statistics_of_each_clone_are_its_own(tmp_path):
    """The test above would pass if batch normalization had no part in it."""
    config = read_config(make_experiment(tmp_path, optimizer=MOMENTUM))
    one, two = step(config, 1)[2], step(config, 2)[2]
    name = "FeatureExtractor/Convnet/conv1/BatchNorm/moving_mean"
    assert np.abs(one[name] - two[name]).max() > 1e-4


class OneMore:
    """A model whose second clone has a variable more."""
    def __init__(self, model):
        self.model, self.calls = model, 0

    def training_pass(self, *arguments):
        self.calls += 1
        result = self.model.training_pass(*arguments)
        if self.calls == 2:
            result.losses["more"] = tf.reduce_sum(tf.square(tf.get_variable("more", [3])))
        return result


@pytest.mark.parametrize("sync", [True, False])
def test_clones_with_different_gradients_are_an_error(tmp_path, sync):
    config = read_config(make_experiment(tmp_path))
    with tf.Graph().as_default():
        batch = Batch(tf.constant(smooth_images(8)), tf.constant(WORDS), None, None)
        with pytest.raises(ValueError, match=r"clone 1 and clone 0 .* only one of them has \['more'\]"):
            build_clones(OneMore(build_model(config.model)), [Batch(*share) for share in deal(batch, 2)],
                         ["/cpu:0", "/cpu:1"], sync_batch_norm=sync)


def test_each_clone_has_its_own_prefetched_share(tmp_path):
    folder = make_experiment(tmp_path)
    config = read_config(folder)
    with tf.Graph().as_default(), tf.Session() as session:
        stream = make_dataset(config.train_input_reader, [4], config.train_config.data_augmentation_options,
                              is_training=True, base_dir=folder, seed=1, num_shares=2)
        assert [share.images.shape.as_list()[0] for share in stream.shares] == [2, 2]
        session.run(stream.initializer)
        whole, first, second, images = session.run([stream.batch.texts, stream.shares[0].texts,
                                                    stream.shares[1].texts, stream.batch.images])
    assert images.shape == (4, 64, 256, 3)
    assert list(whole[0::2]) == list(first) and list(whole[1::2]) == list(second)
    # no slicing is left for the step: it takes what the iterator gives
    assert all(share.images.op.type == "IteratorGetNext" for share in stream.shares)


def test_frozen_variables_get_no_gradient(tmp_path):
    config = read_config(make_experiment(tmp_path))
    _, names, _ = step(config, 1, ["LocalizationNet/.*", "FeatureExtractor/Convnet/conv1"])
    assert not any(name.startswith("LocalizationNet") for name in names)
    assert "FeatureExtractor/Convnet/conv1/weights" in names  # the whole name must match
    with pytest.raises(ValueError, match="leaves nothing to train"):
        step(config, 1, [".*"])


def test_more_clones_than_gpus_is_an_error():
    with pytest.raises(ValueError, match="--clone_on_cpu"):
        clone_devices(64, on_cpu=False)
    assert clone_devices(2, on_cpu=True) == ["/cpu:0", "/cpu:1"]
