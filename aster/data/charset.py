"""Characters and their labels. A `Charset` owns both, and nothing else knows the special labels.

Label 0 is start, label 1 is end, and the characters follow in the order of the
set. A character is one Unicode code point of NFC-normalized text, so that a
letter typed with a combining accent equals the same letter in one code point.
"""
import logging
import string
import unicodedata
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple

import numpy as np

from aster.compat import tf
from aster.errors import shortened, warn_once
from aster.files import find_file, read_text

_log = logging.getLogger(__name__)
_MAX_LISTED = 100  # of what a message names

Entries = List[Tuple[str, str]]  # the place of each for messages, and what stands there

START_LABEL = 0
END_LABEL = 1
NUM_SPECIAL_LABELS = 2

# In the order of CharacterSet.BuiltInSet.
_ASCII_LETTERS = string.ascii_lowercase + string.ascii_uppercase
_BUILT_IN_SETS = (string.digits + string.ascii_lowercase,
                  string.digits + _ASCII_LETTERS,
                  string.digits + _ASCII_LETTERS + "".join(sorted(string.punctuation)))


def normalize(text: str) -> str:
    """Returns the text in NFC, the form in which characters are compared, counted and labelled."""
    return unicodedata.normalize("NFC", text)


def load_characters(character_set: Any, base_dir: Optional[str] = None) -> Tuple[str, ...]:
    """Reads the characters of a CharacterSet message.

    The log says which entries are equal in NFC, and are therefore one character; and which ones NFC splits.

    Args:
      character_set: a CharacterSet message (protos/label_map.proto).
      base_dir: the experiment folder. A relative `text_file` is looked up there first, then in the working directory.

    Returns:
      The characters in the order of their labels.

    Raises:
      ValueError: the set is not given, can't be read or is empty, or some of its entries are no characters. The message
        names the file and all such lines, or the field and all such entries.
    """
    source = character_set.WhichOneof("source_oneof")
    if source is None:
        raise ValueError("character_set is not given; expected one of text_file, text_string, built_in_set")
    if source == "built_in_set":
        return tuple(_BUILT_IN_SETS[character_set.built_in_set])
    if source == "text_string":
        words = character_set.text_string.split()
        if len(words) == 1:
            words = list(normalize(words[0]))
        return _unite([(f"entry {number}", word) for number, word in enumerate(words, 1)], "character_set.text_string")
    path = find_file(character_set.text_file, base_dir)
    try:
        text = read_text(path, "the character set")
    except ValueError as error:
        raise ValueError(f"{error}; character_set.text_file must name a UTF-8 file with one character per "
                         "line") from error
    return _unite(_read_lines(text), path)


def _read_lines(text: str) -> Entries:
    """The entries of a file with one character a line, or with all of them in one line."""
    text = text.replace("\r\n", "\n")
    # str.splitlines would also split at characters such as U+2028, which a character set may contain.
    lines = [(number, line) for number, line in enumerate(text.split("\n" if "\n" in text else "\r"), 1) if line]
    if len(lines) == 1 and len(normalize(lines[0][1].strip())) > 1:
        number, line = lines[0]
        words = line.split()
        one_each = all(len(normalize(word)) == 1 for word in words)  # otherwise a space is one of the characters
        return [(f"line {number}", character) for character in (words if one_each else normalize(line))]
    # white space around the character of a line is none of it; a lone space is a character itself
    return [(f"line {number}", line.strip() or line) for number, line in lines]


def _unite(entries: Entries, source: str) -> Tuple[str, ...]:
    """The characters of entries, each of them once. Raises ValueError if there are none, or entries that are none."""
    entry_of: Dict[str, str] = {}  # keeps the order of the set, also on Python 3.6
    wrong, equal, split = [], [], []
    for place, entry in entries:
        parts = normalize(entry)
        if len(parts) > 1:
            # a letter with marks that no code point has in one
            if len(entry) > 1 and not all(unicodedata.category(part)[0] in "MC" for part in parts[1:]):
                wrong.append(f"{place}: {shortened(entry)!r} ({len(parts)} code points)")
                continue
            split.append(f"{_code_points(entry)} {entry!r} into {_code_points(parts)}")
        elif parts in entry_of:
            first = entry_of[parts]
            equal.append(f"{_code_points(entry)} {parts!r} "
                         + ("twice" if entry == first else f"with {_code_points(first)}"))
        for part in parts:
            entry_of.setdefault(part, entry)
    if wrong:
        raise ValueError(f"{source}, {_shorten(wrong, '; ')}: expected one character each; write one character per "
                         "line of a text_file, or per word of a text_string")
    if not entry_of:
        raise ValueError(f"{source}: the character set is empty")
    if equal:  # once, since every predictor and filter of a configuration reads the file
        warn_once(_log, f"{source}: characters that are equal in NFC are one character: {_shorten(equal, ', ')}")
    if split:
        warn_once(_log, f"{source}: NFC splits some characters, whose parts are read one by one: "
                        f"{_shorten(split, ', ')}")
    return tuple(entry_of)


def _code_points(text: str) -> str:
    return " ".join(f"U+{ord(character):04X}" for character in text)


def _shorten(items: List[str], separator: str) -> str:
    more = f"{separator}and {len(items) - _MAX_LISTED} more" if len(items) > _MAX_LISTED else ""
    return separator.join(items[:_MAX_LISTED]) + more


class Charset:
    """Converts between text and labels."""

    def __init__(self, characters: Iterable[str], *, unk_label: int = 0, drop_unknown: bool = False) -> None:
        """Creates a charset.

        Args:
          characters: the characters in the order of their labels.
          unk_label: the label of characters outside the set. 0 stands for that of the first character.
          drop_unknown: whether training leaves out samples with a character outside the set.

        Raises:
          ValueError: `unk_label` is not a label.
        """
        self.characters = tuple(characters)
        self.num_labels = len(self.characters) + NUM_SPECIAL_LABELS
        if not 0 <= unk_label < self.num_labels:
            raise ValueError(f"label_map.unk_label is {unk_label}, but the labels are 0 to {self.num_labels - 1}")
        self.unk_label = unk_label or NUM_SPECIAL_LABELS
        self.drop_unknown = drop_unknown
        self._label_of = {character: label for label, character in enumerate(self.characters, NUM_SPECIAL_LABELS)}

    @classmethod
    def from_config(cls, label_map: Any, base_dir: Optional[str] = None) -> "Charset":
        """Creates the charset that a configuration describes.

        Args:
          label_map: a LabelMap message (protos/label_map.proto).
          base_dir: the experiment folder, as in `load_characters`.

        Returns:
          The Charset.

        Raises:
          ValueError: as `load_characters`, or a label is outside its range.
        """
        if label_map.label_offset != NUM_SPECIAL_LABELS:
            raise ValueError(f"label_map.label_offset is {label_map.label_offset}, but must be {NUM_SPECIAL_LABELS}: "
                             "labels 0 and 1 are start and end, and characters follow")
        return cls(load_characters(label_map.character_set, base_dir), unk_label=label_map.unk_label,
                   drop_unknown=label_map.unknown_characters == label_map.DROP_SAMPLE)

    def encode(self, text: str) -> List[int]:
        """Returns the labels of a text, one per code point, without start and end."""
        return [self._label_of.get(character, self.unk_label) for character in normalize(text)]

    def decode(self, labels: Sequence[int]) -> str:
        """Returns the text of labels up to the end label. Start labels and labels out of range are skipped."""
        return "".join(self.characters[labels[step] - NUM_SPECIAL_LABELS] for step in self.character_steps(labels))

    def character_steps(self, labels: Sequence[int]) -> List[int]:
        """Returns the indices of the labels that `decode` turns into characters."""
        steps = []
        for step, label in enumerate(labels):
            if label == END_LABEL:
                break
            if NUM_SPECIAL_LABELS <= label < self.num_labels:
                steps.append(step)
        return steps

    def unknown(self, text: str) -> Set[str]:
        """Returns the characters of a text that are not in the charset."""
        return set(normalize(text)).difference(self._label_of)

    def encode_tensor(self, texts: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """Encodes a batch in the graph, as `encode` does.

        Args:
          texts: string [B], UTF-8.

        Returns:
          Labels int32 [B, L], padded with the end label, and lengths int32 [B]. L is the longest length. Neither the
          start nor the end label is counted.
        """
        def encode_all(batch):
            rows = [self.encode(text.decode("utf-8", "replace")) for text in batch]
            lengths = np.array([len(row) for row in rows], np.int32)
            labels = np.full([len(rows), max(lengths, default=0)], END_LABEL, np.int32)
            for row, target in zip(rows, labels):
                target[:len(row)] = row
            return labels, lengths

        labels, lengths = tf.py_func(encode_all, [texts], [tf.int32, tf.int32], stateful=False,
                                     name="encode_text")
        labels.set_shape([texts.shape[0], None])
        lengths.set_shape([texts.shape[0]])
        return labels, lengths

    def decode_tensor(self, labels: tf.Tensor) -> tf.Tensor:
        """Decodes a batch in the graph, as `decode` does, by standard ops only: models are exported with it.

        Args:
          labels: int32 [B, L].

        Returns:
          Texts, string [B], UTF-8.
        """
        # Every label is an index into this table of strings. Special labels have none; the last entry is for labels
        # out of range.
        table = tf.constant([b""] * NUM_SPECIAL_LABELS
                            + [character.encode("utf-8") for character in self.characters] + [b""])
        in_range = tf.logical_and(labels >= 0, labels < self.num_labels)
        indices = tf.where(in_range, labels, tf.fill(tf.shape(labels), self.num_labels))
        ended = tf.cumsum(tf.cast(tf.equal(labels, END_LABEL), tf.int32), axis=1) > 0
        characters = tf.where(ended, tf.fill(tf.shape(labels), ""), tf.gather(table, indices))
        return tf.reduce_join(characters, 1)
