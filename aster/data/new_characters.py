"""The characters of new texts that a model lacks, and how a configuration gets them."""
import collections
import unicodedata
from typing import Any, Counter, Dict, Iterable, Optional, Sequence, Set

from aster.config import walk
from aster.data.charset import Charset, load_characters, normalize
from aster.data.preprocess import text_filters

FILE = "characters"  # .txt, in the folder config of an experiment


def find_new_characters(texts: Iterable[str], steps: Sequence[Any], charsets: Sequence[Charset],
                        base_dir: Optional[str] = None) -> Counter[str]:
    """Counts the characters that a model would have to learn, or would learn texts without.

    What string_filtering takes out counts where it is a letter or a digit; to take out other marks is what it is for.

    Args:
      texts: the texts.
      steps: PreprocessingStep messages. Texts are looked at as these leave them, but for letters and digits.
      charsets: the Charset of each decoder.
      base_dir: the experiment folder, in which the files of character sets are looked up first.

    Returns:
      For each such character, how many texts have it. Control characters are left out: no character set has them.
    """
    filters = text_filters(steps, base_dir)
    counts: Counter[str] = collections.Counter()
    for text in map(normalize, texts):
        new: Set[str] = set()
        for text_filter in filters:
            text = text_filter._replace(characters=frozenset()).apply(text)
            text = "".join(c for c in text if c in text_filter.characters or unicodedata.category(c)[0] in "LMN")
            new.update(set(text) - text_filter.characters)
        counts.update(new.union(*(charset.unknown(text) for charset in charsets)))
    for character in [c for c in counts if unicodedata.category(c) in ("Cc", "Cs")]:
        del counts[character]
    return counts


def add_characters(config: Any, characters: Iterable[str], base_dir: Optional[str] = None) -> Dict[str, str]:
    """Adds characters to the end of each character set of a configuration, which names files of its own then.

    Args:
      config: a TrainEvalPipelineConfig. It is changed.
      characters: the new characters.
      base_dir: the experiment folder, in which the files of character sets are looked up first.

    Returns:
      {path from the experiment folder: content} of the files to write.
    """
    path_of: Dict[str, str] = {}  # by the content: most configurations have one set
    for _, message in list(walk(config)):
        if message.DESCRIPTOR.name == "CharacterSet":
            known = load_characters(message, base_dir)
            text = "".join(c + "\n" for c in (*known, *sorted(set(characters) - set(known))))
            number = f"_{len(path_of) + 1}" if path_of else ""
            message.text_file = path_of.setdefault(text, f"config/{FILE}{number}.txt")
    return {path: text for text, path in path_of.items()}
