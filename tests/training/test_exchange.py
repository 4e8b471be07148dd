import os

import numpy as np
import pytest
from experiment import make_experiment

from aster import checkpoint
from aster.compat import HAS_ALL_REDUCE, num_gpus, tf
from aster.config import read_config
from aster.training import TrainingStopped, collectives, exchange, loop

DEVICES = ["/cpu:1", "/cpu:2", "/cpu:3"]  # in the place of GPUs
CONFIG = tf.ConfigProto(device_count={"CPU": 4})
pytestmark = pytest.mark.skipif(not HAS_ALL_REDUCE, reason="only TensorFlow 2 has collective operations")


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setattr(collectives, "_BUFFER_BYTES", 24)  # so that there are several messages
    with tf.Graph().as_default() as graph, tf.Session(graph=graph, config=CONFIG) as session:
        yield session


def test_all_devices_have_the_values_of_the_first(session):
    values = [np.arange(6, dtype=np.float32).reshape(3, 2), np.float32(7), np.arange(4, dtype=np.float32)]
    with tf.device(DEVICES[0]):
        variables = [tf.Variable(value) for value in values]
    copies = exchange.copies(variables, DEVICES)
    assert [{copy.device[-1] for copy in of_device} for of_device in copies] == [{"2"}, {"3"}]
    session.run(tf.global_variables_initializer())
    for of_device in session.run(copies):
        for copy, value in zip(of_device, values):
            np.testing.assert_array_equal(copy, value)
    # one copy can be had alone
    np.testing.assert_array_equal(session.run(copies[1][2]), values[2])


def test_copies_come_after_the_data(session):
    """TensorFlow stops copies half-way where the data end, and a GPU may not survive that."""
    data = tf.placeholder(tf.float32, [])  # never fed
    copies = exchange.copies([tf.constant([1.0])], DEVICES, [data])
    with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed"):
        session.run(copies[1][0])


def test_sums_are_of_all_devices(session):
    rng = np.random.RandomState(0)
    values = [[rng.standard_normal(shape).astype(np.float32) for shape in ([3, 2], [], [5])] for _ in DEVICES]
    sums = exchange.sums([list(map(tf.constant, own)) for own in values], DEVICES)
    assert {total.device[-1] for total in sums} == {"1"}
    for total, same in zip(session.run(sums), zip(*values)):
        np.testing.assert_allclose(total, sum(same), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(session.run(sums[1]), sum(own[1] for own in values), rtol=1e-6)


def test_it_is_tried_before_it_is_used(caplog, monkeypatch):
    assert exchange.exchange_problem(DEVICES) == ""
    assert not exchange.can_exchange(["/gpu:0"]) and not exchange.can_exchange(["/cpu:0", "/cpu:1"])
    gpus = ["/gpu:0", "/gpu:1"]
    for problem in "", "no NCCL":
        monkeypatch.setattr(exchange, "exchange_problem", lambda _, problem=problem: problem)
        assert exchange.can_exchange(gpus) == (not problem)
    assert "so steps take longer" in caplog.text and "(no NCCL)" in caplog.text


@pytest.mark.skipif(num_gpus() < 2, reason="needs two GPUs")
def test_gpus_can():
    assert exchange.exchange_problem([f"/gpu:{i}" for i in range(num_gpus())]) == ""


@pytest.fixture
def with_copies(monkeypatch):
    monkeypatch.setattr(loop, "can_exchange", lambda devices: len(devices) > 1)


def train(folder, **options):
    make_experiment(folder, **options)
    config = read_config(str(folder))
    return lambda: loop.train(config, str(folder), num_clones=2, clone_on_cpu=True)


def test_the_same_parameters_with_copies_and_without(tmp_path, monkeypatch):
    parameters = []
    for name in "without", "with":
        monkeypatch.setattr(loop, "can_exchange", lambda _, name=name: name == "with")
        train(tmp_path / name, num_steps=3, train="seed: 1", optimizer=(
            "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } }"))()
        with checkpoint.open_reader(str(tmp_path / name / "log" / "model.ckpt-3")) as reader:
            parameters.append({variable: reader.read(variable) for variable in reader.shapes})
    assert set(parameters[0]) == set(parameters[1])  # of the copies, nothing is saved
    for variable, value in parameters[0].items():
        if np.asarray(value).dtype == np.float32:
            np.testing.assert_allclose(value, parameters[1][variable], rtol=1e-3, atol=1e-4, err_msg=variable)


def test_the_end_of_the_data_ends_all_clones(tmp_path, with_copies):
    run = train(tmp_path, num_steps=100)
    path = os.path.join(str(tmp_path), "config", "trainval.prototxt")
    with open(path) as stream:
        text = stream.read().replace("queue_capacity: 8", "queue_capacity: 8 num_epochs: 2")
    with open(path, "w") as stream:
        stream.write(text)
    assert loop.train(read_config(str(tmp_path)), str(tmp_path), num_clones=2, clone_on_cpu=True) == 4
    assert run() == 100  # and from there on


def test_a_step_that_fails_ends_all_clones(tmp_path, with_copies):
    run = train(tmp_path, num_steps=50, optimizer=(
        "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 1e30 } } }"))
    with pytest.raises(TrainingStopped, match="is infinite or not a number"):
        run()
