"""What lies in a log folder: which checkpoints are found, kept and deleted, and what is never touched."""
import os
import shutil
import signal

import pytest

from aster import checkpoint, checkpoint_files
from aster.compat import tf
from aster.training import saver as saver_module
from aster.training.lock import only_training
from aster.training.saver import Saver, remove_leftovers

ODD_NAMES = ["exp[1]", "a*b", "what?", "back\\slash", "a:b", "gs:", "new\nline", "spaces and, commas", "übung 漢字",
             "[!a]", "%20~$'\""]


class Model:
    """Two variables and what the optimizer remembers."""

    def __init__(self, session):
        self.session = session
        self.weights = tf.get_variable("weights", initializer=0.0)
        tf.train.get_or_create_global_step()
        with tf.variable_scope(checkpoint.MOVING_AVERAGE_SCOPE):
            self.slot = tf.get_variable("weights/Adam", initializer=0.0, trainable=False)
        self.variables = tf.global_variables()
        session.run(tf.global_variables_initializer())

    def save(self, log_dir, *steps, keep_every_n_hours=1000):
        """Saves at each of the steps; the value of each variable is the step."""
        os.makedirs(log_dir, exist_ok=True)
        saver = Saver(log_dir, keep_every_n_hours)
        for step in steps:
            for variable in self.variables:
                variable.load(step, self.session)
            assert saver.save(self.session, step) == os.path.join(log_dir, f"model.ckpt-{step}")

    def resume(self, log_dir):
        """Resumes. Returns the step, the weights and the slot."""
        self.session.run([variable.initializer for variable in self.variables])
        path = checkpoint.resume(self.session, log_dir, self.variables)
        return (checkpoint_files.step_of(path or ""),) + tuple(self.session.run([self.weights, self.slot]))


@pytest.fixture
def model(session):
    return Model(session)


def steps_of(log_dir):
    return [checkpoint_files.step_of(path) for path in checkpoint.list_checkpoints(log_dir)]


def write_state(log_dir, *names):
    """Writes the file `checkpoint`, as TensorFlow does, the latest last."""
    with open(os.path.join(log_dir, "checkpoint"), "w") as stream:
        stream.write('model_checkpoint_path: "{}"\n'.format(names[-1].replace("\\", "\\\\")))
        stream.writelines('all_model_checkpoint_paths: "{}"\n'.format(name.replace("\\", "\\\\")) for name in names)


def contents(folder):
    """{path: bytes} of all files of a folder."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb") as stream:
                found[os.path.join(parent, name)] = stream.read()
    return found


def damage(path):
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) - 1)


DATA = ".data-00000-of-00001"


# Folders that were copied

@pytest.mark.parametrize("lost", [[2, 4, 6], [2], [6]])
def test_a_copy_neither_reads_nor_deletes_what_the_original_has(tmp_path, model, caplog, lost):
    original, copy = str(tmp_path / "E" / "log"), str(tmp_path / "E2" / "log")
    model.save(original, 2, 4, 6)
    write_state(original, *(os.path.join(original, f"model.ckpt-{step}") for step in (2, 4, 6)))  # absolute paths
    shutil.copytree(original, copy)
    before = contents(original)
    for name in os.listdir(copy):
        if any(f".ckpt-{step}." in name for step in lost):
            os.remove(os.path.join(copy, name))
    left = [step for step in (2, 4, 6) if step not in lost]
    assert steps_of(copy) == left
    assert model.resume(copy)[0] == (left or [-1])[-1]
    assert ("checkpoints of other folders are not used" in caplog.text) == (6 in lost)
    model.save(copy, *range(10, 20))
    assert contents(original) == before
    assert steps_of(copy) == [15, 16, 17, 18, 19]


# Names that TensorFlow takes for patterns

@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_of_a_folder(tmp_path, monkeypatch, model, name):
    monkeypatch.chdir(tmp_path)
    neighbours = {"exp1", "a b", "axb", "whatx", "backslash", "b"} - {name}
    for neighbour in neighbours:
        os.makedirs(neighbour)
        for step in range(2, 20):
            for ending in "index", "data-00000-of-00001":
                for kind in "model", "optimizer":
                    open(os.path.join(neighbour, f"{kind}.ckpt-{step}.{ending}"), "w").close()
    before = {neighbour: sorted(os.listdir(neighbour)) for neighbour in neighbours}
    for log_dir in os.path.join(name, "log"), name:
        model.save(log_dir, 2, 4)
        assert model.resume(log_dir) == (4, 4.0, 4.0)
        model.save(log_dir, *range(5, 11))
        assert steps_of(log_dir) == [6, 7, 8, 9, 10]
        os.remove(os.path.join(log_dir, "checkpoint"))
        assert model.resume(log_dir) == (10, 10.0, 10.0)
        path = checkpoint.find_checkpoint(os.path.join(log_dir, "model.ckpt-7"))
        assert checkpoint.global_step(path) == 7
        with tf.Graph().as_default(), checkpoint.constants(path):
            assert float(tf.get_variable("weights", [])) == 7.0
    assert {neighbour: sorted(os.listdir(neighbour)) for neighbour in neighbours} == before


def test_a_name_that_is_not_utf8_is_told_before_training(tmp_path):
    with pytest.raises(ValueError, match="name is not UTF-8.*rename it"), only_training(
            str(tmp_path) + os.fsdecode(b"/b\xe9ta")):
        pass


def test_a_checkpoint_whose_own_name_is_a_pattern(tmp_path, model):
    model.save(str(tmp_path), 7)
    for ending in ".index", DATA:
        os.rename(str(tmp_path / ("model.ckpt-7" + ending)), str(tmp_path / ("best[1]*" + ending)))
    assert checkpoint.global_step(checkpoint.find_checkpoint("best[1]*", str(tmp_path))) == 7


# Which checkpoints are found

def test_a_whole_checkpoint_is_found_though_it_is_not_listed(tmp_path, model):
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4)
    write_state(log_dir, "model.ckpt-4")  # as published files do
    assert steps_of(log_dir) == [2, 4]
    damage(os.path.join(log_dir, "model.ckpt-4" + DATA))
    assert model.resume(log_dir) == (2, 2.0, 2.0)


def test_a_checkpoint_that_was_saved_before_a_kill_is_the_latest(tmp_path, model):
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4)
    write_state(log_dir, "model.ckpt-2")  # somebody wants this one
    os.utime(os.path.join(log_dir, "checkpoint"), (2e9, 2e9))
    assert steps_of(log_dir) == [4, 2] and model.resume(log_dir)[0] == 2
    os.utime(os.path.join(log_dir, "checkpoint"), (1e9, 1e9))  # the kill came before the file was written
    assert steps_of(log_dir) == [2, 4] and model.resume(log_dir)[0] == 4
    model.save(log_dir, *range(5, 9))
    assert steps_of(log_dir) == [4, 5, 6, 7, 8]  # it counts among the latest


@pytest.mark.parametrize("name", ["", ".", "..", "folder", "../log", "/", "nosuch", "model.ckpt-4.index",
                                  "/etc/passwd"])
def test_a_file_that_lists_what_is_no_checkpoint(tmp_path, model, name):
    log_dir = str(tmp_path / "log")
    model.save(log_dir, 2, 4)
    os.mkdir(os.path.join(log_dir, "folder"))
    write_state(log_dir, name)
    assert checkpoint.find_checkpoint(log_dir) == os.path.join(log_dir, "model.ckpt-4")
    assert model.resume(log_dir) == (4, 4.0, 4.0)
    model.save(log_dir, 5)
    assert steps_of(log_dir) == [2, 4, 5]


def test_files_that_only_look_like_checkpoints(tmp_path, model):
    log_dir = str(tmp_path)
    model.save(log_dir, 2)
    os.remove(os.path.join(log_dir, "checkpoint"))
    for name in "m-².index", "model.ckpt-٣.index", "model.ckpt-.index", "-.index", "model.ckpt-1e3.index", ".index":
        open(os.path.join(log_dir, name), "w").close()
    os.mkdir(os.path.join(log_dir, "model.ckpt-9.index"))
    assert steps_of(log_dir) == [2]
    assert model.resume(log_dir)[0] == 2


# Which are kept

def test_the_latest_five_are_kept_and_two_of_the_optimizer(tmp_path, model):
    log_dir = str(tmp_path)
    for step in range(1, 10):
        model.save(log_dir, step)  # a process each
    assert steps_of(log_dir) == [5, 6, 7, 8, 9]
    names = sorted(name for name in os.listdir(log_dir) if name.endswith(".index"))
    assert names == [f"model.ckpt-{step}.index" for step in (5, 6, 7, 8, 9)] + [
        f"optimizer.ckpt-{step}.index" for step in (8, 9)]
    assert tf.train.latest_checkpoint(log_dir) == os.path.join(log_dir, "model.ckpt-9")
    state = tf.train.get_checkpoint_state(log_dir)
    assert list(state.all_model_checkpoint_paths) == checkpoint.list_checkpoints(log_dir)


def test_what_is_kept_for_good_stays(tmp_path, model):
    log_dir = str(tmp_path)
    model.save(log_dir, *range(1, 8), keep_every_n_hours=0)
    kept = steps_of(log_dir)
    assert {1, 2} <= set(kept)
    model.save(log_dir, *range(8, 20))
    os.remove(os.path.join(log_dir, "checkpoint"))  # nothing says which are kept for good: no more than five go
    model.save(log_dir, *range(20, 30))
    assert steps_of(log_dir)[:2] == [1, 2]


def test_only_names_of_the_saver_are_deleted(tmp_path, model):
    log_dir = str(tmp_path)
    for number, name in enumerate(["best-3", "model.ckpt-best", "model.ckpt", "model.ckpt-3"]):
        model.save(str(tmp_path / str(number)), 3)
        for ending in ".index", DATA:
            shutil.copy(str(tmp_path / str(number) / ("model.ckpt-3" + ending)), os.path.join(log_dir, name + ending))
    mine = contents(log_dir)
    write_state(log_dir, "best-3", "model.ckpt-best", "model.ckpt", "model.ckpt-3")
    model.save(log_dir, *range(4, 12))
    lost = {os.path.basename(path) for path in mine if not os.path.exists(path)}
    assert lost == {"model.ckpt-3.index", "model.ckpt-3" + DATA}


def test_the_disk_has_a_checkpoint_before_the_list_names_it(tmp_path, monkeypatch, model):
    synced, renamed = set(), []
    fsync, rename = os.fsync, os.rename

    def record_fsync(descriptor):
        synced.add(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def record_rename(source, target):
        renamed.append((os.path.basename(source), os.path.basename(target), set(synced)))
        rename(source, target)
    monkeypatch.setattr(saver_module.os, "fsync", record_fsync)
    monkeypatch.setattr(saver_module.os, "rename", record_rename)
    model.save(str(tmp_path / "log"), 3)
    (source, target, before), = renamed
    assert target == "checkpoint"
    assert {source, "log"} | {f"{kind}.ckpt-3{ending}" for kind in ("model", "optimizer")
                              for ending in (".index", DATA)} <= before


# What the optimizer remembers

def test_a_lost_file_of_the_optimizer_is_told(tmp_path, model, caplog):
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4)
    model.resume(log_dir)
    assert "start anew" not in caplog.text
    for ending in ".index", DATA:
        os.remove(os.path.join(log_dir, "optimizer.ckpt-4" + ending))
    assert model.resume(log_dir) == (4, 4.0, 0.0)
    assert (f"1 of the optimizer's 1 variables start anew, since they are not saved with {log_dir}/model.ckpt-4: there "
            f"is no {log_dir}/optimizer.ckpt-4") in caplog.text


def test_a_damaged_file_of_the_optimizer(tmp_path, model, caplog):
    """The one before is taken; where none is whole, the newest without what the optimizer remembered."""
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4, 6)
    damage(os.path.join(log_dir, "optimizer.ckpt-6" + DATA))
    assert model.resume(log_dir) == (4, 4.0, 4.0)
    assert "optimizer.ckpt-6: damaged" in caplog.text
    damage(os.path.join(log_dir, "optimizer.ckpt-4.index"))
    assert model.resume(log_dir) == (6, 6.0, 0.0)
    assert f"{log_dir}/model.ckpt-6 is used, and the optimizer's state starts anew" in caplog.text


def test_all_are_damaged(tmp_path, model):
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4)
    for step in 2, 4:
        damage(os.path.join(log_dir, f"model.ckpt-{step}" + DATA))
    with pytest.raises(checkpoint.CheckpointError, match="no whole checkpoint is left"):
        model.resume(log_dir)


def test_a_damaged_checkpoint_says_what_to_do(tmp_path, model):
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4)
    path = checkpoint.find_checkpoint(log_dir)
    damage(path + DATA)
    with pytest.raises(checkpoint.DamagedCheckpoint) as error:
        checkpoint.restore(model.session, path, [v for v in model.variables if v is not model.slot])
    assert f"move {path}.* to another folder to use the one before it" in str(error.value)
    for ending in ".index", DATA:
        os.remove(path + ending)
    with pytest.raises(checkpoint.DamagedCheckpoint, match="its files are gone"):
        checkpoint.global_step(path)
    assert checkpoint.find_checkpoint(log_dir) == os.path.join(log_dir, "model.ckpt-2")


@pytest.mark.parametrize("ending", [".index", DATA])
@pytest.mark.parametrize("place", ["/dev/zero", None])
def test_pipes_and_devices_are_not_waited_for(tmp_path, model, ending, place):
    """A pipe without a writer would wait forever."""
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4)
    for name in "model.ckpt-4" + ending, "checkpoint":
        os.remove(os.path.join(log_dir, name))
        if place:
            os.symlink(place, os.path.join(log_dir, name))
        else:
            os.mkfifo(os.path.join(log_dir, name))
    assert model.resume(log_dir) == (2, 2.0, 2.0)
    if ending == DATA:
        with pytest.raises(checkpoint.DamagedCheckpoint, match="is not a file"):
            checkpoint.global_step(os.path.join(log_dir, "model.ckpt-4"))


# Leftovers, and the lock

LEFTOVERS = ["model.ckpt-9.data-00000-of-00001.tempstate123", "optimizer.ckpt-9.index.tempstate4", "checkpoint.tmp",
             "checkpoint.tmp0a1b", "optimizer_checkpoint.tmp77"]
PARTS = ["model.ckpt-9.data-00000-of-00001", "optimizer.ckpt-9.data-00000-of-00001", "optimizer.ckpt-7.index",
         "optimizer.ckpt-7.data-00000-of-00001"]
OTHERS = ["words.tmp", "best.ckpt-9.data-00000-of-00001", "model.ckpt-9.data", "xmodel.ckpt-9.index.tempstate1",
          "events.out.tfevents.1", "checkpoint.tmp.mine", "optimizer.ckpt-4.notes"]


@pytest.mark.parametrize("after_a_kill", [True, False])
def test_leftovers_of_killed_saves_go(tmp_path, model, after_a_kill):
    log_dir = str(tmp_path)
    model.save(log_dir, 2, 4)
    whole = set(os.listdir(log_dir))
    for name in LEFTOVERS + PARTS + OTHERS:
        open(os.path.join(log_dir, name), "w").close()
    remove_leftovers(log_dir, after_a_kill)
    assert set(os.listdir(log_dir)) == whole | set(OTHERS) | (set() if after_a_kill else set(PARTS))


def test_one_training_at_a_time(tmp_path, model):
    log_dir = str(tmp_path)
    model.save(log_dir, 2)
    (read, write), half = os.pipe(), os.path.join(log_dir, "model.ckpt-3" + DATA)
    child = os.fork()
    if not child:
        with only_training(log_dir):
            open(half, "w").close()
            os.write(write, b"locked")
            signal.pause()
        os._exit(1)
    try:
        assert os.read(read, 100) == b"locked"
        with pytest.raises(ValueError, match=f"^{log_dir}: process {child} on .* is training here"), \
                only_training(log_dir):
            pass
        assert os.path.exists(half)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with only_training(log_dir):  # the lock of the dead is no lock
        assert not os.path.exists(half)
    open(half, "w").close()
    with only_training(log_dir):  # nobody was killed: this is somebody's
        assert os.path.exists(half)
    assert os.path.getsize(os.path.join(log_dir, "lock")) == 0


