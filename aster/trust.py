"""Which functions of a configuration run unasked.

A configuration is a program: `custom { factory: "module:function" }` runs any function that Python can import. Yours,
with its code beside it, should run without a word. One that you have downloaded should not. So the commands run
unasked what lies in the experiment folder, if that is in the working directory. They ask before all else.
"""
import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from typing import Any, Dict, List, Optional

from google.protobuf.message import Message

from aster.config import walk
from aster.files import module_folders
from aster.protos import custom_pb2


def foreign_functions(config: Message, exp_dir: str) -> List[str]:
    """Lists the functions of a configuration that should run only after its user has agreed. Nothing is imported.

    Args:
      config: a protos.TrainEvalPipelineConfig.
      exp_dir: the experiment folder, where modules are looked up first.

    Returns:
      "module:function (file)" of each, in the order of the configuration. Left out are functions whose module is in
      the experiment folder, if that is in the working directory, and functions whose module is nowhere, which can't
      run.
    """
    own = _is_in_working_directory(exp_dir)
    found: Dict[str, str] = {}
    for _, message in walk(config):
        if isinstance(message, custom_pb2.Custom):
            name = message.factory.partition(":")[0].partition(".")[0]
            places = _find(name, exp_dir)
            if places and not (own and places == _places(PathFinder.find_spec(name, [os.path.abspath(exp_dir)]))):
                found[message.factory] = f"{message.factory} ({places[0]})"
    return list(found.values())


def _is_in_working_directory(folder: str) -> bool:
    """Links are followed. The root and the home folder are no working directory: downloads lie there, too."""
    here = os.path.realpath(os.getcwd())
    if here in (os.path.realpath(os.sep), os.path.realpath(os.path.expanduser("~"))):
        return False
    return os.path.commonpath([here, os.path.realpath(folder)]) == here


def _find(name: str, exp_dir: str) -> List[str]:
    """The places where custom.py, that is Python, would find a module or package."""
    try:
        return _places(PathFinder.find_spec(name, module_folders(exp_dir) + sys.path)
                       or importlib.util.find_spec(name))
    except ValueError:  # it is loaded, and does not know where from
        return ["loaded already"]


def _places(spec: Optional[Any]) -> List[str]:
    """The folders of a package, or the file of a module."""
    return [str(place) for place in spec.submodule_search_locations or [spec.origin]] if spec else []
