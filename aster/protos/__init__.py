"""The classes of the configuration language, which setup.py builds from protos/."""
import glob
import os

_COPIED = 60  # seconds within which the files of a copied checkout are written, in any order


def _check_built():
    """Raises ImportError where a class is missing, or older than what it is built from."""
    here = os.path.dirname(os.path.abspath(__file__))
    sources = glob.glob(os.path.join(glob.escape(here), "..", "..", "protos", "*.proto"))  # in a checkout only
    names = [os.path.basename(source)[:-len(".proto")] for source in sources] or ["pipeline"]
    built = [os.path.join(here, name + "_pb2.py") for name in names]
    problem = "is not built"
    if all(map(os.path.exists, built)):
        if not sources or min(map(os.path.getmtime, built)) > max(map(os.path.getmtime, sources)) - _COPIED:
            return
        problem = "is older than protos/"
    raise ImportError(f"the configuration language {problem}; in ASTER's checkout run: "
                      "python setup.py build_ext --inplace")


_check_built()
