"""A lexicon as a tree of label prefixes, for a beam search that reads only its words."""
import itertools
from typing import NamedTuple

import numpy as np

from aster.data.charset import END_LABEL

_PAD = -1


class PrefixTree(NamedTuple):
    """Node n, of which 0 is the root, has the edges starts[n] to starts[n + 1] - 1: their labels, and the nodes to
    which they lead. The end of a word is an edge too, back to the root. All are int32."""
    starts: np.ndarray  # [N + 1]
    labels: np.ndarray  # [E]
    nodes: np.ndarray   # [E]


def prefix_tree(texts):
    """Label sequences, without end labels -> PrefixTree. A million words take some seconds."""
    if not texts:
        raise ValueError("a prefix tree needs one word or more")
    lengths = np.array([len(text) for text in texts])
    rows = np.full([len(texts), lengths.max() + 1], _PAD, np.int32)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = np.fromiter(itertools.chain.from_iterable(texts), np.int32)
    rows[np.arange(len(texts)), lengths] = END_LABEL
    # As bytes, which sort fast. The order doesn't matter, but that equal prefixes stand together.
    as_bytes = np.ascontiguousarray(rows).view([("", "V%d" % (4 * rows.shape[1]))]).ravel()
    rows = rows[np.unique(as_bytes, return_index=True)[1]]
    parents, labels, nodes = [], [], []
    node = np.zeros(len(rows), np.int64)  # of each row's prefix
    first = np.zeros(len(rows), bool)     # whether no row before has this prefix
    first[0] = True
    num_nodes = 1
    for column in rows.T:
        first[1:] |= column[1:] != column[:-1]
        here = first & (column != _PAD)
        inner = here & (column != END_LABEL)
        parents.append(node[here])
        node = num_nodes - 1 + np.cumsum(inner)
        num_nodes += inner.sum()
        labels.append(column[here])
        nodes.append(np.where(inner, node, 0)[here])
    counts = np.bincount(np.concatenate(parents), minlength=num_nodes)
    return PrefixTree(np.append(0, np.cumsum(counts)).astype(np.int32), np.concatenate(labels).astype(np.int32),
                      np.concatenate(nodes).astype(np.int32))


def next_nodes(tree, num_labels):
    """-> int32 [N, num_labels]: where each label leads from each node, -1 where no word goes on so."""
    table = np.full([len(tree.starts) - 1, num_labels], -1, np.int32)
    table[np.repeat(np.arange(len(table)), np.diff(tree.starts)), tree.labels] = tree.nodes
    return table
