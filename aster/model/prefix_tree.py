"""A lexicon as a tree of label prefixes, for a beam search that decodes only its words."""
import itertools
from typing import NamedTuple, Sequence

import numpy as np

from aster.data.charset import END_LABEL

_PAD = -1


class PrefixTree(NamedTuple):
    """A tree of N nodes and E edges. Each node stands for a prefix; node 0, the root, for the empty one.

    Node n has the edges starts[n] to starts[n + 1] - 1. The end of a word is an edge too, with the end label, back to
    the root.

    starts: int32 [N + 1].
    labels: int32 [E], the label of each edge.
    nodes: int32 [E], the node that each edge leads to.
    """
    starts: np.ndarray
    labels: np.ndarray
    nodes: np.ndarray


def prefix_tree(texts: Sequence[Sequence[int]]) -> PrefixTree:
    """Builds the tree of some words. A million words take some seconds.

    Args:
      texts: the labels of each word, without end labels.

    Returns:
      PrefixTree.

    Raises:
      ValueError: there are no words.
    """
    if not texts:
        raise ValueError("a prefix tree needs one word or more")
    rows = _sorted_rows(texts)
    parents, labels, nodes = [], [], []
    node = np.zeros(len(rows), np.int64)  # of each row's prefix
    is_first = np.zeros(len(rows), bool)  # whether no row before has this prefix
    is_first[0] = True
    num_nodes = 1
    for column in rows.T:  # prefixes get one label longer
        is_first[1:] |= column[1:] != column[:-1]
        new_edge = is_first & (column != _PAD)
        new_node = new_edge & (column != END_LABEL)
        parents.append(node[new_edge])
        node = num_nodes - 1 + np.cumsum(new_node)
        num_nodes += new_node.sum()
        labels.append(column[new_edge])
        nodes.append(np.where(new_node, node, 0)[new_edge])
    counts = np.bincount(np.concatenate(parents), minlength=num_nodes)
    return PrefixTree(np.append(0, np.cumsum(counts)).astype(np.int32), np.concatenate(labels).astype(np.int32),
                      np.concatenate(nodes).astype(np.int32))


def _sorted_rows(texts):
    """-> int32 [words, longest + 1]: each word once, its end label and padding behind it, equal prefixes together."""
    lengths = np.array([len(text) for text in texts])
    rows = np.full([len(texts), lengths.max() + 1], _PAD, np.int32)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = np.fromiter(itertools.chain.from_iterable(texts), np.int32)
    rows[np.arange(len(texts)), lengths] = END_LABEL
    # Rows are sorted as bytes, which is fast. Their order is not that of the labels, and needn't be.
    as_bytes = np.ascontiguousarray(rows).view([("", f"V{4 * rows.shape[1]}")]).ravel()
    return rows[np.unique(as_bytes, return_index=True)[1]]


def next_nodes(tree: PrefixTree, num_labels: int) -> np.ndarray:
    """Writes a tree as a table.

    Args:
      tree: a tree of N nodes.
      num_labels: labels that there are, start and end label included.

    Returns:
      int32 [N, num_labels], the node that each label leads to from each node; -1 where no word goes on so.
    """
    table = np.full([len(tree.starts) - 1, num_labels], -1, np.int32)
    table[np.repeat(np.arange(len(table)), np.diff(tree.starts)), tree.labels] = tree.nodes
    return table
