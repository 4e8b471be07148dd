"""Characters and their labels. A `Charset` owns both, and nothing else knows the special labels.

Labels: 0 start, 1 end, then the characters in the order of the set. Text is
handled by code point after NFC normalisation, so that a letter typed with a
combining accent and the same letter in one code point are equal.
"""
import os
import string
import unicodedata

import numpy as np

from aster.compat import tf

START_LABEL = 0
END_LABEL = 1
NUM_SPECIAL_LABELS = 2

# In the order of CharacterSet.BuiltInSet.
_ASCII_LETTERS = string.ascii_lowercase + string.ascii_uppercase
_BUILT_IN_SETS = (string.digits + string.ascii_lowercase,
                  string.digits + _ASCII_LETTERS,
                  string.digits + _ASCII_LETTERS + "".join(sorted(string.punctuation)))


def normalize(text):
    """Text in the form in which characters are compared, counted and labelled: NFC."""
    return unicodedata.normalize("NFC", text)


def find_file(path, base_dir=None):
    """The path itself, or the path beside `base_dir` where only that exists."""
    if base_dir and not os.path.exists(path) and os.path.exists(os.path.join(base_dir, path)):
        return os.path.join(base_dir, path)
    return path


def find_beside(path, base_dir=None):
    """The path beside `base_dir`, or the path itself where that doesn't exist."""
    beside = os.path.join(base_dir or "", path)
    return beside if os.path.exists(beside) else path


def load_characters(character_set, base_dir=None):
    """The characters of a CharacterSet message, in label order, as a tuple of strings.

    A relative `text_file` is looked up from the working directory, then from
    `base_dir`. Raises ValueError that names the file and the line, or the field.
    """
    source = character_set.WhichOneof("source_oneof")
    if source is None:
        raise ValueError("the character set is not given; set one of built_in_set, text_string and "
                         "text_file")
    if source == "built_in_set":
        return tuple(_BUILT_IN_SETS[character_set.built_in_set])
    if source == "text_string":
        entries = [("character_set.text_string, entry %d" % (i + 1), entry)
                   for i, entry in enumerate(character_set.text_string.split())]
        return _check_characters(entries, "character_set.text_string")
    path = find_file(character_set.text_file, base_dir)
    # Only "\n" ends a line: str.splitlines would also split at characters such as U+2028.
    lines = _read_text_file(path).split("\n")
    entries = [("%s, line %d" % (path, i + 1), _strip_line(line)) for i, line in enumerate(lines)]
    return _check_characters([(where, entry) for where, entry in entries if entry], path)


def _read_text_file(path):
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise ValueError(f"{path}: the character set can't be read ({error.strerror}); character_set.text_file must "
                         "name a UTF-8 file with one character per line")
    try:
        return content.decode("utf-8-sig")  # with or without a byte order mark
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b"\n") + 1
        raise ValueError("%s, line %d: not UTF-8 (%s); save the character set as UTF-8"
                         % (path, line, error.reason))


def _strip_line(line):
    """A line without the white space around its character; a lone space is a character."""
    line = line[:-1] if line.endswith("\r") else line
    return line.strip() or line


def _check_characters(entries, source):
    """[(where, entry)] -> characters. Raises ValueError unless each is one character of its own."""
    first_seen = {}
    characters = []
    for where, entry in entries:
        character = normalize(entry)
        if len(character) != 1:
            raise ValueError("%s: expected one character, found %r (%d code points)"
                             % (where, entry, len(character)))
        if character in first_seen:
            raise ValueError(f"{where}: the character {character!r} is there already ({first_seen[character]}); leave one of them out")
        first_seen[character] = where
        characters.append(character)
    if not characters:
        raise ValueError(f"{source}: the character set is empty")
    return tuple(characters)


class Charset:
    """Text <-> labels.

    Args:
      characters: the characters in label order.
      label_offset: label of the first character; must be 2, after start and end.
      unk_label: label of characters outside the set; 0 stands for `label_offset`.
      drop_unknown: training leaves samples out that hold a character outside the set.
    """

    def __init__(self, characters, label_offset=NUM_SPECIAL_LABELS, unk_label=0,
                 drop_unknown=False):
        self.characters = tuple(characters)
        self.num_labels = len(self.characters) + NUM_SPECIAL_LABELS
        if label_offset != NUM_SPECIAL_LABELS:
            raise ValueError("label_map.label_offset is %d, but must be %d: labels 0 and 1 are "
                             "start and end, and characters follow"
                             % (label_offset, NUM_SPECIAL_LABELS))
        if not 0 <= unk_label < self.num_labels:
            raise ValueError("label_map.unk_label is %d, but the labels are 0 to %d"
                             % (unk_label, self.num_labels - 1))
        self.label_offset = label_offset
        self.unk_label = unk_label or label_offset
        self.drop_unknown = drop_unknown
        self._label_of = {c: i + label_offset for i, c in enumerate(self.characters)}

    @classmethod
    def from_config(cls, label_map, base_dir=None):
        """Charset of a LabelMap message; `base_dir` as in `load_characters`."""
        return cls(load_characters(label_map.character_set, base_dir), label_map.label_offset,
                   label_map.unk_label, label_map.unknown_characters == label_map.DROP_SAMPLE)

    def encode(self, text):
        """Text -> list of labels, one per code point, without start and end."""
        return [self._label_of.get(c, self.unk_label) for c in normalize(text)]

    def decode(self, labels):
        """Labels -> text up to the end label. Start labels and labels out of range are skipped."""
        return "".join(self.characters[labels[step] - self.label_offset] for step in self.character_steps(labels))

    def character_steps(self, labels):
        """Indices of those labels that `decode` makes a character of."""
        steps = []
        for step, label in enumerate(labels):
            if label == END_LABEL:
                break
            if self.label_offset <= label < self.num_labels:
                steps.append(step)
        return steps

    def unknown(self, text):
        """The set of those characters of a text that are not in the charset."""
        return set(normalize(text)).difference(self._label_of)

    def encode_tensor(self, texts):
        """UTF-8 strings [B] -> labels int32 [B, L], padded by the end label, and lengths int32 [B].

        L is the longest length; neither start nor end label is counted.
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

    def decode_tensor(self, labels, lengths=None):
        """Labels int32 [B, L], and their lengths int32 [B] if known -> UTF-8 strings [B].

        As `decode` does.
        """
        # Only characters have a string of their own; the last entry stands for labels out of range.
        table = tf.constant([b""] * self.label_offset
                            + [c.encode("utf-8") for c in self.characters] + [b""])
        in_range = tf.logical_and(labels >= 0, labels < self.num_labels)
        indices = tf.where(in_range, labels, tf.fill(tf.shape(labels), self.num_labels))
        ended = tf.cumsum(tf.cast(tf.equal(labels, END_LABEL), tf.int32), axis=1) > 0
        if lengths is not None:
            valid = tf.sequence_mask(lengths, tf.shape(labels)[1])
            ended = tf.logical_or(ended, tf.logical_not(valid))
        characters = tf.where(ended, tf.fill(tf.shape(labels), ""), tf.gather(table, indices))
        return tf.reduce_join(characters, 1)
