"""The benchmark report's rows as Markdown, CSV and JSON, and the protocol that they were measured by."""
import csv
import io
import json
from typing import Any, Dict, List, Sequence

from aster.evaluation.comparison import Comparison
from aster.evaluation.metrics import PROTOCOLS
from aster.evaluation.report import Row

COMPARISON_HEAD = ["test set", "A", "B", "both right", "only A", "only B", "neither", "p (McNemar)"]


def protocol(table: Sequence[Row]) -> str:
    """Says how the numbers of a table were measured. It tells only of what the table has.

    Args:
      table: its rows.

    Returns:
      A paragraph.
    """
    names = [name for name in PROTOCOLS if any(row.protocol == name for row in table)]
    sentences = ["Word accuracy is the share of words of which all that the row's protocol compares is right."]
    sentences += [f"{name}: {PROTOCOLS[name]}." for name in names]
    if "benchmark" in names:
        sentences.append("A truth with a letter that the model can't write is wrong in any case.")
    if any(row.empty_truths for row in table):
        sentences.append('Words whose truth has nothing that the protocol compares, such as "---", are left out, and '
                         "their number follows that of the words.")
    sentences.append(
        "The 95 % interval is Wilson's. CER is the character error rate: all edits divided by all characters of the "
        "truths. NED is the normalized edit distance: the edits divided by the characters of the truth, averaged over "
        "the words; 0 is best, and it is not the 1-NED of competitions, which divides by the longer of both texts and "
        "is best at 1. Every row names its subset, because rows of different subsets can't be compared.")
    if any(row.lexicon.endswith("words") for row in table):
        sentences.append("In rows with a lexicon, each text is replaced by the nearest word, by edit distance, of the "
                         "lexicon that its record brings.")
    if any(row.lexicon.endswith("preferred") for row in table):
        sentences.append("Words preferred: the model has a word list of its own, the same for all test sets. It "
                         "prefers these words and can read others too.")
    if _has_paper(table):
        sentences.append('The column "paper" is from Shi et al., PAMI 2018, without a lexicon, with the number of '
                         "words that it was measured on. Other papers use 857 or 1,095 words of IC13, 867 of IC03 "
                         "and 1,922 or 2,077 of IC15.")
    return " ".join(sentences)


def head(table: Sequence[Row]) -> List[str]:
    """Returns the names of the columns. There is one for the paper if a row has a figure of it."""
    return (["model", "test set", "subset", "words", "lexicon", "protocol", "accuracy, %", "95 % interval", "CER",
             "NED"]
            + ["paper"] * _has_paper(table))


def cells(table: Sequence[Row]) -> List[List[str]]:
    """Returns the texts of the cells of each row."""
    return [[row.experiment, row.data_set, row.subset, _count_text(row), row.lexicon, row.protocol, *_figures(row)]
            + [paper_text(row)] * _has_paper(table) for row in table]


def _count_text(row: Row) -> str:
    return f"{row.count} ({row.empty_truths} left out)" if row.empty_truths else str(row.count)


def _figures(row: Row) -> List[str]:
    if row.accuracy is None:  # no word
        return [""] * 4
    return [f"{100 * row.accuracy:.1f}", f"{100 * row.low:.1f} to {100 * row.high:.1f}", f"{row.cer:.4f}",
            f"{row.ned:.4f}"]


def comparison_cells(comparisons: Sequence[Comparison]) -> List[List[str]]:
    """Returns the texts of the cells of each comparison."""
    return [[str(value) for value in comparison[:7]] + [f"{comparison.p_value:.3g}"] for comparison in comparisons]


def paper_text(row: Row) -> str:
    """Returns the text of a row's cell for the paper, which is empty where the row has no figure."""
    return "" if row.paper is None else f"{100 * row.paper:.1f} ({row.paper_words} words)"


def _has_paper(table: Sequence[Row]) -> bool:
    return any(row.paper is not None for row in table)


def markdown(table: Sequence[Row], comparisons: Sequence[Comparison] = ()) -> str:
    """Writes a report as Markdown.

    Args:
      table: its rows.
      comparisons: the comparisons of pairs of models.

    Returns:
      The text: the table, the comparisons and the protocol.
    """
    lines = _markdown_table(head(table), cells(table))
    if comparisons:
        lines += [""] + _markdown_table(COMPARISON_HEAD, comparison_cells(comparisons))
    return "\n".join(lines + ["", protocol(table), ""])


def _markdown_table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> List[str]:
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)] + [
        "| " + " | ".join(line) + " |" for line in lines]


def csv_table(table: Sequence[Row]) -> str:
    """Writes the rows as CSV, with the fields of Row as columns; those of the paper if a row has a figure of it."""
    stream = io.StringIO()
    rows = _dictionaries(table)
    writer = csv.DictWriter(stream, list(rows[0]) if rows else Row._fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _dictionaries(table: Sequence[Row]) -> List[Dict[str, Any]]:
    left_out = () if _has_paper(table) else ("paper", "paper_words")
    return [{name: value for name, value in zip(Row._fields, row) if name not in left_out} for row in table]


def json_table(table: Sequence[Row], comparisons: Sequence[Comparison] = ()) -> str:
    """Writes a report as JSON.

    Args:
      table: its rows.
      comparisons: the comparisons of pairs of models.

    Returns:
      The text of an object with "protocol", "rows" and "comparisons".
    """
    pairs: List[Any] = [comparison._asdict() for comparison in comparisons]
    for pair in pairs:
        del pair["different"]
    return json.dumps({"protocol": protocol(table), "rows": _dictionaries(table), "comparisons": pairs},
                      indent=2, ensure_ascii=False) + "\n"
