"""Components that a user writes and a configuration names.

In the configuration they stand as `custom { factory: "package.module:function" args { ... } }`.
"""
import contextlib
import functools
import importlib
import os
import sys
import traceback
from importlib.machinery import PathFinder
from typing import Any, Callable, Optional, Set

from aster.compat import tf, without_autograph
from aster.errors import cause
from aster.files import module_folders
from aster.protos import custom_pb2

_imported_here: Set[str] = set()  # names of modules that a configuration was the first to import

# Beginnings of the paths of code that is ours or Python's.
_NOT_THE_USERS = tuple(os.path.join(os.path.dirname(os.path.abspath(path)), "")
                       for path in (__file__, importlib.__file__)) + ("<frozen importlib",)


@without_autograph  # which would leave no trace of the user's lines in what the function makes
def build(config: custom_pb2.Custom, base_dir: Optional[str] = None, **extra_arguments: Any) -> Any:
    """Calls the function that a configuration names.

    Args:
      config: names the function and its arguments.
      base_dir: the experiment folder. The function's module is looked up there first, then in the working
        directory, then as Python imports.
      extra_arguments: go to the function too.

    Returns:
      What the function returns.

    Raises:
      ValueError: the function can't be imported, does not take these arguments, raises an error, or returns nothing.
        The message names it.
    """
    try:
        function = _import_function(config.factory, base_dir)
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise ValueError(f"factory {config.factory!r} can't be imported ({type(error).__name__}: {cause(error)}"
                         f"{_place(error)}); it was looked up in {base_dir or 'no experiment folder'} and on Python's "
                         "path") from error
    arguments = dict(extra_arguments)
    for argument in config.args:
        value = getattr(argument, argument.WhichOneof("value"))
        # the message has one field for all numbers, a float
        arguments[argument.name] = int(value) if isinstance(value, float) and value.is_integer() else value
    try:
        component = call(config.factory, function, **arguments)
    except ValueError as error:
        raised = error.__cause__
        if not isinstance(raised, TypeError) or _place(raised):
            raise
        names = ", ".join(sorted(arguments)) or "none"
        raise ValueError(f"factory {config.factory!r} does not take these arguments, {names} ({raised})") from raised
    if component is None:
        raise ValueError(f"factory {config.factory!r} returned nothing; it must return the component that it makes")
    return component


def call(factory: str, function: Callable, *arguments: Any, **keywords: Any) -> Any:
    """Calls a function of the user's.

    Args:
      factory: what the configuration says, for the message.
      function: what that function is, or what it made.
      arguments, keywords: go to the function.

    Returns:
      What the function returns.

    Raises:
      ValueError: the function raised an error, or would end the program. The message names the factory, the file and
        line of the user's code, and the error.
    """
    try:
        return function(*arguments, **keywords)
    except (Exception, SystemExit) as error:
        place = _place(error) or _place_of_function(function)
        raise ValueError(f"factory {factory!r} failed: {type(error).__name__}: {cause(error)}{place}") from error


def naming_factory(factory: str, function: Callable) -> Callable:
    """The same function, whose errors name the factory; see `call`."""
    return functools.wraps(function)(functools.partial(call, factory, function))


def build_network(config: custom_pb2.Custom, base_dir: Optional[str] = None, *, rank: int,
                  description: str) -> Callable:
    """Builds a network: a function of images and is_training that returns a list of tensors.

    Args:
      config: names the function that makes the network.
      base_dir: as in `build`.
      rank: axes that each tensor must have.
      description: what the tensors are, for the message: "feature maps [B, H, W, C]".

    Returns:
      The network. It raises ValueError where its tensors are not as they should be.
    """
    network = build(config, base_dir)

    def checked_network(images, is_training):
        tensors = call(config.factory, network, images, is_training)
        if (not isinstance(tensors, (list, tuple)) or not tensors
                or not all(is_tensor(tensor, rank) for tensor in tensors)):
            raise ValueError(f"factory {config.factory!r} must give a function that returns a list of {description}, "
                             f"not {tensors}")
        return tensors
    return checked_network


def is_tensor(value: Any, rank: int) -> bool:
    """Tells whether a value is a tensor with so many axes."""
    return isinstance(value, tf.Tensor) and value.shape.ndims == rank


def _place(error: BaseException) -> str:
    """Where in the user's code an error was raised: " (FILE, line N)", or "" for nowhere.

    The user's code begins where ours ends. Of what it calls, other files of its folder are the user's too.
    """
    calls = [(call.filename, call.lineno) for call in traceback.extract_tb(error.__traceback__)]
    autograph = getattr(error, "ag_error_metadata", None)  # TensorFlow 2 runs a converted copy of some functions
    if autograph is not None:
        calls = [(call.filename, call.lineno) for call in reversed(autograph.translated_stack)]
    calls = [(path, line) for path, line in calls if not path.startswith(_NOT_THE_USERS)]
    if not calls or any("__autograph_generated_file" in path for path, _ in calls):  # a copy that nobody can look up
        return ""
    folder = os.path.dirname(calls[0][0])
    path, line = [(path, line) for path, line in calls if os.path.dirname(path) == folder][-1]
    return f" ({path}, line {line})"


def _place_of_function(function: Callable) -> str:
    """Where a function begins, for errors of which no more is known."""
    code = getattr(function, "__code__", None)
    return f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""


def _import_function(factory, base_dir):
    module_name, _, function_name = factory.partition(":")
    with _first_on_path(base_dir):
        name = module_name.partition(".")[0]
        _unload_other_experiments_module(name, base_dir)
        if name not in sys.modules:
            _imported_here.add(name)
        module = importlib.import_module(module_name)
    return getattr(module, function_name)


def _unload_other_experiments_module(name, base_dir):
    """Python keeps modules by name: that of another experiment must not stand for the one that is found now."""
    if not base_dir or name not in sys.modules:
        return
    loaded = getattr(sys.modules[name], "__file__", None)
    spec = PathFinder.find_spec(name, [os.path.abspath(base_dir)])
    if spec is None and name in _imported_here:
        spec = PathFinder.find_spec(name, module_folders(base_dir) + sys.path)
    if spec is not None and spec.origin != loaded:
        for key in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
            del sys.modules[key]


@contextlib.contextmanager
def _first_on_path(base_dir):
    folders = module_folders(base_dir)
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(folder)
