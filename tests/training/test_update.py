"""The end of a training step, by single operations and compiled: both do the same."""
import os
import shutil

import numpy as np
import pytest
from experiment import make_experiment
from google.protobuf import text_format

from aster import checkpoint
from aster.compat import CAN_COMPILE, session_config, tf
from aster.config import read_config
from aster.model.layers import BatchNorm, LayerStyle, fully_connected, variance_scaling
from aster.protos import train_pb2
from aster.training import loop, update
from aster.training.clones import Clones
from aster.training.update import compile_problem, device_to_compile_for, train_op

needs_compiler = pytest.mark.skipif(not CAN_COMPILE, reason="TensorFlow 1.4 can't compile")
DEVICE = "/cpu:1"  # as of a GPU, its variables are out of reach for operations on /cpu:0
RATE = "learning_rate { constant_learning_rate { learning_rate: 0.01 } }"


class Steps:
    """Steps of two layers, the first with batch normalization and in the localization network."""

    def __init__(self, config, compile_for=None):
        inputs = np.random.RandomState(0).normal(size=[8, 3]).astype(np.float32)
        with tf.Graph().as_default():
            tf.set_random_seed(1)
            with tf.device(DEVICE):
                clones = self.clones(inputs)
                global_step = tf.train.get_or_create_global_step()
            config = text_format.Parse(config, train_pb2.TrainConfig())
            self.op, self.rate = train_op(clones, config, global_step, compile_for=compile_for)
            self.session = tf.Session(config=session_config(2))
            self.session.run(tf.global_variables_initializer())
            self.variables = {variable.op.name: variable for variable in tf.global_variables()}

    def clones(self, inputs):
        self.factor = tf.placeholder_with_default(1.0, [])
        style = LayerStyle(variance_scaling(), activation=tf.tanh)
        normalized = style._replace(batch_norm=BatchNorm(0.9, scale=True))
        hidden = fully_connected(tf.constant(inputs), 4, normalized, True, "LocalizationNet/fc")
        loss = tf.reduce_mean(tf.square(fully_connected(hidden, 2, style, True, "out") - 1.0))
        counter = tf.get_variable("counter", initializer=0.0, trainable=False)
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_add(counter, 1.0))  # a part's own
        variables = tf.trainable_variables()
        gradients = [(gradient * self.factor if variable.op.name == "out/weights" else gradient, variable)
                     for gradient, variable in zip(tf.gradients(loss, variables), variables)]
        return Clones(loss, {}, gradients, tf.get_collection(tf.GraphKeys.UPDATE_OPS), None)

    def run(self, count, factor=1.0):
        """Makes steps, with the gradient of one parameter multiplied. Returns the values of all variables."""
        for _ in range(count):
            self.session.run(self.op, {self.factor: factor})
        return self.session.run(self.variables)

    def operations(self):
        """The names of the operations that run in a step."""
        metadata = tf.RunMetadata()
        self.session.run(self.op, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
        return [node.timeline_label.split(" = ")[-1].split("(")[0]
                for device in metadata.step_stats.dev_stats for node in device.node_stats]


@needs_compiler
@pytest.mark.parametrize("averages", [True, False])
@pytest.mark.parametrize("optimizer", [
    f"momentum_optimizer {{ {RATE} }}", f"rms_prop_optimizer {{ {RATE} }}", f"adam_optimizer {{ {RATE} }}",
    f"adamw_optimizer {{ {RATE} weight_decay: 0.1 }}", f"nadam_optimizer {{ {RATE} }}",
    "adadelta_optimizer { learning_rate { constant_learning_rate { learning_rate: 1.0 } } }"])
def test_compiled_steps_are_the_others(optimizer, averages):
    config = f"""optimizer {{ {optimizer} use_moving_average: {str(averages).lower()} }} learning_rate_warmup_steps: 3
        localization_learning_rate_factor: 0.5 gradient_clipping_by_norm: 0.5 gradient_clipping_by_global_norm: 0.6
        bias_grad_multiplier: 2"""
    single, compiled = Steps(config), Steps(config, DEVICE)
    assert list(compiled.variables) == list(single.variables)
    assert sum(name.endswith("/ExponentialMovingAverage") for name in single.variables) == 5 * averages
    expected, found = single.run(5), compiled.run(5)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-6, err_msg=name)
    assert found["global_step"] == found["counter"] == 5
    assert compiled.session.run(compiled.rate) == single.session.run(single.rate)


@needs_compiler
def test_compiled_steps_are_few_operations():
    config = f"optimizer {{ adam_optimizer {{ {RATE} }} }}"
    single, compiled = (Steps(config, device).operations() for device in (None, DEVICE))
    for name in "ResourceApplyAdam", "AssignSubVariableOp":
        assert name in single and name not in compiled
    assert compiled.count("StatefulPartitionedCall") == 1


@pytest.mark.parametrize("device", [None, pytest.param(DEVICE, marks=needs_compiler)])
def test_a_step_that_is_not_finite_changes_no_parameter(device):
    steps = Steps(f"optimizer {{ adam_optimizer {{ {RATE} }} }} gradient_clipping_by_global_norm: 1", device)
    before = steps.run(2)
    for factor in np.nan, np.inf:
        with pytest.raises(tf.errors.InvalidArgumentError, match="the gradient of out/weights : Tensor had"):
            steps.run(1, factor)
    after = steps.session.run(steps.variables)
    at_once = {"counter"} | {name for name in before if "/moving_" in name and not device}  # don't wait for the check
    for name in set(before) - at_once:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(steps.run(1, 1e30)["out/weights"], before["out/weights"])  # large, but finite


def train_to(folder, num_steps):
    make_experiment(folder, num_steps=num_steps, train="seed: 7 freeze_variables: '.*/BatchNorm/beta'")
    loop.train(read_config(str(folder)), str(folder))
    path = checkpoint.find_checkpoint(os.path.join(str(folder), "log"))
    readers = [tf.train.NewCheckpointReader(part) for part in (path, checkpoint.optimizer_path(path))]
    return {name: reader.get_tensor(name) for reader in readers for name in reader.get_variable_to_shape_map()}


@needs_compiler
def test_checkpoints_are_the_same(tmp_path, monkeypatch, caplog):
    """Compiled steps go on from the checkpoint of the others, and these from theirs; a seed repeats them."""
    single = train_to(tmp_path / "parts", 1)
    monkeypatch.setattr(loop, "device_to_compile_for", lambda devices, _: devices[0])
    whole = train_to(tmp_path / "whole", 2)
    assert set(whole) == set(single)
    shutil.copytree(str(tmp_path / "parts"), str(tmp_path / "again"))
    parts = train_to(tmp_path / "parts", 2)
    for name, again in train_to(tmp_path / "again", 2).items():
        assert np.array_equal(again, parts[name]), name
        if np.asarray(again).dtype == np.float32:
            np.testing.assert_allclose(again, whole[name], rtol=1e-3, atol=1e-4, err_msg=name)
    monkeypatch.undo()
    train_to(tmp_path / "parts", 3)
    assert "start anew" not in caplog.text and "another optimizer" not in caplog.text


def test_what_is_compiled(monkeypatch, caplog):
    def choose(devices, place="/gpu:0"):
        with tf.Graph().as_default(), tf.device(place):
            return device_to_compile_for(devices, Clones(None, {}, [(None, tf.get_variable("own", [2]))], [], None))
    assert choose(["/cpu:0"]) is None
    monkeypatch.setattr(update, "compile_problem", lambda device: "")
    assert choose(["/gpu:0"]) == choose(["/gpu:0", "/gpu:1"]) == ("/gpu:0" if CAN_COMPILE else None)
    assert not caplog.text and choose(["/gpu:0"], "/cpu:0") is None
    monkeypatch.setattr(update, "compile_problem", lambda device: "libdevice not found")
    assert choose(["/gpu:0"]) is None
    if CAN_COMPILE:
        assert "so steps take longer: the variable own is not on /gpu:0" in caplog.text
        assert "can't compile for /gpu:0 (libdevice not found); to install what it lacks: pip install" in caplog.text


@needs_compiler
def test_whether_it_can_be_compiled_is_tried():
    assert compile_problem("/cpu:0") == ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.Session, "run", lambda *_: (_ for _ in ()).throw(
            tf.errors.InternalError(None, None, "libdevice not found\nat /usr")))
        assert compile_problem("/cpu:1") == "libdevice not found"
