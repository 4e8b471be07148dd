"""The benchmark report's rows as Markdown, CSV and JSON, and the protocol that they were measured by."""
import csv
import io
import json
from typing import Any, List, Sequence

from aster.evaluation.comparison import Comparison
from aster.evaluation.report import Row

COMPARISON_HEAD = ["test set", "A", "B", "both right", "only A", "only B", "neither", "p (McNemar)"]


def protocol(table: Sequence[Row]) -> str:
    """Says how the numbers of a table were measured. It tells only of what the table has.

    Args:
      table: its rows.

    Returns:
      A paragraph.
    """
    sentences = [
        "Word accuracy is the share of words whose letters and digits are all right. Case and punctuation are "
        "ignored. The 95 % interval is Wilson's. NED is the normalized edit distance: the edit distance divided by "
        "the length of the truth, averaged over the words. Every row names its subset, because rows of different "
        "subsets can't be compared."]
    if any(row.lexicon.endswith("words") for row in table):
        sentences.append("In rows with a lexicon, each text is replaced by the nearest word, by edit distance, of the "
                         "lexicon that its record brings.")
    if any(row.lexicon.endswith("preferred") for row in table):
        sentences.append("Words preferred: the model has a word list of its own, the same for all test sets. It "
                         "prefers these words and can read others too.")
    if _has_paper(table):
        sentences.append('The column "paper" is from Shi et al., PAMI 2018, without a lexicon, with the number of '
                         "words that it was measured on. Other papers use 857 or 1,095 words of IC13, 867 of IC03 "
                         "and 1,811 or 2,077 of IC15.")
    return " ".join(sentences)


def head(table: Sequence[Row]) -> List[str]:
    """Returns the names of the columns. There is one for the paper if a row has a figure of it."""
    return (["model", "test set", "subset", "words", "lexicon", "accuracy, %", "95 % interval", "NED"]
            + ["paper"] * _has_paper(table))


def cells(table: Sequence[Row]) -> List[List[str]]:
    """Returns the texts of the cells of each row."""
    return [[row.experiment, row.data_set, row.subset, str(row.count), row.lexicon, f"{100 * row.accuracy:.1f}",
             f"{100 * row.low:.1f} to {100 * row.high:.1f}", f"{row.ned:.4f}"] + [paper_text(row)] * _has_paper(table)
            for row in table]


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
    """Writes the rows as CSV, with the fields of Row as columns."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(table)
    return stream.getvalue()


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
    return json.dumps({"protocol": protocol(table), "rows": [row._asdict() for row in table], "comparisons": pairs},
                      indent=2, ensure_ascii=False) + "\n"
