"""The classes of the configuration language, which setup.py builds from protos/."""
import glob
import importlib
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


def _check_version():
    """Raises ImportError where the classes are for a newer protobuf, as after a package has brought an older one."""
    try:
        importlib.import_module("aster.protos.pipeline_pb2")
    except Exception as error:
        if type(error).__name__ != "VersionError":
            raise
        raise ImportError(f"the configuration language is built for a newer protobuf ({error}); install ASTER again, "
                          "or in its checkout run: python setup.py build_ext --inplace") from error


_check_built()
_check_version()
