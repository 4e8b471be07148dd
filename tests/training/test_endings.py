"""What ends a training, and what must not: the steps so far are saved, and what one watches never ends anything."""
import os
import signal

import pytest
from experiment import make_experiment, write_config

from aster.compat import tf
from aster.config import read_config
from aster.training import TrainingStopped, progress
from aster.training.events import EventFile
from aster.training.loop import train

DAMAGED = {
    "empty": b"", "not UTF-8": b"step,loss\n\xff\xfe\x00", "a huge field": b"x" * 200000 + b",1\n",
    "a cut line": b"step,loss,learning_rate,images_per_second,word_accuracy\n1,0.5"}


def run(folder, **options):
    write_config(folder, **options)
    return train(read_config(folder), folder)


def saved_steps(folder):
    return sorted(int(name.split("-")[1].split(".")[0]) for name in os.listdir(os.path.join(folder, "log"))
                  if name.endswith(".index") and name.startswith("model.ckpt"))


def at_step(monkeypatch, number, action):
    """Does something after a step."""
    update = progress.Progress.update

    def updated(self, step, *arguments):
        update(self, step, *arguments)
        if step == number:
            action()
    monkeypatch.setattr(progress.Progress, "update", updated)


@pytest.fixture
def hangup():
    """A function that sets what SIGHUP does; the tests themselves may run under nohup."""
    previous = signal.getsignal(signal.SIGHUP)
    yield lambda action: signal.signal(signal.SIGHUP, action)
    signal.signal(signal.SIGHUP, previous)


@pytest.mark.parametrize("content", sorted(DAMAGED))
def test_damaged_progress_is_mended(tmp_path, content):
    path = tmp_path / "progress.csv"
    path.write_bytes(DAMAGED[content])
    watch = progress.Progress(str(tmp_path), num_steps=8, batch_size=1)
    assert watch.losses_until(5) == ([0.5] if content == "a cut line" else [])
    for step in 7, 8:
        watch.update(step, 2.0, 0.1)
    watch.saved(8, 0.25)
    curves = progress.read_progress(str(path))
    assert curves["loss"][-1] == (8, 2.0) and curves["word_accuracy"] == [(8, 0.25)]
    assert (tmp_path / "curves.png").exists()
    if content == "empty":
        assert path.read_text().startswith(",".join(progress.COLUMNS) + "\n8,")


@pytest.mark.parametrize("kind", ["a folder", "a pipe"])
def test_what_stands_in_the_way_of_progress_is_said_once(tmp_path, caplog, kind):
    for name in "progress.csv", "curves.png":
        (os.mkdir if kind == "a folder" else os.mkfifo)(str(tmp_path / name))
    watch = progress.Progress(str(tmp_path), num_steps=2, batch_size=1)
    for _ in range(3):
        for step in 1, 2:
            watch.update(step, 2.0, 0.1)
        watch.saved(2, 0.5)
    for name in "progress.csv", "curves.png":
        assert caplog.text.count(f"{tmp_path / name}: it is not a file; training goes on") == 1


def test_events_that_can_not_be_written_do_not_end_training(tmp_path, caplog, monkeypatch):
    (tmp_path / "log").write_bytes(b"")
    watch = progress.Progress(str(tmp_path / "log"), num_steps=2, batch_size=1)
    for step in range(1, 9):
        watch.add_summary(tf.Summary(), step)
    line, = [record.message for record in caplog.records if "goes on" in record.message]
    assert line.startswith(str(tmp_path / "log")) and line.endswith("; training goes on")


def test_an_event_file_can_be_read_again(tmp_path):
    events = EventFile(str(tmp_path / "new"))
    summary = tf.Summary()
    summary.value.add(tag="loss", simple_value=0.5)
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="one")
    events.add_graph(graph)
    events.add(summary, 7)
    events.add(summary.SerializeToString(), 8)
    read = list(tf.train.summary_iterator(events.path))
    assert read[0].file_version == "brain.Event:2" and b"one" in read[1].graph_def
    assert [(event.step, event.summary.value[0].simple_value) for event in read[2:]] == [(7, 0.5), (8, 0.5)]


def test_the_line_names_the_losses_of_parts(tmp_path, caplog):
    """Their means since the last line; the file has the total only."""
    caplog.set_level("INFO")
    watch = progress.Progress(str(tmp_path), num_steps=3, batch_size=1)
    for step in 1, 2, 3:
        watch.update(step, 2.0, 0.1, parts={"CTC": float(step), "aux": 0.25})
    assert "step 1  loss 2.0000 (CTC 1.0000, aux 0.2500)" in caplog.messages
    assert "step 3/3  loss 2.0000 (CTC 2.5000, aux 0.2500)  " in caplog.text
    assert (tmp_path / "progress.csv").read_text().splitlines()[1].startswith("3,2.0000,")


def test_progress_is_written_however_often_training_saves(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    watch = progress.Progress(str(tmp_path), num_steps=0, batch_size=2)
    for step in range(1, 62):
        watch.update(step, float(step), 0.1)
        now[0] += 0.75  # of saving and evaluating
        watch.saved(step)
        watch.pause()
        now[0] += 0.25  # of the next step
    curves = progress.read_progress(str(tmp_path / "progress.csv"))
    assert [step for step, _ in curves["loss"]] == [11, 21, 31, 41, 51, 61]
    assert curves["loss"][0] == (11, 6.5) and {speed for _, speed in curves["images_per_second"]} == {8.0}


@pytest.mark.parametrize("number, name, status", [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGHUP, "SIGHUP", 129)])
def test_a_signal_has_its_status_whatever_happens_to_progress(tmp_path, monkeypatch, hangup, number, name, status):
    hangup(signal.SIG_DFL)
    folder = make_experiment(tmp_path, num_steps=100000)
    os.makedirs(os.path.join(folder, "log", "progress.csv"))
    monkeypatch.setattr(progress, "draw_curves", lambda _: 1 / 0)
    at_step(monkeypatch, 2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(TrainingStopped, match=f"stopped by {name} at step ") as stopped:
        run(folder, num_steps=100000)
    assert stopped.value.status == status and len(saved_steps(folder)) == 1
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_has_its_status_even_if_the_last_save_fails(tmp_path, monkeypatch, hangup, name):
    hangup(signal.SIG_DFL)
    folder, number = make_experiment(tmp_path, num_steps=100000), getattr(signal, name)

    def save(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")
    monkeypatch.setattr(tf.train.Saver, "save", save)
    at_step(monkeypatch, 2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(TrainingStopped, match=r"stopped by .*: can't save step \d+ in .*: No space left") as stopped:
        run(folder, num_steps=100000)
    assert stopped.value.status == 128 + number and not saved_steps(folder)


def test_nohup_is_respected(tmp_path, monkeypatch, hangup):
    hangup(signal.SIG_IGN)
    folder = make_experiment(tmp_path)
    at_step(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGHUP))
    assert run(folder) == 3


def test_data_that_is_gone_ends_training_with_what_it_learnt(tmp_path, monkeypatch):
    folder = make_experiment(tmp_path)
    path = os.path.join(folder, "data", "words.tfrecord")
    at_step(monkeypatch, 2, lambda: os.path.exists(path) and os.remove(path))
    with pytest.raises(ValueError, match=r"^train_input_reader: the records can't be read any more: .*words.tfrecord"):
        run(folder, num_steps=100000)
    assert saved_steps(folder)[0] > 2


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError(), tf.errors.ResourceExhaustedError(
    None, None, "out of memory")])
def test_any_error_leaves_the_steps_before_it(tmp_path, monkeypatch, caplog, error):
    def fail():
        raise error
    folder = make_experiment(tmp_path)
    at_step(monkeypatch, 2, fail)
    caplog.set_level("INFO")
    with pytest.raises(type(error)):
        run(folder)
    assert saved_steps(folder) == [2] and "to go on from there, run the same command again" in caplog.text


def test_an_evaluation_that_fails_does_not_end_training(tmp_path, caplog):
    folder = make_experiment(tmp_path)

    def evaluate(_):
        raise RuntimeError("no such thing")
    assert train(read_config(folder), folder, evaluate=evaluate) == 3
    assert "no such thing; training goes on" in caplog.text


def test_a_failed_last_save_is_the_news(tmp_path, monkeypatch, caplog):
    """But after another error that one is."""
    folder = make_experiment(tmp_path)

    def save(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")
    monkeypatch.setattr(tf.train.Saver, "save", save)
    with pytest.raises(ValueError, match="can't save step 3 in .*: No space left on device"):
        run(folder)

    def fail():
        raise RuntimeError("a bug")
    at_step(monkeypatch, 2, fail)
    with pytest.raises(RuntimeError, match="a bug"):
        run(folder)
    assert "can't save step 2" in caplog.text


@pytest.mark.parametrize("waited, share, hints", [(0.5, 50, 1), (0.0625, 6, 0)], ids=["long", "hardly"])
def test_the_share_of_time_that_steps_wait_for_data(tmp_path, monkeypatch, caplog, waited, share, hints):
    now = [0.0]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    caplog.set_level("INFO")
    watch = progress.Progress(str(tmp_path), num_steps=0, batch_size=2)
    for step in range(1, 22):
        watch.update(step, 1.0, 0.1, waited=waited)
        now[0] += 1.0
    curves = progress.read_progress(str(tmp_path / "progress.csv"))
    assert [step for step, _ in curves["waiting"]] == [11, 21]
    assert {value for _, value in curves["waiting"]} == {round(waited, 3)}
    assert caplog.text.count(f"waiting for data {share} %") == 2
    assert caplog.text.count("of the time is spent waiting for data; what helps") == hints
