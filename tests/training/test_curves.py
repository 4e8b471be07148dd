"""log/curves.png: its charts, their order and axes, and that it never ends a training."""
import sys

import pytest

from aster.training import progress
from aster.training.curves import curves_figure, draw_curves

LOSS = [(step, 40.0 / step) for step in range(1, 100)]
CURVES = {"images_per_second": [(1, 200.0), (99, 210.0)], "learning_rate": [(1, 0.1), (99, 0.1)], "loss": LOSS,
          "word_accuracy": [(50, 0.25), (99, 0.5)]}


def test_loss_and_accuracy_stand_first():
    axes = curves_figure(CURVES).axes
    assert [chart.get_title(loc="left") for chart in axes] == [
        "Loss (last: 0.404)", "Word accuracy, % (last: 50)", "Learning rate (last: 0.1)",
        "Images per second (last: 210)"]
    assert all(chart.get_xlabel() == "Step" and chart.get_xlim()[1] > 99 for chart in axes)
    assert list(axes[1].lines[0].get_ydata()) == [25, 50]


def test_the_axis_of_a_loss_that_falls_far_is_logarithmic():
    assert [chart.get_yscale() for chart in curves_figure(CURVES).axes] == ["log", "linear", "linear", "linear"]
    assert curves_figure({"loss": [(1, 2.0), (2, 1.0)]}).axes[0].get_yscale() == "linear"
    assert curves_figure({"loss": [(1, 2.0), (2, -1.0)]}).axes[0].get_ylim()[0] <= -1


@pytest.mark.parametrize("names, size", [
    ((), (500, 320)), (("loss",), (500, 320)), (("loss", "word_accuracy"), (1000, 320)), (CURVES, (1000, 640))])
def test_size(names, size):
    assert draw_curves({name: CURVES[name] for name in names}).size == size


@pytest.mark.parametrize("points", [[(1, 0.0)], [(1, -3.0)], [(0, 1.0)], [(1, 1e30), (2, 1e-30)]])
def test_unusual_values(points):
    assert draw_curves({"loss": points}).size == (500, 320)


def test_a_missing_matplotlib_is_one_line_in_the_log(tmp_path, monkeypatch, caplog):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    watch = progress.Progress(str(tmp_path), num_steps=3, batch_size=1)
    watch.saved(1, 0.5)
    watch.saved(2, 0.5)
    assert caplog.text.count("pip install matplotlib") == 1 and not (tmp_path / "curves.png").exists()
    assert progress.read_progress(str(tmp_path / "progress.csv"))["word_accuracy"] == [(1, 0.5), (2, 0.5)]


def test_a_picture_that_can_not_be_drawn_does_not_end_training(tmp_path, monkeypatch, caplog):
    def fail(_):
        raise RuntimeError("no such font")
    monkeypatch.setattr(progress, "draw_curves", fail)
    progress.Progress(str(tmp_path), num_steps=3, batch_size=1).saved(1)
    assert "no such font; training goes on" in caplog.text
