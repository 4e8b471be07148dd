"""Old import paths of version 0.1.0, which still work in 0.2 with a DeprecationWarning. Delete this file after that."""
import importlib
import importlib.abc
import importlib.util
import sys
import warnings

RENAMED = {
    "aster.data.lexicon": "aster.reading.lexicon",
    "aster.evaluation.lexicon": "aster.reading.nearest_word",
    "aster.models": "aster.pretrained",
    "aster.parallel": "aster.reading.batches",
    "aster.recognizer": "aster.reading.recognizer",
    "aster.visualize": "aster.reading.pictures",
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Python asks it for modules that it finds nowhere else."""

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name in RENAMED else None

    def create_module(self, spec):
        """Returns the module under its new name, and remembers its spec, which Python is about to overwrite."""
        warnings.warn(f"{spec.name} is now {RENAMED[spec.name]}; the old name goes with the next version",
                      DeprecationWarning, stacklevel=2)
        module = importlib.import_module(RENAMED[spec.name])
        self._spec = module.__spec__
        return module

    def exec_module(self, module):
        """Runs nothing: the module ran when it was imported under its new name."""
        module.__spec__ = self._spec


def install() -> None:
    """Makes the old import paths work in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
