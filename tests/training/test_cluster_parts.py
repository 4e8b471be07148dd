"""The parts of a cluster that need no other process."""
import json
import socket
import threading

import numpy as np
import pytest
from experiment import draw_word, make_experiment

from aster.compat import session_config, tf
from aster.config import read_config
from aster.data.dataset import make_dataset
from aster.data.example import Sample, serialize
from aster.training import reach
from aster.training.clones import Clones
from aster.training.cluster import Cluster, read_cluster
from aster.training.distributed import check_cluster
from aster.training.parameter_server import start_server
from aster.training.synchronous import SynchronousUpdate
from aster.training.update import train_op

ADDRESSES = {"chief": ["a:1"], "worker": ["b:1", "b:2"], "ps": ["c:1"]}


def config_text(job="worker", index=1, **changes):
    return json.dumps({"cluster": dict(ADDRESSES, **changes), "task": {"type": job, "index": index}})


def test_tf_config_is_read():
    cluster = read_cluster(config_text())
    assert (cluster.part, cluster.num_workers, cluster.is_chief, cluster.is_ps) == (2, 3, False, False)
    assert cluster.tasks("ps", "worker") == {"ps 0": "c:1", "worker 0": "b:1", "worker 1": "b:2"}
    master = json.loads(config_text("master", 0))
    master["cluster"]["master"] = master["cluster"].pop("chief")
    cluster = read_cluster(json.dumps(master))
    assert cluster.is_chief and cluster.chief == "master" and cluster.part == 0
    assert cluster.device == "/job:master/task:0"


@pytest.mark.parametrize("text", [
    None, "", '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
    '{"environment": "cloud", "task": {}}'])
def test_a_cluster_of_one_is_none(text):
    assert read_cluster(text) is None


@pytest.mark.parametrize("text, problem", [
    ("{", "it is not JSON"),
    ("[]", "cluster is missing"),
    (config_text(evaluator=["d:1"]), "has the job 'evaluator'.*aster.eval"),
    (config_text(chief=[]), "one chief"), (config_text(chief=["a:1", "a:2"]), "one chief"),
    (config_text(master=["d:1"]), "one chief"),
    (config_text(ps=[]), "has no ps"), (config_text(ps="c:1"), r"cluster.ps is 'c:1', expected a list"),
    (config_text(ps=["c"]), r"cluster.ps\[0\] is 'c', expected host:port"),
    (config_text(ps=["c:99999"]), "expected host:port"), (config_text(ps=[7]), "expected host:port"),
    (config_text(ps=["a:1"]), "has an address twice: a:1"),
    (config_text(index=2), "task.index is 2, and cluster has 2"), (config_text(index="1"), "task.index is '1'"),
    (config_text(index=True), "task.index is True"), (config_text("boss"), "task.type is 'boss'")])
def test_mistakes_in_tf_config_are_named(text, problem):
    with pytest.raises(ValueError, match="TF_CONFIG: .*" + problem + ".*Expected something like"):
        read_cluster(text)


def test_a_port_in_use_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ValueError, match=f"TF_CONFIG: {address} is the address of this process"):
            start_server(Cluster({"chief": ["127.0.0.1:1"], "ps": [address]}, "ps", 0))


def test_nothing_waits_forever(caplog):
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{opened.getsockname()[1]}"  # nobody listens
        with pytest.raises(reach.Unreachable, match=f"waited 1 s for ps 0 at {closed}, which can't be reached"):
            reach.wait_for({"ps 0": closed}, 1)
        opened.listen(1)
        reach.wait_for({"ps 0": closed}, 1)
    event = threading.Event()
    with pytest.raises(tf.errors.DeadlineExceededError, match="no answer for 0 s"):
        reach.call_patiently(event.wait, seconds=0.1)
    with pytest.raises(reach.GaveUp):
        reach.call_patiently(event.wait, seconds=100, give_up=lambda: True)
    event.set()
    with pytest.raises(ZeroDivisionError):
        reach.call_patiently(lambda: 1 // 0, seconds=100)
    assert reach.call_patiently(lambda: 7, seconds=100) == 7


@pytest.mark.parametrize("num_files", [1, 2, 3, 6, 24, 25])
def test_parts_of_the_data_do_not_overlap(tmp_path, num_files):
    folder = make_experiment(tmp_path)
    config = read_config(folder)
    config.train_input_reader[0].tf_record_input_reader.input_path = "data/part-*"
    config.train_input_reader[0].num_epochs = 1
    names = [f"{i}-{j}" for i in range(num_files) for j in range(6)]
    for i in range(num_files):
        with tf.python_io.TFRecordWriter(str(tmp_path / "data" / f"part-{i:02d}")) as writer:
            for name in [name for name in names if name.startswith(f"{i}-")]:
                writer.write(serialize(Sample(draw_word("word"), "word", filename=name)))
    seen = []
    for part in range(3):
        with tf.Graph().as_default(), tf.Session() as session:
            stream = make_dataset(config.train_input_reader, [1], config.train_config.data_augmentation_options,
                                  is_training=True, base_dir=folder, part=(part, 3))
            session.run(stream.initializer)
            with pytest.raises(tf.errors.OutOfRangeError):
                while True:
                    seen.append(session.run(stream.batch.filenames)[0].decode())
    assert sorted(seen) == sorted(names)


def train_config(folder, text):
    return read_config(make_experiment(folder, optimizer="""momentum_optimizer {
        learning_rate { constant_learning_rate { learning_rate: 0.1 } } }""", train=text)).train_config


def linear(rows):
    """Clones of one with a loss of these rows -> (Clones, the variable, the global step)."""
    global_step = tf.train.get_or_create_global_step()
    variable = tf.get_variable("scope/w", initializer=np.float32([1.0, -2.0]))
    loss = tf.reduce_mean(tf.square(tf.reduce_sum(rows * variable, 1) - 1.0))
    return Clones(loss, {}, [(tf.gradients(loss, [variable])[0], variable)], [], None), variable, global_step


def test_a_synchronous_step_is_that_of_the_whole_batch(tmp_path):
    """The mean gradient is clipped, not each of them, so this is what one machine does with a batch of both."""
    config = train_config(tmp_path, "sync_replicas: true replicas_to_aggregate: 2 "
                                    "gradient_clipping_by_global_norm: 0.5")
    halves = np.random.RandomState(0).uniform(-1, 1, [2, 4, 2]).astype(np.float32)
    cluster = Cluster({"chief": ["a:1"], "ps": ["b:1"]}, "chief", 0)

    def result(variables, session):
        return {v.op.name: value for v, value in zip(variables, session.run(variables))}

    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        clones, _, global_step = linear(tf.constant(halves.reshape(8, 2)))
        update, _ = train_op(clones, config, global_step)
        session.run(tf.global_variables_initializer())
        session.run(update)
        one = result(tf.global_variables(), session)
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        rows = tf.placeholder(tf.float32, [4, 2])
        clones, _, global_step = linear(rows)
        synchronous = SynchronousUpdate(config, cluster)
        update, rate = synchronous.make(clones, config, global_step)
        session.run(tf.global_variables_initializer())
        synchronous.start(session)
        for half in halves:
            _, learning_rate = session.run([update, rate], {rows: half})
        both = result(tf.global_variables(), session)
        assert not synchronous.has_failed()
    assert learning_rate == pytest.approx(0.1) and one["global_step"] == both["global_step"] == 1
    assert set(one) == set(both)  # a checkpoint of the one is a checkpoint of the other
    for name in one:
        np.testing.assert_allclose(one[name], both[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["adam_optimizer", "adadelta_optimizer", "nadam_optimizer", "rms_prop_optimizer"])
def test_the_variables_of_an_optimizer_have_the_names_of_one_machine(tmp_path, name):
    config = train_config(tmp_path, "sync_replicas: true")
    getattr(config.optimizer, name).learning_rate.constant_learning_rate.learning_rate = 0.1
    names = []
    for make in train_op, SynchronousUpdate(config, Cluster({"chief": ["a:1"], "ps": ["b:1"]}, "chief", 0)).make:
        with tf.Graph().as_default():
            clones, _, global_step = linear(tf.zeros([4, 2]))
            make(clones, config, global_step)
            names.append({v.op.name for v in tf.global_variables()})
    assert names[0] == names[1] and len(names[0]) > 2


def test_what_does_not_go_with_a_synchronous_cluster(tmp_path, caplog):
    config = read_config(make_experiment(tmp_path, train="sync_replicas: true"))
    cluster = read_cluster(config_text())
    check_cluster(config, cluster)
    assert "replicas_to_aggregate is not set, and its default is 1: of the 3 gradients" in caplog.text
    config.train_input_reader[0].num_epochs = 2
    with pytest.raises(ValueError, match="sync_replicas needs data without end"):
        check_cluster(config, cluster)
