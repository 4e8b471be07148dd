"""The curves of a training, log/curves.png, drawn by matplotlib."""
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from PIL import Image

from aster.reading.drawing import new_figure, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = List[Tuple[int, float]]

# name in log/progress.csv, title of its chart; what one looks at first stands first
_CHARTS = (("loss", "Loss"), ("word_accuracy", "Word accuracy, %"), ("learning_rate", "Learning rate"),
           ("images_per_second", "Images per second"))
_WIDTH, _HEIGHT = 5.0, 3.2  # inches of a chart
_PIXELS_PER_INCH = 100
_FEW = 40  # so many points are marked, not only joined
_LOG_FROM = 10  # the axis is logarithmic where the largest value is so many times the smallest


def draw_curves(curves: Dict[str, Points]) -> Image.Image:
    """Draws a training's loss, word accuracy, learning rate and speed over its steps.

    Args:
      curves: {name: [(step, value)]}, of the columns of log/progress.csv. Those without values get no chart.

    Returns:
      An RGB image: charts of 500 by 320 pixels, two in a row.
    """
    figure = curves_figure(curves)
    return render(figure, int(round(figure.get_figwidth() * _PIXELS_PER_INCH)))


def curves_figure(curves: Dict[str, Points]) -> "Figure":
    """Composes the figure that `draw_curves` renders; its `savefig("curves.pdf")` gives a file for LaTeX.

    Args:
      curves: see `draw_curves`.

    Returns:
      A matplotlib figure.
    """
    shown = [(title, curves[name]) for name, title in _CHARTS if curves.get(name)]
    columns, rows = min(2, max(1, len(shown))), max(1, (len(shown) + 1) // 2)
    figure = new_figure()
    figure.set_size_inches(columns * _WIDTH, rows * _HEIGHT)
    last = max([points[-1][0] for _, points in shown] + [1])
    for i, (title, points) in enumerate(shown):
        _draw_chart(figure.add_subplot(rows, columns, i + 1), title, points, last)
    figure.subplots_adjust(left=0.75 / figure.get_figwidth(), right=1 - 0.2 / figure.get_figwidth(), wspace=0.25,
                           bottom=0.55 / figure.get_figheight(), top=1 - 0.4 / figure.get_figheight(), hspace=0.45)
    return figure


def _draw_chart(axes: Any, title: str, points: Points, last_step: int) -> None:
    scale = 100 if title.endswith("%") else 1
    values = [scale * value for _, value in points]
    axes.plot([step for step, _ in points], values, color="#4c78a8", linewidth=1.5,
              marker="o" if len(points) < _FEW else "", markersize=4)
    axes.set_title(f"{title} (last: {values[-1]:.4g})", fontsize=11, loc="left")
    axes.set_xlabel("Step", fontsize=10)
    axes.set_xlim(0, 1.02 * last_step)  # the same in all charts
    axes.tick_params(labelsize=9)
    axes.grid(True, color="#e5e5e5")
    axes.set_axisbelow(True)
    if scale == 100:
        axes.set_ylim(0, 102)
    elif min(values) > 0 and max(values) > _LOG_FROM * min(values):
        _set_log_axis(axes)
    else:
        axes.set_ylim(min(0, 1.1 * min(values)), max(0, 1.1 * max(values)) or 1)


def _set_log_axis(axes: Any) -> None:
    """A logarithmic axis that says 2 and 50, where matplotlib would only mark powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
