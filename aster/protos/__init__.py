"""The classes of the configuration language, which setup.py builds from protos/."""
import importlib.util

if importlib.util.find_spec("aster.protos.pipeline_pb2") is None:
    raise ImportError("the configuration language is not built; in ASTER's checkout run: "
                      "python setup.py build_ext --inplace")
