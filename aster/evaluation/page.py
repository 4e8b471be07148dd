"""The benchmark report as one HTML page that needs nothing else: charts are SVG, pictures are inside."""
import base64
import collections
import html
import math
import os

from aster import checkpoint
from aster.evaluation import report
from aster.evaluation.metrics import align, comparable
from aster.reading.pictures import draw_reading, encode
from aster.reading.recognizer import Recognizer

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: right }
th { border-bottom: 1px solid #888 } tr:nth-child(even) td { background: #f4f4f4 }
td:first-child, th:first-child, td:nth-child(2), td:nth-child(3) { text-align: left }
.pictures { display: flex; flex-wrap: wrap; gap: 16px } figure { margin: 0; border: 1px solid #ddd; padding: 6px }
figure img { max-width: 340px; display: block } figcaption { font-size: 13px } svg text { font: 11px sans-serif }
"""
_NUM_CONFUSIONS = 20
_NUM_DIFFERENT = 60


def make_report(folders, configs, data_sets):
    """Reads all data sets with the latest checkpoint of each experiment folder -> {"html", "md", "csv", "json": text}.
    """
    results, ascii_only = [], True
    names = [os.path.basename(os.path.abspath(folder)) for folder in folders]
    if len(set(names)) < len(names):
        names = folders
    for name, folder, config in zip(names, folders, configs):
        path = checkpoint.find_checkpoint(os.path.join(folder, "log"))
        with Recognizer(config, path, folder) as recognizer:
            ascii_only = ascii_only and recognizer.ascii_only
            results.append([report.evaluate_data_set(recognizer, name, data_set, config.eval_config, folder,
                                                 thumbnails=len(folders) > 1) for data_set in data_sets])
    table = [row for own in results for result in own for row in report.rows(result, ascii_only)]
    comparisons = [report.compare(a, b) for others in results[1:] for a, b in zip(results[0], others)]
    everything = [result for own in results for result in own]
    return {"html": render(everything, table, comparisons, ascii_only), "md": report.markdown(table, comparisons),
            "csv": report.csv_table(table), "json": report.json_table(table, comparisons)}


def render(results, table, comparisons, ascii_only=True):
    """Results, their rows and comparisons (see report.py) -> the page's text."""
    parts = ["<h1>Benchmark report</h1>", _table(
        ["model", "test set", "subset", "words", "lexicon", "accuracy", "95 %", "NED", "paper"],
        [[row.experiment, row.data_set, row.subset, row.count, row.lexicon, _percent(row.accuracy),
          f"{_percent(row.low)} to {_percent(row.high)}", f"{row.ned:.4f}",
          report.paper_text(row)] for row in table]),
        f"<p>{html.escape(report.PROTOCOL)}</p>"]
    if comparisons:
        parts += ["<h2>Side by side</h2>", _table(
            ["test set", "A", "B", "both right", "only A", "only B", "neither", "p (McNemar)"],
            [list(pair[:7]) + [f"{pair.p_value:.3g}"] for pair in comparisons])]
        parts += [_differences(pair) for pair in comparisons]
    by_model = collections.OrderedDict()
    for result in results:
        by_model.setdefault(result.experiment, []).append(result)
    for name, own in by_model.items():
        words = [word for result in own for word in result.words]
        parts += [f"<h2>{html.escape(name)}</h2>", "<h3>Accuracy by test set</h3>", _bars(
            [(result.data_set, _shares(result.words)) for result in own]),
            "<h3>Accuracy by length of the word</h3>", _bars(_by_length(words, ascii_only)),
            "<h3>Characters taken for others</h3>", _confusions(words, ascii_only),
            "<h3>Calibration: how often a text with this probability is right</h3>", _bars(_calibration(words))]
        for result in own:
            if result.failures:
                parts += [f"<h3>{html.escape(result.data_set)}: wrong, and most sure of it</h3>", _failures(result)]
    return ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>ASTER benchmark report</title>"
            "<style>{}</style></head><body>\n{}\n</body></html>\n".format(_STYLE, "\n".join(parts)))


def _percent(share):
    return "%.1f" % (100 * share)


def _table(head, lines):
    def cells(tag, values):
        return "<tr>{}</tr>".format("".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values))
    return "<table>{}{}</table>".format(cells("th", head), "".join(cells("td", line) for line in lines))


def _shares(words):
    return [word.right for word in words]


def _bars(groups):
    """SVG of the share of True in each group, (label, list of bool), with its 95 % interval and count."""
    groups = [(label, values) for label, values in groups if values]
    step, height = max([68] + [7 * len(label) for label, _ in groups]), 160
    parts = []
    for i, (label, values) in enumerate(groups):
        share = sum(values) / float(len(values))
        low, high = report.wilson(sum(values), len(values))
        middle = i * step + step // 2
        x = middle - 24
        parts.append('<rect x="%d" y="%.1f" width="48" height="%.1f" fill="#7aa6d8"/>'
                     % (x, 20 + height * (1 - share), height * share))
        parts.append('<path d="M%d %.1f V%.1f" stroke="#222"/>'
                     % (middle, 20 + height * (1 - high), 20 + height * (1 - low)))
        for y, text in ((14, _percent(share)), (height + 36, label), (height + 50, "n = %d" % len(values))):
            parts.append('<text x="%d" y="%d" text-anchor="middle">%s</text>' % (middle, y, html.escape(text)))
    return '<svg width="%d" height="%d">%s</svg>' % (len(groups) * step + 20, height + 60, "".join(parts))


def _by_length(words, ascii_only):
    groups = collections.defaultdict(list)
    for word in words:
        groups[len(comparable(word.truth, ascii_only))].append(word.right)
    return [(str(length), groups[length]) for length in sorted(groups)]


def _calibration(words):
    groups = [[] for _ in range(10)]
    for word in words:
        groups[min(int(10 * math.exp(word.score)), 9)].append(word.right)
    return [("%d-%d %%" % (10 * i, 10 * i + 10), values) for i, values in enumerate(groups)]


def _confusions(words, ascii_only):
    found = collections.Counter()
    for word in words:
        if not word.right:
            pairs = align(comparable(word.truth, ascii_only), comparable(word.text, ascii_only))
            found.update(pair for pair in pairs if pair[0] != pair[1])
    return _table(["truth", "read as", "times"], [[a or "(nothing)", b or "(nothing)", times]
                                                  for (a, b), times in found.most_common(_NUM_CONFUSIONS)])


def _failures(result):
    return '<div class="pictures">{}</div>'.format("".join(_figure(
        encode(draw_reading(reading, word.truth), "JPEG"), "{}, read as {} ({} %) {}".format(
            word.truth, word.text or "nothing", _percent(math.exp(word.score)), word.filename))
        for word, reading in result.failures))


def _differences(pair):
    figures = [_figure(a.thumbnail, "{}: A {}, B {}".format(a.truth, a.text or "nothing", b.text or "nothing"))
               for a, b in pair.different[:_NUM_DIFFERENT]]
    more = len(pair.different) - len(figures)
    return "<h3>{}: where A ({}) and B ({}) differ{}</h3><div class=\"pictures\">{}</div>".format(
        html.escape(pair.data_set), html.escape(pair.first), html.escape(pair.second),
        ", the first %d of %d" % (len(figures), len(pair.different)) if more else "", "".join(figures))


def _figure(jpeg, caption):
    return '<figure><img alt="" src="data:image/jpeg;base64,{}"><figcaption>{}</figcaption></figure>'.format(
        base64.b64encode(jpeg).decode("ascii"), html.escape(caption))
