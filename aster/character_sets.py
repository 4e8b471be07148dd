"""What the labels of a checkpoint stand for: the character set of each predictor, as text beside the checkpoint.

The file PATH.characters.json belongs to the checkpoint PATH. It is a JSON object, {name of a predictor: its characters
in the order of their labels}. Checkpoints of the published system and of version 0.1 have none, and are read without.
"""
import json
import os
from typing import Dict, List, Mapping, Optional

from aster.checkpoint_files import CHARACTERS, CheckpointError
from aster.files import read_text

_MAX_LISTED = 10  # of characters in a message


def path_beside(path: str) -> str:
    """Returns where the character sets of a checkpoint are."""
    return path + CHARACTERS


def to_text(character_sets: Mapping[str, str]) -> str:
    """Returns the content of the file, of {name of a predictor: its characters}."""
    return json.dumps(dict(character_sets), ensure_ascii=False, indent=1) + "\n"


def read(path: str) -> Optional[Dict[str, str]]:
    """Reads the character sets of a checkpoint.

    Args:
      path: the checkpoint's path.

    Returns:
      {name of a predictor: its characters in the order of their labels}; None if they are not stored.

    Raises:
      CheckpointError: the file is damaged.
    """
    file = path_beside(path)
    if not os.path.exists(file):
        return None
    try:
        stored = json.loads(read_text(file, "the character sets of the checkpoint"))
        if not isinstance(stored, dict) or not all(isinstance(text, str) for text in stored.values()):
            raise ValueError("it is no JSON object of texts")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: damaged ({error}); copy it again from where the checkpoint comes from. Without "
                              "this file the checkpoint is used as it is, and nobody notices another character "
                              "set") from error
    return stored


def check(path: str, character_sets: Mapping[str, str]) -> None:
    """Checks that a checkpoint was trained with the character sets of a configuration, if it has stored its own.

    Args:
      path: the checkpoint's path.
      character_sets: {name of a predictor: its characters} of the configuration.

    Raises:
      CheckpointError: a predictor has another character set, or the same characters in another order. The message
        names the characters.
    """
    stored = read(path)
    lacking = sorted(set(character_sets) - set(stored)) if stored is not None else []
    if lacking:
        raise CheckpointError(f"{path_beside(path)}: it lacks the character set of the predictor {', '.join(lacking)}; "
                              "copy it again from where the checkpoint comes from")
    differences = describe_differences(stored or {}, character_sets)
    if differences:
        raise CheckpointError(
            f"{path}: it was trained with another character set than the configuration's: {differences}. Its labels "
            f"would stand for wrong characters. Name the character set of {path_beside(path)} again; or, to go on with "
            f"another one, start a new experiment with train_config {{ fine_tune_checkpoint: '{path}' }}, which keeps "
            "what the model has learnt of the common characters")


def describe_differences(stored: Mapping[str, str], character_sets: Mapping[str, str]) -> str:
    """Says how the character sets of a checkpoint and of a configuration differ.

    Args:
      stored: {name of a predictor: its characters} of the checkpoint. Predictors that it lacks are not compared.
      character_sets: the same of the configuration.

    Returns:
      Which characters only one of them has, and which common ones stand in another order; "" if they are equal.
    """
    names_of: Dict[str, List[str]] = {}  # predictors usually share one set, whose differences are named once
    for name, characters in character_sets.items():
        if stored.get(name, characters) != characters:
            names_of.setdefault(_describe_difference(stored[name], characters), []).append(name)
    return "; ".join(f"{difference} (predictor {', '.join(names)})" for difference, names in names_of.items())


def _describe_difference(there: str, here: str) -> str:
    added, missing = [c for c in here if c not in set(there)], [c for c in there if c not in set(here)]
    common_there, common_here = [c for c in there if c in set(here)], [c for c in here if c in set(there)]
    moved = [c for c, other in zip(common_here, common_there) if c != other]
    parts = [f"only in the configuration: {list_characters(added)}" if added else "",
             f"only in the checkpoint: {list_characters(missing)}" if missing else "",
             f"at other places of the order: {list_characters(moved)}" if moved else ""]
    return "; ".join(filter(None, parts))


def list_characters(characters: List[str]) -> str:
    """Names characters for a message, the first ones of many: 'a' (U+0061) 'b' (U+0062) and 7 more."""
    more = f" and {len(characters) - _MAX_LISTED} more" if len(characters) > _MAX_LISTED else ""
    return " ".join(f"{c!r} (U+{ord(c):04X})" for c in characters[:_MAX_LISTED]) + more
