"""The tree of a lexicon, and the search that stays in it, against going through all words."""
import itertools

import numpy as np
import pytest

from aster.c_ops import ops
from aster.compat import tf
from aster.data.charset import END_LABEL, Charset
from aster.model import rnn
from aster.model.decoder import AttentionDecoder
from aster.model.prefix_tree import next_nodes, prefix_tree
from aster.reading.lexicon import read_lexicon, spellings

WORDS = [(2, 3), (2, 3, 4), (2,), (4, 4), (2, 3), (5, 2, 3, 4, 5), (3, 5)]


def words_of(tree):
    def below(node):
        for edge in range(tree.starts[node], tree.starts[node + 1]):
            if tree.labels[edge] == END_LABEL:
                yield ()
            else:
                for rest in below(tree.nodes[edge]):
                    yield (tree.labels[edge],) + rest
    return sorted(below(0))


@pytest.mark.parametrize("words", [WORDS, [(2,)], [(2, 2, 2)] * 3, [()], [(), (3,)]])
def test_a_tree_has_the_words_and_no_other(words):
    tree = prefix_tree(words)
    assert words_of(tree) == sorted(set(words))
    prefixes = {word[:n] for word in words for n in range(len(word) + 1)}
    assert len(tree.starts) - 1 == len(prefixes)  # none twice
    table = next_nodes(tree, 6)
    assert (table >= 0).sum() == len(tree.labels)


def test_a_large_random_tree():
    rng = np.random.RandomState(0)
    words = [tuple(rng.randint(2, 8, rng.randint(1, 9))) for _ in range(3000)]
    assert words_of(prefix_tree(words)) == sorted(set(words))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("beam_width", [1, 8])
@pytest.mark.parametrize("seed", range(4))
def test_search_finds_the_best_word(session, fused, beam_width, seed):
    """Against the teacher-forced score of every word. A beam of one need not find the best, but must find a word."""
    num_labels, steps = 6, 6
    rng = np.random.RandomState(seed)
    memory = rng.standard_normal([3, 5, 4]).astype(np.float32)
    unique = sorted(set(WORDS))
    tf.set_random_seed(seed)
    decoder = AttentionDecoder("Test", rnn.LstmCell(6, initializer=tf.random_normal_initializer(stddev=0.8)),
                               num_labels, num_attention_units=4, max_num_steps=steps, beam_width=beam_width,
                               fused=fused)
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE,
                           initializer=tf.random_normal_initializer(stddev=0.8)):
        found = decoder.decode([tf.constant(memory)], prefix_tree(WORDS))
        all_scores = []
        for word in unique:
            labels = tf.constant([word] * 3, tf.int32)
            forced = decoder.teacher_force([tf.constant(memory)], labels, tf.fill([3], len(word)))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=forced.targets, logits=forced.logits)
            all_scores.append(-tf.reduce_sum(losses, 1))
    session.run(tf.global_variables_initializer())
    found, all_scores = session.run([found, tf.stack(all_scores, 1)])
    for i in range(3):
        labels = [label for label in found.labels[i] if label >= 0]
        word = tuple(itertools.takewhile(lambda label: label != END_LABEL, labels))
        assert word in unique and labels[len(word)] == END_LABEL
        if beam_width > 1:
            assert word == unique[all_scores[i].argmax()]
        np.testing.assert_allclose(found.scores[i], all_scores[i][unique.index(word)], atol=1e-4)


def test_a_tree_of_the_wrong_shape_is_refused(session):
    z = np.zeros
    with pytest.raises(tf.errors.InvalidArgumentError, match="tree_labels"):
        session.run(ops.beam_search(
            z([6, 8], np.float32), z([2, 10], np.float32), z([1, 3, 2], np.float32), z([1, 3, 8], np.float32),
            z([1, 2], np.float32), z([2, 6], np.float32), z([6], np.float32), lengths=[3],
            beam_width=2, max_num_steps=4, start_label=0, end_label=1, pad_label=-1,
            tree=(np.array([0, 2], np.int32), np.array([2, 1], np.int32), np.array([0], np.int32))))


def test_words_are_spelled_as_the_charset_can(caplog):
    lower = Charset("0123456789abcdefghijklmnopqrstuvwxyz")
    found = spellings(["Coffee", "COFFEE", "rock'n'roll", "caf\u00e9", "...", "verylongword"], lower, 11)
    assert found == {"coffee": "COFFEE", "rocknroll": "rock'n'roll"}
    assert spellings(["Tea", "tea"], Charset("Teat"), 5) == {"Tea": "Tea", "tea": "tea"}
    cases = spellings(["mcA", "\u00fc"], Charset("mMcCaA"), 5, all_cases=True)
    assert cases == {"mcA": "mcA", "McA": "McA", "MCA": "MCA"}
    assert "1 of 2 words of the list are left out" in caplog.text
    with pytest.raises(ValueError, match="none of the 1 words"):
        spellings(["\u65e5"], lower, 5)


def test_lexicon_files(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffone\r\n\n two \n".encode("utf-8"))
    assert read_lexicon(str(path)) == ["one", "two"]
    for content, problem in ((b"\n", "has no word"), (b"caf\xe9\n", "not UTF-8"), (b"caf\xe9", "not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=problem):
            read_lexicon(str(path))
    with pytest.raises(ValueError, match="No such file"):
        read_lexicon(str(tmp_path / "none"))


def test_a_table_is_no_lexicon(tmp_path, caplog):
    path = tmp_path / "words.tsv"
    path.write_text("one\n\n1.png\ttwo\n")
    with pytest.raises(ValueError, match=r"line 3 of the lexicon \S+words.tsv has a tab: '1.png\\ttwo'; write one "):
        read_lexicon(str(path))
    for text, is_named in ("one,1\ntwo,2\n", True), ("10,000\ntwo\n", False):
        caplog.clear()
        path.write_text(text)
        assert read_lexicon(str(path)) == text.split()
        assert ("every line of the lexicon" in caplog.text and "one,1" in caplog.text) is is_named
