"""Training on a few words: saving, resuming, signals, and what goes wrong."""
import io
import os
import signal
import tempfile
import threading
import time
from unittest import mock

import numpy as np
import pytest
from experiment import make_experiment, make_lines_config, write_config
from PIL import Image

from aster import checkpoint
from aster.compat import IS_TF1, tf
from aster.config import read_config
from aster.data.example import Sample, parse, serialize
from aster.evaluation.history import EvaluationHistory
from aster.training import TrainingStopped, progress, stepper
from aster.training.loop import train
from aster.training.saver import Saver


def run(folder, **options):
    if options:
        write_config(folder, **options)
    return train(read_config(folder), folder)


def saved_steps(folder):
    return sorted(int(name.split("-")[1].split(".")[0]) for name in os.listdir(os.path.join(folder, "log"))
                  if name.endswith(".index") and name.startswith("model.ckpt"))


def value(folder, name):
    return tf.train.NewCheckpointReader(checkpoint.find_checkpoint(os.path.join(folder, "log"))).get_tensor(name)


def test_train_save_resume(tmp_path, caplog):
    folder = make_experiment(tmp_path)
    caplog.set_level("INFO")
    assert run(folder) == 3 and saved_steps(folder) == [3]
    assert run(folder, num_steps=5) == 5 and saved_steps(folder) == [3, 5]
    assert "resumed from" in caplog.text and "images/s" in caplog.text
    events = [name for name in os.listdir(os.path.join(folder, "log")) if "tfevents" in name]
    with tf.Graph().as_default():
        tags = set(value.tag for name in events
                   for event in tf.train.summary_iterator(os.path.join(folder, "log", name))
                   for value in event.summary.value)
    assert {"loss/total", "images/input/image/0", "images/rectified/image/0", "learning_rate"} <= tags
    names = checkpoint.read_shapes(checkpoint.find_checkpoint(os.path.join(folder, "log")))
    assert "global_step" in names
    assert "OptimizeClones/FeatureExtractor/Convnet/conv1/weights/ExponentialMovingAverage" in names
    slots = checkpoint.read_shapes(os.path.join(folder, "log", "optimizer.ckpt-5"))
    assert "OptimizeClones/FeatureExtractor/Convnet/conv1/weights/Adam" in slots
    assert not set(slots) & set(names)


def test_a_training_that_is_finished_says_how_to_go_on(tmp_path, caplog):
    folder = make_experiment(tmp_path)
    run(folder)
    saved = sorted(os.listdir(os.path.join(folder, "log")))
    caplog.set_level("INFO")
    assert run(folder) == 3 and sorted(os.listdir(os.path.join(folder, "log"))) == saved
    assert "num_steps 3 is reached already" in caplog.text
    assert f"--exp_dir {folder} --set 'train_config {{ num_steps: 6 }}'" in caplog.text


@pytest.mark.parametrize("name", ["log", "log/model.ckpt-3", "log/model.ckpt-3.index"])
def test_a_checkpoint_is_looked_for_in_the_experiment_folder_first(tmp_path, monkeypatch, name):
    for folder in "experiment", "elsewhere":
        os.makedirs(str(tmp_path / folder / "log"))
    for file in ("model.ckpt-3.index", "model.ckpt-3.data-00000-of-00001"):
        (tmp_path / "experiment" / "log" / file).write_bytes(b"")
    monkeypatch.chdir(tmp_path / "elsewhere")
    base_dir = str(tmp_path / "experiment")
    assert checkpoint.find_checkpoint(name, base_dir) == os.path.join(base_dir, "log", "model.ckpt-3")
    monkeypatch.chdir(tmp_path / "experiment")
    assert checkpoint.find_checkpoint(name, str(tmp_path / "nowhere")) == os.path.join("log", "model.ckpt-3")
    with pytest.raises(checkpoint.CheckpointError, match="^nosuch: no such checkpoint"):
        checkpoint.find_checkpoint("nosuch", base_dir)


def test_training_on_images_of_several_widths(tmp_path):
    """Half of the words are drawn twice as wide; the loss falls over both widths."""
    folder = make_experiment(tmp_path, num_steps=30, batch_size=2)
    path = os.path.join(folder, "data", "words.tfrecord")
    samples = [parse(record) for record in tf.python_io.tf_record_iterator(path)]
    with tf.python_io.TFRecordWriter(path) as writer:
        for i, sample in enumerate(samples):
            stream = io.BytesIO()
            Image.open(io.BytesIO(sample.encoded)).resize((64 << i % 2, 24)).save(stream, "PNG")
            writer.write(serialize(sample._replace(encoded=stream.getvalue())))
    config = make_lines_config(read_config(folder), [90, 180])
    losses = []
    with mock.patch.object(progress.Progress, "update", lambda self, step, loss, *_: losses.append(loss)):
        assert train(config, folder) == 30
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


def test_what_one_watches(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    folder = make_experiment(tmp_path)
    accuracies = {3: 0.25, 6: 0.5}
    for steps in 3, 6:
        write_config(folder, num_steps=steps)
        train(read_config(folder), folder, evaluate=lambda path: accuracies[int(path.rpartition("-")[2])])
    curves = progress.read_progress(os.path.join(folder, "log", "progress.csv"))
    assert [step for step, _ in curves["loss"]] == [2, 3, 5, 6]  # the first of a run only warms up
    assert [value for _, value in curves["learning_rate"]] == [0.01] * 4
    assert all(value > 0 for _, value in curves["images_per_second"])
    assert curves["word_accuracy"] == [(3, 0.25), (6, 0.5)]
    picture = Image.open(os.path.join(folder, "log", "curves.png"))
    assert picture.size == (2 * 500, 2 * 320) and len(set(picture.convert("L").getdata())) > 3
    with open(os.path.join(folder, "log", "progress.csv"), "a") as stream:
        stream.write("7,0.1\nnonsense")  # cut short by a full disk
    assert progress.read_progress(stream.name)["loss"][-1] == (7, 0.1)


def test_waiting_for_data_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    caplog.set_level("INFO")
    folder = make_experiment(tmp_path, num_steps=4)
    train(read_config(folder), folder)
    shares = [share for _, share in progress.read_progress(os.path.join(folder, "log", "progress.csv"))["waiting"]]
    assert len(shares) == 3 and all(0 <= share <= 1 for share in shares)
    assert "waiting for data" in caplog.text


def test_a_signal_while_data_do_not_come(tmp_path, monkeypatch, caplog):
    """A reader that is stuck must not cost the steps since the last checkpoint."""
    monkeypatch.setattr(stepper, "_PATIENCE_SECONDS", 0.5)
    folder = make_experiment(tmp_path, num_steps=1000, batch_size=32)
    with open(os.path.join(folder, "config", "trainval.prototxt")) as stream:
        text = stream.read()
    with open(stream.name, "w") as stream:
        stream.write(text.replace('tf_record_input_reader { input_path: "data/words.tfrecord" } }',
                                  'custom { factory: "stuck_reader:make" } shuffle: false }', 1))
    with open(os.path.join(folder, "stuck_reader.py"), "w") as stream:
        stream.write(f"""import glob, time
from aster.data.example import parse
from aster.data.records import read_records
opened = []
def make(**_):
    def use():
        opened.append(1)
        samples = [parse(record.payload) for record in read_records({folder!r} + "/data/words.tfrecord")]
        yield from 64 * samples
        while len(opened) > 1 and not glob.glob({folder!r} + "/log/*.index"):
            time.sleep(0.1)
    return use
""")

    streams, start = [], time.time()
    init = stepper.Stepper.__init__
    monkeypatch.setattr(stepper.Stepper, "__init__",
                        lambda self, session, graph, *rest: streams.append(graph.stream) or
                        init(self, session, graph, *rest))

    def stop():
        waiting = 0
        while waiting < 20 and time.time() < start + 200:
            time.sleep(0.1)
            waiting = waiting + 1 if streams and streams[0].waiting.is_set() else 0
        os.kill(os.getpid(), signal.SIGINT)
    caplog.set_level("INFO")
    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    with pytest.raises(TrainingStopped, match="stopped by Ctrl-C at step"):
        train(read_config(folder), folder, clone_on_cpu=True)
    thread.join()
    assert "still waits for its data" in caplog.text and len(saved_steps(folder)) == 1


def test_an_evaluation_after_each_checkpoint(tmp_path, caplog):
    folder = make_experiment(tmp_path, train="eval_num_examples: 5")
    caplog.set_level("INFO")
    config = read_config(folder)
    word_accuracy = EvaluationHistory(config, folder).evaluate
    train(config, folder, evaluate=word_accuracy)
    assert "5 words" in caplog.text
    path = os.path.join(folder, "log", "progress.csv")
    assert [step for step, _ in progress.read_progress(path)["word_accuracy"]] == [3]
    os.remove(os.path.join(folder, "data", "words.tfrecord"))
    assert word_accuracy(checkpoint.find_checkpoint(os.path.join(folder, "log"))) is None
    assert "training goes on" in caplog.text


@pytest.mark.parametrize("together", [False, True])
def test_what_the_optimizer_remembers_comes_back(tmp_path, together):
    """From the file beside the checkpoint, or, as the published system saves it, from the checkpoint itself."""
    log_dir = str(tmp_path)
    with tf.Graph().as_default(), tf.Session() as session:
        weights = tf.get_variable("weights", initializer=3.0)
        with tf.variable_scope("OptimizeClones"):
            slot = tf.get_variable("weights/Adam", initializer=4.0, trainable=False)
        session.run(tf.global_variables_initializer())
        if together:
            tf.train.Saver().save(session, os.path.join(log_dir, "model.ckpt"), global_step=7)
        else:
            Saver(log_dir, 1000).save(session, 7)
            assert sorted(checkpoint.read_shapes(os.path.join(log_dir, "model.ckpt-7"))) == ["weights"]
        session.run([weights.assign(0.0), slot.assign(0.0)])
        assert checkpoint.resume(session, log_dir, tf.global_variables()).endswith("model.ckpt-7")
        assert session.run([weights, slot]) == [3.0, 4.0]


def test_batch_statistics_and_averages_follow(tmp_path):
    folder = make_experiment(tmp_path)
    run(folder)
    assert abs(value(folder, "FeatureExtractor/Convnet/conv1/BatchNorm/moving_mean")).max() > 0
    weights = value(folder, "FeatureExtractor/Convnet/conv1/weights")
    average = value(folder, "OptimizeClones/FeatureExtractor/Convnet/conv1/weights/ExponentialMovingAverage")
    assert 0 < abs(weights - average).max() < 0.1


def test_another_optimizer_can_go_on(tmp_path):
    folder = make_experiment(tmp_path)
    run(folder)
    adadelta = "adadelta_optimizer { learning_rate { constant_learning_rate { learning_rate: 1.0 } } }"
    assert run(folder, num_steps=4, optimizer=adadelta) == 4
    assert "OptimizeClones/Forward/Predictor/decoder/dense/bias/Adadelta_1" in checkpoint.read_shapes(
        os.path.join(folder, "log", "optimizer.ckpt-4"))


def test_the_data_may_end(tmp_path):
    folder = make_experiment(tmp_path, num_steps=100)
    path = os.path.join(folder, "config", "trainval.prototxt")
    with open(path) as stream:
        text = stream.read()
    with open(path, "w") as stream:
        stream.write(text.replace("queue_capacity: 8", "queue_capacity: 8 num_epochs: 2"))
    assert run(folder) == 4 and saved_steps(folder) == [4]


def test_freeze_and_warm_start(tmp_path):
    first = make_experiment(tmp_path / "first")
    run(first)
    warm_start = f'fine_tune_checkpoint: "{first}/log" freeze_variables: "Feature.*"'
    second = make_experiment(tmp_path / "second", train=warm_start)
    run(second)
    name = "FeatureExtractor/Convnet/conv1/weights"
    assert (value(first, name) == value(second, name)).all()
    assert (value(first, "Forward/Predictor/decoder/dense/kernel")
            != value(second, "Forward/Predictor/decoder/dense/kernel")).any()
    assert value(second, "global_step") == 3


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_saved(tmp_path):
    folder = make_experiment(tmp_path)
    run(folder)
    huge = "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 1e30 } } }"
    with pytest.raises(TrainingStopped, match=r"^step \d+: the (loss|gradient of \S+) is infinite or not a number"):
        run(folder, num_steps=50, optimizer=huge)
    assert saved_steps(folder) == [3]
    assert run(folder, num_steps=4) == 4


@pytest.mark.parametrize("number, name", [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
def test_a_signal_saves_and_says_so(tmp_path, caplog, number, name):
    folder = make_experiment(tmp_path, num_steps=100000)
    caplog.set_level("INFO")

    def send():
        while "step 1 " not in caplog.text and not done.wait(0.1):
            pass
        os.kill(os.getpid(), number)
    done = threading.Event()
    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(TrainingStopped, match=f"stopped by {name} at step"):
            run(folder)
    finally:
        done.set()
        sender.join()
    assert len(saved_steps(folder)) == 1 and "saved" in caplog.text


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
    folder = make_experiment(tmp_path)
    run(folder)
    run(folder, num_steps=5)
    data = os.path.join(folder, "log", "model.ckpt-5.data-00000-of-00001")
    with open(data, "r+b") as stream:
        stream.truncate(1000)
    caplog.set_level("INFO")
    assert run(folder, num_steps=6) == 6
    assert "model.ckpt-5: damaged" in caplog.text
    assert "resumed from {}".format(os.path.join(folder, "log", "model.ckpt-3")) in caplog.text


def test_a_checkpoint_of_another_model_is_an_error(tmp_path):
    folder = make_experiment(tmp_path)
    run(folder)
    path = os.path.join(folder, "config", "trainval.prototxt")
    with open(path) as stream:
        text = stream.read()
    with open(path, "w") as stream:
        stream.write(text.replace("num_attention_units: 8", "num_attention_units: 9"))
    with pytest.raises(checkpoint.CheckpointError, match="not a checkpoint of this configuration.*has shape"):
        run(folder)


def test_a_full_disk_does_not_end_training(tmp_path, monkeypatch, caplog):
    folder = make_experiment(tmp_path, train="save_checkpoint_secs: 1", num_steps=4)
    original, calls = tf.train.Saver.save, []

    def save(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")
        return original(self, *args, **kwargs)
    monkeypatch.setattr(tf.train.Saver, "save", save)
    clock = iter(range(0, 100000, 2))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    assert run(folder) == 4
    assert "No space left on device; training goes on" in caplog.text and saved_steps(folder)[-1] == 4


@pytest.mark.parametrize("content", [None, b"hello world", b"\xdd\x00", b""])
def test_it_goes_on_though_the_checkpoint_file_is_lost(tmp_path, content):
    folder = make_experiment(tmp_path)
    run(folder)
    path = os.path.join(folder, "log", "checkpoint")
    os.remove(path)
    if content is not None:
        with open(path, "wb") as stream:
            stream.write(content)
    assert run(folder, num_steps=4) == 4 and saved_steps(folder) == [3, 4]


def test_a_pattern_that_freezes_nothing_is_named(tmp_path, caplog):
    run(make_experiment(tmp_path, train='freeze_variables: "nosuch.*"'))
    assert "'nosuch.*' matches no variable" in caplog.text


def test_a_folder_that_can_not_be_written_is_told_at_once(tmp_path, monkeypatch):
    folder = make_experiment(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: os.mkdir(os.path.join(dir, "no", "such")))
    with pytest.raises(EnvironmentError):
        run(folder)
    assert os.listdir(os.path.join(folder, "log")) == []


def test_key_points_far_away_do_not_supervise():
    near, far = [0.0, 0, 9, 0, 0, 9, 9, 9], [0.0, 0, 1e38, 0, 0, 9, 9, 9]
    for keypoints, used in ((near, True), (far, False)):
        sample = Sample(b"image", "text", keypoints=np.float32(keypoints).reshape(-1, 2))
        assert (parse(serialize(sample)).keypoints is not None) == used


@pytest.mark.parametrize("field", ["mixed_precision", "bfloat16"])
def test_mixed_precision_where_there_is_such_a_thing(tmp_path, field):
    folder = make_experiment(tmp_path, train=field + ": true")
    if IS_TF1:
        with pytest.raises(ValueError, match="mixed_precision needs TensorFlow 2"):
            run(folder)
    else:
        assert run(folder) == 3
