"""The trained models that come with the library, each a folder here: an experiment without what training needs."""
import difflib
import glob
import os
from typing import List

FOLDER = os.path.dirname(os.path.abspath(__file__))
DEFAULT = "english"
ENGLISH = os.path.join(FOLDER, DEFAULT)
SAMPLES = os.path.join(FOLDER, "samples")


def path(name: str) -> str:
    """Finds the folder of a pretrained model.

    Args:
      name: its name, one of `list()`.

    Returns:
      The folder: an experiment folder, as `Recognizer.from_experiment` takes.

    Raises:
      ValueError: there is no such model. The message names those that there are.
    """
    names = list()
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 1)
        raise ValueError(f"no pretrained model is named {name!r}" + (f" (did you mean {near[0]}?)" if near else "")
                         + f"; there are: {', '.join(names) or 'none'}")
    return os.path.join(FOLDER, name)


def find(model: str) -> str:
    """Finds the folder of a model that is given by its name, or by the folder itself.

    Args:
      model: the name of a pretrained model, or else an experiment folder. `./english` is a folder in any case.

    Returns:
      The folder.

    Raises:
      ValueError: it is neither.
    """
    if model not in list() and isinstance(model, (str, os.PathLike)) and os.path.isdir(model):
        return model
    try:
        return path(model)
    except ValueError as error:
        raise ValueError(f"{model or repr(model)}: no such experiment folder, and {error}") from error


def list() -> List[str]:  # read as pretrained.list; nothing here needs Python's own
    """Returns the names of the pretrained models that are there, the default one first."""
    names = [name for name in os.listdir(FOLDER) if _is_model(os.path.join(FOLDER, name))]
    return sorted(names, key=lambda name: (name != DEFAULT, name))


def _is_model(folder: str) -> bool:
    return (os.path.isfile(os.path.join(folder, "config", "trainval.prototxt"))
            and bool(glob.glob(os.path.join(glob.escape(folder), "log", "*.index"))))
