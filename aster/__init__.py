"""ASTER: scene-text recognition with flexible rectification (Shi et al., PAMI 2018).

`aster.Recognizer` reads images; TensorFlow is imported when it is first used.
"""
import sys
import types

from aster import renamed

__version__ = "0.1.0"


class _Lazy(types.ModuleType):
    """A module's own __getattr__ would do, but Python 3.6 lacks it."""

    @property
    def Recognizer(self):
        from aster.reading.recognizer import Recognizer
        return Recognizer

    def __dir__(self):
        return super().__dir__() + ["Recognizer"]


renamed.install()
sys.modules[__name__].__class__ = _Lazy
