"""A training that starts from another one with another character set keeps what was learnt of common characters."""
import os

import numpy as np
import pytest
from experiment import make_experiment

from aster import character_sets, checkpoint
from aster.config import read_config
from aster.model.build import build_model
from aster.training.fine_tuning import carry, start_from
from aster.training.loop import train

from aster.compat import tf  # isort: skip

OLD, NEW = "abcd", "\u00e4cxab"  # d is gone, \u00e4 and x are new, and nothing is where it was
COMMON = [(0, 0), (1, 1), (2, 5), (3, 6), (4, 3)]  # labels there and here: start, end, a, b, c
ADDED, KERNEL = [2, 4], "Forward/Predictor/decoder/sync_attention_wrapper/lstm_cell/kernel"
DENSE = "Forward/Predictor/decoder/dense/"


@pytest.mark.parametrize("axis, shape, rest", [(0, [6, 3], 0), (0, [6 + 5, 3], 5), (1, [2, 6], 0), (0, [6], 0)])
def test_carry(axis, shape, rest):
    stored = np.random.RandomState(0).normal(size=shape)
    shape_here = list(shape)
    shape_here[axis] += 1
    initial = np.full(shape_here, 7.0)
    value = carry(stored, initial, axis, there=OLD, here=NEW)
    there, here = np.moveaxis(stored, axis, 0), np.moveaxis(value, axis, 0)
    for source, target in COMMON + [(6 + i, 7 + i) for i in range(rest)]:
        np.testing.assert_array_equal(here[target], there[source])
    assert (here[ADDED] == 7).all() and (initial == 7).all()


def test_a_new_capital_starts_from_its_small_letter():
    stored = np.arange(4.0)
    assert carry(stored, np.full(6, 7.0), 0, there="a\u00df", here="aBA\u00df").tolist() == [0, 1, 2, 7, 2, 3]
    assert carry(stored, np.full(5, 7.0), 0, there="AB", here="abA").tolist() == [0, 1, 2, 3, 2]


@pytest.mark.parametrize("shape", [[8, 3], [7, 4], [6, 3]])
def test_other_shapes_are_not_carried(shape):
    assert carry(np.zeros([6, 3]), np.zeros(shape), 0, there=OLD, here=NEW) is None


def experiment(folder, characters, cell="lstm_cell", **options):
    folder = make_experiment(folder, **options)
    path = os.path.join(folder, "config", "trainval.prototxt")
    with open(path) as stream:
        text = stream.read()
    with open(path, "wb") as stream:
        decoder = text.index("predictor {")
        text = text[:decoder] + text[decoder:].replace("lstm_cell", cell)
        stream.write(text.replace("built_in_set: LOWERCASE", f'text_string: "{characters}"').encode("utf-8"))
    return folder


def started(folder, path):
    """Starts a model from a checkpoint -> {name: value} of its variables, afterwards and before."""
    with tf.Graph().as_default(), tf.Session() as session:
        model = build_model(read_config(folder).model, folder)
        model.recognize(tf.placeholder(tf.float32, [1, 64, 256, 3]))
        variables = tf.global_variables()
        session.run(tf.global_variables_initializer())
        before = session.run(variables)
        start_from(session, path, model)
        names = [variable.op.name for variable in variables]
        return dict(zip(names, session.run(variables))), dict(zip(names, before))


def stored_values(path):
    with checkpoint.open_reader(path) as reader:
        return {name: reader.read(name) for name in reader.shapes}


@pytest.mark.parametrize("cell, kernels", [
    ("lstm_cell", [KERNEL]),
    ("gru_cell", [KERNEL.replace("lstm_cell", "gru_cell/gates"), KERNEL.replace("lstm_cell", "gru_cell/candidate")])])
def test_new_characters_keep_the_old_ones(tmp_path, caplog, cell, kernels):
    caplog.set_level("INFO")
    first = experiment(tmp_path / "first", OLD, cell)
    train(read_config(first), first, clone_on_cpu=True)
    path = checkpoint.find_checkpoint(os.path.join(first, "log"))
    second = experiment(tmp_path / "second", NEW, cell)
    caplog.clear()
    values, before = started(second, path)
    stored = stored_values(path)
    there, here = zip(*COMMON)
    for name in [DENSE + "kernel", DENSE + "bias"] + kernels:
        axis = 1 if name == DENSE + "kernel" else 0
        old, new, initial = (np.moveaxis(value[name], axis, 0) for value in (stored, values, before))
        np.testing.assert_array_equal(new[list(here)], old[list(there)])
        np.testing.assert_array_equal(new[ADDED], initial[ADDED])
        np.testing.assert_array_equal(new[7:], old[6:])  # glimpse and state
    for name in set(values) - set(kernels) - {DENSE + "kernel", DENSE + "bias", "global_step"}:
        np.testing.assert_array_equal(values[name], stored[name])
    assert "configuration: '\u00e4' (U+00E4) 'x' (U+0078); only in the checkpoint: 'd' (U+0064)" in caplog.text
    assert "start anew:" not in caplog.text


def test_the_same_size_and_another_order(tmp_path, caplog):
    first = experiment(tmp_path / "first", "abc")
    train(read_config(first), first, clone_on_cpu=True)
    path = checkpoint.find_checkpoint(os.path.join(first, "log"))
    caplog.set_level("INFO")
    values, _ = started(experiment(tmp_path / "second", "cab"), path)
    assert "What the model knows of the common ones is kept" in caplog.text and "anew" not in caplog.text
    stored = stored_values(path)
    np.testing.assert_array_equal(values[DENSE + "bias"], stored[DENSE + "bias"][[0, 1, 4, 2, 3]])
    np.testing.assert_array_equal(values[KERNEL][:5], stored[KERNEL][[0, 1, 4, 2, 3]])


def test_without_stored_characters_the_remedy_is_named(tmp_path, caplog):
    first = experiment(tmp_path / "first", OLD)
    train(read_config(first), first, clone_on_cpu=True)
    path = checkpoint.find_checkpoint(os.path.join(first, "log"))
    os.remove(character_sets.path_beside(path))
    values, before = started(experiment(tmp_path / "second", NEW), path)
    np.testing.assert_array_equal(values[KERNEL], before[KERNEL])
    assert "model.ckpt-3.characters.json" in caplog.text
    with open(character_sets.path_beside(path), "w") as stream:
        stream.write('{"Forward": "abcd"}')
    assert not np.array_equal(started(str(tmp_path / "second"), path)[0][KERNEL], before[KERNEL])


def test_a_training_goes_on_with_the_new_characters(tmp_path, caplog):
    caplog.set_level("INFO")
    first = experiment(tmp_path / "first", OLD)
    train(read_config(first), first, clone_on_cpu=True)
    second = experiment(tmp_path / "second", NEW, train=f'fine_tune_checkpoint: "{first}/log"')
    assert train(read_config(second), second, clone_on_cpu=True) == 3
    assert "other new characters start anew" in caplog.text
    path = checkpoint.find_checkpoint(os.path.join(second, "log"))
    assert character_sets.read(path) == {"Forward": NEW}


def test_the_pretrained_model_has_its_characters():
    from aster.pretrained import ENGLISH
    path = checkpoint.find_checkpoint(os.path.join(ENGLISH, "log"))
    characters = "0123456789abcdefghijklmnopqrstuvwxyz"
    assert character_sets.read(path) == {"Forward": characters, "Backward": characters}
