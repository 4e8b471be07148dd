"""Packages whose public names are imported when they are used, since they need TensorFlow or what may be missing."""
import importlib
import sys
import types
from typing import Any, Dict, List


class _Lazy(types.ModuleType):
    """A module with names of other modules. In Python 3.6 this takes a class."""

    def __getattr__(self, name: str) -> Any:
        places = self.__dict__["_places"]
        if name not in places:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name]), name)

    def __dir__(self) -> List[str]:
        return [*super().__dir__(), *self.__dict__["_places"]]


def offer(package: str, places: Dict[str, str]) -> None:
    """Lets a package offer names of its modules, which are imported when a name is first used.

    Args:
      package: its __name__.
      places: {name: the module that has it}.
    """
    module = sys.modules[package]
    module.__dict__["_places"] = places
    module.__class__ = _Lazy
