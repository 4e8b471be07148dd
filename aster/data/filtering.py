"""What string_filtering takes out of the training texts, said before training starts."""
import collections
import logging
import unicodedata
from typing import Any, Counter, List, NamedTuple, Optional, Sequence

from aster.data.preprocess import TextFilter, text_filters

_log = logging.getLogger(__name__)
_FIELD = "train_config.data_augmentation_options"
_MAX_LISTED = 10  # characters of a kind
_LETTERS, _DIGITS, _OTHERS = "letters", "digits", "punctuation and others"
_KINDS = {"L": _LETTERS, "M": _LETTERS, "N": _DIGITS}  # by the category in Unicode; marks are parts of letters
_MAX_LOST = 0.01  # of the letters, or of the digits


class _Filtered(NamedTuple):
    """How often each character was seen, how often it was taken out, and how many texts became empty."""
    seen: Counter[str]
    removed: Counter[str]
    num_emptied: int


def report_filtering(name: str, texts: Sequence[str], steps: Sequence[Any], *, base_dir: Optional[str] = None,
                     is_sample: bool = False) -> None:
    """Logs which characters each string_filtering takes out of texts; as a warning if letters or digits are lost.

    Args:
      name: the reader's name in the configuration.
      texts: texts as the records have them.
      steps: PreprocessingStep messages.
      base_dir: the experiment folder, in which the files of character sets are looked up first.
      is_sample: whether there are more texts.
    """
    for text_filter in text_filters(steps, base_dir):
        filtered, texts = _filter(texts, text_filter)
        if not filtered.removed:
            continue
        seen, removed = _by_kind(filtered.seen), _by_kind(filtered.removed)
        shares = {kind: sum(removed[kind].values()) / sum(seen[kind].values()) for kind in removed}
        listed = "; ".join(f"{100 * shares[kind]:.3g} % of the {kind}: {list_counts(removed[kind])}"
                           for kind in (_LETTERS, _DIGITS, _OTHERS) if kind in removed)
        place = f"{_FIELD}[{text_filter.step}].string_filtering"
        emptied = f"; {filtered.num_emptied} texts are empty then, and left out" if filtered.num_emptied else ""
        looked_at = f"the first {len(texts)} texts, a sample," if is_sample else f"{len(texts)} texts"
        message = f"{name}: {place} takes out of {looked_at} {listed}{emptied}"
        if max(shares.get(_LETTERS, 0), shares.get(_DIGITS, 0)) > _MAX_LOST:
            _log.warning("%s. The model learns words without these letters. To keep them, %s", message,
                         _remedy(place, filtered.removed, text_filter))
        else:
            _log.info("%s", message)


def _filter(texts: Sequence[str], text_filter: TextFilter) -> Any:
    """-> _Filtered, and the texts that are left."""
    seen: Counter[str] = collections.Counter()
    kept: Counter[str] = collections.Counter()
    lowered = text_filter._replace(characters=frozenset())
    left = [text_filter.apply(text) for text in texts]
    for before, after in zip(texts, left):
        seen.update(lowered.apply(before))
        kept.update(after)
    return _Filtered(seen, seen - kept, sum(bool(before and not after) for before, after in zip(texts, left))), left


def _by_kind(counts: Counter[str]) -> Any:
    kinds: Any = collections.defaultdict(collections.Counter)
    for character, count in counts.items():
        kinds[_KINDS.get(unicodedata.category(character)[0], _OTHERS)][character] = count
    return kinds


def list_counts(counts: Counter[str]) -> str:
    """Names characters for a message, the most frequent first: 'a' (U+0061) x 3, 'b' (U+0062) x 1 and 7 more."""
    more = f" and {len(counts) - _MAX_LISTED} more" if len(counts) > _MAX_LISTED else ""
    return ", ".join(f"{character!r} (U+{ord(character):04X}) x {count}"
                     for character, count in counts.most_common(_MAX_LISTED)) + more


def _remedy(place: str, removed: Counter[str], text_filter: TextFilter) -> str:
    letters: List[str] = [character for character in removed if character.isalpha()]
    if letters and not text_filter.lower_case and all(c.lower() in text_filter.characters for c in letters):
        return f"set {place}.lower_case: true, which makes capitals small"
    return (f"add them to {place}.include_charset and to the characters of the predictors; both are the model's "
            "character_set where they name none of their own")
