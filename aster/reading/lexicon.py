"""Word lists that restrict what is read, or that are preferred."""
import inspect
import itertools
import logging
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Union

from aster.data.charset import Charset, normalize
from aster.errors import shortened
from aster.files import find_file, read_text
from aster.model.prefix_tree import PrefixTree, prefix_tree

_log = logging.getLogger(__name__)


class Lexicon(NamedTuple):
    """Words as the predictors of a model can write them.

    Attributes:
      spellings: for each predictor, {text that it writes: the word that the text stands for}.
      trees: for each predictor, the PrefixTree of these texts, in the direction in which it decodes.
      num_words: how many words the list has.
    """
    spellings: List[Dict[str, str]]
    trees: List[PrefixTree]
    num_words: int


def read_lexicon(path: Union[str, os.PathLike]) -> List[str]:
    """Reads a word list.

    Args:
      path: a UTF-8 file with one word per line; empty lines don't count.

    Returns:
      The words.

    Raises:
      ValueError: the file can't be read, is not UTF-8, has no word or has columns; the message names it.
    """
    lines = [line.strip() for line in read_text(str(path), "the lexicon").split("\n")]
    words = list(filter(None, lines))
    if not words:
        raise ValueError(f"the lexicon {path} has no word; write one per line")
    for number, line in enumerate(lines, 1):
        if "\t" in line:  # its columns would be one word, whose text a model writes without the tab
            raise ValueError(f"line {number} of the lexicon {path} has a tab: {shortened(line)!r}; write one word per "
                             "line and nothing else")
    if all("," in word for word in words):
        _log.warning("every line of the lexicon %s has a comma, the first: %s. Each line counts as one word",
                     path, shortened(words[0]))
    return words


def make_lexicon(words: Sequence[str], predictors: Sequence, *, all_cases: bool = False) -> Lexicon:
    """Prepares a word list for the predictors of a model.

    Args:
      words: the words.
      predictors: the model's `Predictor`s.
      all_cases: as in `spellings`.

    Returns:
      A Lexicon.

    Raises:
      ValueError: a decoder can't stay within a word list, or can write none of the words.
    """
    spelled: dict = {}
    labels: dict = {}
    keys, trees = [], []
    for predictor in predictors:
        decoder, charset = predictor.decoder, predictor.charset
        if "tree" not in inspect.signature(decoder.decode).parameters:
            raise ValueError(f"predictor {decoder.name!r} can't be restricted to a lexicon: its decode() takes no tree")
        key = charset.characters, decoder.max_characters
        if key not in spelled:
            spelled[key] = spellings(words, charset, decoder.max_characters, all_cases=all_cases)
            # tuples, which the garbage collector leaves alone: a word list can have a million words
            labels[key] = [tuple(charset.encode(text)) for text in spelled[key]]
        keys.append(key)
        step = -1 if decoder.reverse else 1
        trees.append(prefix_tree([text[::step] for text in labels[key]]))
    return Lexicon([spelled[key] for key in keys], trees, len(words))


def load_word_list(config: Any, predictors: Sequence, base_dir: Optional[str] = None) -> Optional[Lexicon]:
    """Loads the word list that a configuration prefers while reading.

    Args:
      config: a MultiPredictorsRecognitionModel message.
      predictors: the model's `Predictor`s.
      base_dir: the experiment folder, where the file is looked up first.

    Returns:
      A Lexicon, or None where the configuration has no word list, or `reading.use_word_list` is false.

    Raises:
      ValueError: the file is missing or can't be used; the message names it.
    """
    if not config.HasField("word_list") or not config.reading.use_word_list:
        return None
    path = find_file(config.word_list.text_file, base_dir)
    try:
        words = read_lexicon(path)
        characters = itertools.chain(*(predictor.charset.characters for predictor in predictors))
        # signs have words in each case
        return make_lexicon(words, predictors, all_cases=any(map(str.isupper, characters)))
    except ValueError as error:
        raise ValueError(f"word_list of the configuration, {path}: {error}") from error


def spellings(words: Iterable[str], charset: Charset, max_characters: int, *, all_cases: bool = False
              ) -> Dict[str, str]:
    """Spells words in the characters of a charset.

    Letters may change their case, and characters that are neither letter nor digit may be dropped. Words that can't be
    written even so, and words that are too long, are left out and counted in the log.

    Args:
      words: the words.
      charset: what a decoder can write.
      max_characters: the longest text that the decoder can write.
      all_cases: whether each word is also spelled with a first capital, and in capitals.

    Returns:
      {text: the word that it stands for}. Of several this is the text itself, and then the first in the order of the
      alphabet, wherever they stand.

    Raises:
      ValueError: a word is no string, or none can be written.
    """
    texts: Dict[str, str] = {}
    left_out, count = [], 0
    for word in words:
        if not isinstance(word, str):
            raise ValueError(f"the lexicon must be a list of strings, and holds {word!r}")
        count += 1
        is_left_out = True
        for case in (word, word[:1].upper() + word[1:], word.upper()) if all_cases else (word,):
            text = _spell(case, charset)
            if text and len(text) <= max_characters:
                is_left_out = False
                known = texts.setdefault(text, case)
                if known != case:
                    texts[text] = text if text in (known, case) else min(known, case)
        if is_left_out:
            left_out.append(word)
    if left_out:
        _log.warning("%d of %d words of the list are left out: they are longer than %d characters, or have letters "
                     "that the character set lacks; the first: %s", len(left_out), count, max_characters,
                     ", ".join(map(shortened, left_out[:5])))
    if not texts:
        raise ValueError(f"the model can write none of the {count} words of the lexicon")
    return texts


def _spell(word, charset):
    """A word in the characters of a charset, or None."""
    unknown, text = charset.unknown(word), normalize(word)
    for character in unknown:
        cases = [case for case in (character.lower(), character.upper()) if not charset.unknown(case)]
        if not cases and character.isalnum():
            return None
        text = text.replace(character, cases[0] if cases else "")
    return text
