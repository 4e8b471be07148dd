"""The benchmark report as one HTML page that needs nothing else: charts are SVG, pictures are inside."""
import base64
import collections
import functools
import html
import logging
import math
import os
from typing import Any, Callable, Counter, Dict, Iterator, List, Optional, Sequence, Tuple

from aster import checkpoint
from aster.errors import describe
from aster.evaluation import report, tables
from aster.evaluation.comparison import Comparison, compare
from aster.evaluation.evaluator import default_protocol
from aster.evaluation.metrics import align, comparable, wilson
from aster.reading.pictures import draw_reading, encode
from aster.reading.recognizer import Recognizer

_log = logging.getLogger(__name__)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: right }
th { border-bottom: 1px solid #888 } tr:nth-child(even) td { background: #f4f4f4 }
td:first-child, th:first-child, td:nth-child(2), td:nth-child(3) { text-align: left }
.pictures { display: flex; flex-wrap: wrap; gap: 16px } figure { margin: 0; border: 1px solid #ddd; padding: 6px }
figure img { max-width: 520px; display: block } figcaption { font-size: 13px } svg text { font: 11px sans-serif }
"""
_NUM_CONFUSIONS = 20
_NUM_DIFFERENT = 60
_PICTURE_WIDTH = 800  # pixels


def make_report(folders: Sequence[str], configs: Sequence[Any], data_sets: Sequence[report.DataSet],
                protocols: Sequence[str] = (), checkpoints: Sequence[str] = ()) -> Iterator[Tuple[str, str]]:
    """Recognizes all data sets with a checkpoint of each experiment.

    Args:
      folders: the experiment folders.
      configs: the TrainEvalPipelineConfig of each.
      data_sets: the test sets.
      protocols: keys of metrics.PROTOCOLS. The first is that of comparisons and charts. None stands for "benchmark", or
        for "letters" where a model writes characters beyond ASCII.
      checkpoints: the path of the checkpoint of each experiment. None stands for the latest of each.

    Yields:
      (format, text of the report in it) for json, csv, md and html, in this order: numbers first. If an error or Ctrl-C
      ends the work, they have the data sets that were read until then.

    Raises:
      CheckpointError: an experiment has no checkpoint, or one that can't be used.
      ValueError: the data can't be used.
    """
    paths = checkpoints or [checkpoint.find_checkpoint(os.path.join(folder, "log")) for folder in folders]
    results: List[List[report.Result]] = [[] for _ in folders]  # per experiment, per data set
    defaults: List[str] = []
    failure: Optional[BaseException] = None
    try:
        for result in _evaluate_all(folders, configs, paths, data_sets, protocols, defaults):
            results[len(defaults) - 1].append(result)
    except (Exception, KeyboardInterrupt) as error:
        if not results[0]:
            raise
        _log.error("the report has only what was read before this error")
        failure = error
    protocols = protocols or [max(defaults)]  # "letters" is what all of them can be compared by
    flat = [result for own in results for result in own]
    table = [row for result in flat for row in report.rows(result, protocols)]
    comparisons = [compare(a, b) for others in results[1:] for a, b in zip(results[0], others)]
    yield "json", tables.json_table(table, comparisons)
    yield "csv", tables.csv_table(table)
    yield "md", tables.markdown(table, comparisons)
    yield "html", render(flat, table, comparisons, protocol=protocols[0])
    if failure:
        raise failure


def _evaluate_all(folders: Sequence[str], configs: Sequence[Any], paths: Sequence[str],
                  data_sets: Sequence[report.DataSet], protocols: Sequence[str],
                  defaults: List[str]) -> Iterator[report.Result]:
    """Yields the result of each experiment on each data set. `defaults` gets the default protocol of each experiment.
    """
    names = [os.path.basename(os.path.abspath(folder)) for folder in folders]
    if len(set(names)) < len(names):
        names = list(folders)
    for name, folder, config, path in zip(names, folders, configs, paths):
        with Recognizer(config, path, folder) as recognizer:
            defaults.append(default_protocol(recognizer))
            for data_set in data_sets:
                yield report.evaluate_data_set(recognizer, name, data_set, options=config.eval_config, base_dir=folder,
                                               protocol=protocols[0] if protocols else "", thumbnails=len(folders) > 1)


def render(results: Sequence[report.Result], table: Sequence[report.Row], comparisons: Sequence[Comparison], *,
           protocol: str = "benchmark") -> str:
    """Writes the page.

    Args:
      results: the results of all experiments.
      table: their rows.
      comparisons: the comparisons of pairs of experiments.
      protocol: by which the words of the results are right or wrong.

    Returns:
      The page's text.
    """
    sections = ["<h1>Benchmark report</h1>", _table(tables.head(table), tables.cells(table)),
                f"<p>{html.escape(tables.protocol(table))}</p>"]
    if comparisons:
        sections += ["<h2>Side by side</h2>", _table(tables.COMPARISON_HEAD, tables.comparison_cells(comparisons))]
        sections += [_differences(pair) for pair in comparisons]
    by_model: Dict[str, List[report.Result]] = collections.OrderedDict()
    for result in results:
        by_model.setdefault(result.experiment, []).append(result)
    for name, own in by_model.items():
        sections += _model_sections(name, own, protocol)
    body = "\n".join(sections)
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>ASTER benchmark report</title>'
            f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n")


def _model_sections(name: str, results: Sequence[report.Result], protocol: str) -> List[str]:
    words = [word for result in results for word in result.words if word.right is not None]
    texts = functools.partial(comparable, protocol=protocol, writable=results[0].writable)
    sections = [
        f"<h2>{html.escape(name)}</h2>",
        f"<h3>Accuracy by test set (protocol {protocol})</h3>",
        _bars([(result.data_set, [word.right for word in result.words if word.right is not None])
               for result in results]),
        "<h3>Accuracy by length of the word</h3>", _bars(_by_length(words, texts)),
        "<h3>Characters taken for others</h3>", _confusions(words, texts),
        "<h3>Calibration: how often a text with this probability is right</h3>", _bars(_calibration(words))]
    for result in results:
        if result.failures:
            sections += [f"<h3>{html.escape(result.data_set)}: wrong texts with the highest scores</h3>",
                         _failures(result)]
    return sections


def _table(head: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    def row(tag: str, values: Sequence[Any]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values) + "</tr>"
    return "<table>" + row("th", head) + "".join(row("td", line) for line in lines) + "</table>"


def _bars(groups: Sequence[Tuple[str, List[bool]]]) -> str:
    """SVG of the share of True in each group, (label, values), with its 95 % interval and count."""
    groups = [(label, values) for label, values in groups if values]
    step, height = max([68] + [7 * len(label) for label, _ in groups]), 160
    shapes = []
    for i, (label, values) in enumerate(groups):
        share = sum(values) / len(values)
        low, high = wilson(sum(values), len(values))
        middle = i * step + step // 2
        shapes.append(f'<rect x="{middle - 24}" y="{20 + height * (1 - share):.1f}" width="48" '
                      f'height="{height * share:.1f}" fill="#7aa6d8"/>')
        shapes.append(f'<path d="M{middle} {20 + height * (1 - high):.1f} V{20 + height * (1 - low):.1f}" '
                      'stroke="#222"/>')
        for y, text in ((14, f"{100 * share:.1f}"), (height + 36, label), (height + 50, f"n = {len(values)}")):
            shapes.append(f'<text x="{middle}" y="{y}" text-anchor="middle">{html.escape(text)}</text>')
    return f'<svg width="{len(groups) * step + 20}" height="{height + 60}">{"".join(shapes)}</svg>'


def _by_length(words: Sequence[report.Word], texts: Callable[[str], str]) -> List[Tuple[str, List[bool]]]:
    groups: Dict[int, List[bool]] = collections.defaultdict(list)
    for word in words:
        groups[len(texts(word.truth))].append(bool(word.right))
    return [(str(length), groups[length]) for length in sorted(groups)]


def _calibration(words: Sequence[report.Word]) -> List[Tuple[str, List[bool]]]:
    groups: List[List[bool]] = [[] for _ in range(10)]
    for word in words:
        groups[min(int(10 * math.exp(word.score)), 9)].append(bool(word.right))
    return [(f"{10 * i}-{10 * i + 10} %", values) for i, values in enumerate(groups)]


def _confusions(words: Sequence[report.Word], texts: Callable[[str], str]) -> str:
    times: Counter[Tuple[str, str]] = collections.Counter()
    for word in words:
        if not word.right:
            pairs = align(texts(word.truth), texts(word.text))
            times.update(pair for pair in pairs if pair[0] != pair[1])
    return _table(["truth", "read as", "times"], [[a or "(nothing)", b or "(nothing)", count]
                                                  for (a, b), count in times.most_common(_NUM_CONFUSIONS)])


def _failures(result: report.Result) -> str:
    figures = []
    for word, reading in result.failures:
        caption = f"{word.truth}, read as {word.text or 'nothing'} ({100 * math.exp(word.score):.1f} %) {word.filename}"
        try:
            picture = encode(draw_reading(reading, word.truth, width=_PICTURE_WIDTH), "JPEG")
        except Exception as error:  # a text too long to draw, say: the page can do without the picture
            _log.error("%s: no picture of %.40r: %s", result.data_set, word.truth, describe(error))
            picture = b""
        figures.append(_figure(picture, caption))
    return f'<div class="pictures">{"".join(figures)}</div>'


def _differences(pair: Comparison) -> str:
    figures = [_figure(a.thumbnail, f"{a.truth}: A {a.text or 'nothing'}, B {b.text or 'nothing'}")
               for a, b in pair.different[:_NUM_DIFFERENT]]
    more = len(pair.different) > len(figures)
    title = (f"{pair.data_set}: where A ({pair.first}) and B ({pair.second}) differ"
             + (f", the first {len(figures)} of {len(pair.different)}" if more else ""))
    return f'<h3>{html.escape(title)}</h3><div class="pictures">{"".join(figures)}</div>'


def _figure(jpeg: bytes, caption: str) -> str:
    encoded = base64.b64encode(jpeg).decode("ascii")
    return (f'<figure><img alt="" src="data:image/jpeg;base64,{encoded}"><figcaption>{html.escape(caption)}'
            "</figcaption></figure>")
