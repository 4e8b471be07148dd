"""ASTER: scene-text recognition with flexible rectification (Shi et al., PAMI 2018).

`aster.Recognizer` recognizes images of words, and `aster.crop` cuts words out of a photo. TensorFlow is imported when
the Recognizer is first used.
"""
import sys
import types
from typing import TYPE_CHECKING, Any, List

from aster import renamed

if TYPE_CHECKING:
    from aster.reading.crops import crop
    from aster.reading.recognizer import Reading, Recognizer

__version__ = "0.2.0"
__all__ = ["Reading", "Recognizer", "crop"]


class _Lazy(types.ModuleType):
    """A module that imports the names of __all__ when they are used. In Python 3.6 this takes a class."""

    def __getattr__(self, name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name == "crop":
            from aster.reading import crops
            return crops.crop
        from aster.reading import recognizer
        return getattr(recognizer, name)

    def __dir__(self) -> List[str]:
        return [*super().__dir__(), *__all__]


renamed.install()
sys.modules[__name__].__class__ = _Lazy
