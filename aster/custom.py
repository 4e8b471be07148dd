"""Components that a user writes and a configuration names.

In the configuration they stand as `custom { factory: "package.module:function" args { ... } }`.
"""
import contextlib
import importlib
import os
import sys
from importlib.machinery import PathFinder
from typing import Any, Callable, Optional

from aster.compat import tf
from aster.protos import custom_pb2


def build(config: custom_pb2.Custom, base_dir: Optional[str] = None, **extra_arguments: Any) -> Any:
    """Calls the function that a configuration names.

    Args:
      config: names the function and its arguments.
      base_dir: the experiment folder. The function's module is looked up there first, then as Python imports.
      extra_arguments: go to the function too.

    Returns:
      What the function returns.

    Raises:
      ValueError: the function can't be imported, does not take these arguments, or returns nothing. The message
        names it.
    """
    try:
        function = _import_function(config.factory, base_dir)
    except Exception as error:  # the user's module may raise anything
        raise ValueError(f"factory {config.factory!r} can't be imported ({type(error).__name__}: {error}); it was "
                         f"looked up in {base_dir or 'no experiment folder'} and on Python's path") from error
    arguments = dict(extra_arguments)
    for argument in config.args:
        value = getattr(argument, argument.WhichOneof("value"))
        # the message has one field for all numbers, a float
        arguments[argument.name] = int(value) if isinstance(value, float) and value.is_integer() else value
    try:
        component = function(**arguments)
    except TypeError as error:
        names = ", ".join(sorted(arguments)) or "none"
        raise ValueError(f"factory {config.factory!r} does not take these arguments, {names} ({error})") from error
    if component is None:
        raise ValueError(f"factory {config.factory!r} returned nothing; it must return the component that it makes")
    return component


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
        tensors = network(images, is_training)
        if (not isinstance(tensors, (list, tuple)) or not tensors
                or not all(is_tensor(tensor, rank) for tensor in tensors)):
            raise ValueError(f"factory {config.factory!r} must give a function that returns a list of {description}, "
                             f"not {tensors}")
        return tensors
    return checked_network


def is_tensor(value: Any, rank: int) -> bool:
    """Tells whether a value is a tensor with so many axes."""
    return isinstance(value, tf.Tensor) and value.shape.ndims == rank


def _import_function(factory, base_dir):
    module_name, _, function_name = factory.partition(":")
    with _first_on_path(base_dir):
        _unload_other_experiments_module(module_name.partition(".")[0], base_dir)
        module = importlib.import_module(module_name)
    return getattr(module, function_name)


def _unload_other_experiments_module(name, folder):
    """Python keeps modules by name: that of another experiment must not stand for the one in `folder`."""
    if not folder or name not in sys.modules:
        return
    spec = PathFinder.find_spec(name, [os.path.abspath(folder)])
    if spec is not None and spec.origin != getattr(sys.modules[name], "__file__", None):
        for key in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
            del sys.modules[key]


@contextlib.contextmanager
def _first_on_path(folder):
    if not folder:
        yield
        return
    sys.path.insert(0, os.path.abspath(folder))
    try:
        yield
    finally:
        sys.path.remove(os.path.abspath(folder))
