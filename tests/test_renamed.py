"""Old import paths still work, and say how the module is called now."""
import importlib
import sys

import pytest

from aster.renamed import RENAMED


@pytest.mark.parametrize("old, new", sorted(RENAMED.items()))
def test_an_old_path_gives_the_renamed_module_and_a_warning(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=new):
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__spec__.name == new


def test_other_missing_modules_are_still_missing():
    with pytest.raises(ImportError):
        importlib.import_module("aster.no_such_module")
