"""Word lists that restrict what is read."""
import logging

from aster.data.charset import normalize

_log = logging.getLogger(__name__)


def read_lexicon(path):
    """The words of a UTF-8 file, one a line; empty lines don't count."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            words = [line.strip() for line in stream.read().split("\n")]
    except OSError as error:
        raise ValueError(f"can't read the lexicon {path} ({error.strerror})")
    except UnicodeDecodeError as error:
        raise ValueError("the lexicon %s is not UTF-8 (byte %d); convert it, e.g. with iconv" % (path, error.start))
    words = [word for word in words if word]
    if not words:
        raise ValueError(f"the lexicon {path} has no word; write one a line")
    return words


def spellings(words, charset, max_characters):
    """-> {text that a decoder with this Charset can write: the word it stands for}, the first of several.

    Letters may change their case, and what is no letter or digit may be dropped; words that can't be written even so,
    and those longer than max_characters, are left out, and counted in the log. Raises ValueError if none is left.
    """
    found, left_out = {}, []
    for word in words:
        if not isinstance(word, str):
            raise ValueError(f"the lexicon must be a list of strings, and holds {word!r}")
        text = _spell(word, charset)
        if text and len(text) <= max_characters:
            found.setdefault(text, word)
        else:
            left_out.append(word)
    if left_out:
        _log.warning("%d of %d words of the lexicon are left out: longer than %d characters, or with letters that the "
                     "character set lacks; the first: %s", len(left_out), len(words), max_characters,
                     ", ".join(left_out[:5]))
    if not found:
        raise ValueError("the model can write none of the %d words of the lexicon" % len(words))
    return found


def _spell(word, charset):
    """A word in the characters of a charset, or None."""
    unknown, text = charset.unknown(word), normalize(word)
    for character in unknown:
        cases = [case for case in (character.lower(), character.upper()) if not charset.unknown(case)]
        if not cases and character.isalnum():
            return None
        text = text.replace(character, cases[0] if cases else "")
    return text
