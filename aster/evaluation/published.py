"""What the ASTER paper (Shi et al., PAMI 2018) reports for the test sets of the benchmarks."""
import os
import re
from typing import NamedTuple, Optional


class PaperFigure(NamedTuple):
    """Word accuracy without a lexicon, 0..1, and the number of words that it was measured on."""
    accuracy: float
    num_words: int


# By the names of a test set.
_PAPER = ((r"iiit_?5k", PaperFigure(0.934, 3000)), (r"svt", PaperFigure(0.895, 647)),
          (r"(ic|icdar_?(20)?)03", PaperFigure(0.945, 860)), (r"(ic|icdar_?(20)?)13", PaperFigure(0.918, 1015)),
          (r"svt_?p|svt_?perspective", PaperFigure(0.785, 645)), (r"(ic|icdar_?(20)?)15", PaperFigure(0.761, 1811)),
          (r"cute_?80", PaperFigure(0.795, 288)))
# What may follow the name: the split, and the sizes of subsets and lexicons. Whatever else a name has makes it another
# set.
_VARIANT = (r"(_(words?|test|test_set|alphanumeric|lower_?case|lexicon|full|50|1k|1000|288|639|645|647|857|860|867|1015"
            r"|1095|1107|1811|1922|2077|3000))*")


def paper_figure(data_set: str) -> Optional[PaperFigure]:
    """Finds the paper's figure for a test set.

    Args:
      data_set: the data set's name, such as "svt_test" or "IC15_1811"; or the pattern of its files.

    Returns:
      The PaperFigure; None where the name is not that of a test set.
    """
    name = re.sub(r"\.tfrecords?|-\?{5}-of-\d{5}$", "", os.path.basename(data_set))
    name = re.sub(r"[-. ]", "_", name.lower())
    return next((figure for names, figure in _PAPER if re.fullmatch(f"({names}){_VARIANT}", name)), None)
