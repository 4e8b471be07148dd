"""Parts of one's own that a configuration names: `custom { factory: "package.module:function" args { ... } }`."""
import contextlib
import importlib
import os
import sys
from importlib.machinery import PathFinder

from aster.compat import tf


def build(config, base_dir=None, **more):
    """protos.Custom -> what its function returns for its `args` and for `more`.

    The module is looked up in `base_dir`, the experiment folder, then as Python imports. Raises ValueError that names
    the factory.
    """
    module_name, _, function_name = config.factory.partition(":")
    try:
        with _first_on_path(base_dir):
            _unload_other_experiments_module(module_name.partition(".")[0], base_dir)
            module = importlib.import_module(module_name)
        function = getattr(module, function_name)
    except Exception as error:  # the module's own, too
        raise ValueError("factory {!r} can't be imported ({}: {}); it was looked up in {} and on Python's path".format(config.factory, type(error).__name__, error, base_dir or "no experiment folder"))
    keywords = dict(more)
    for argument in config.args:
        value = getattr(argument, argument.WhichOneof("value"))
        keywords[argument.name] = int(value) if isinstance(value, float) and value.is_integer() else value
    try:
        part = function(**keywords)
    except TypeError as error:
        raise ValueError("factory {!r} does not take these arguments, {} ({})".format(config.factory, ", ".join(sorted(keywords)) or "none", error))
    if part is None:
        raise ValueError(f"factory {config.factory!r} returned nothing; it must return the part that it makes")
    return part


def build_network(config, rank, result, base_dir=None):
    """The same for a function (images, is_training), which must return a list of tensors of a rank; `result` says to
    the user what they are."""
    network = build(config, base_dir)

    def call(images, is_training):
        found = network(images, is_training)
        if not isinstance(found, (list, tuple)) or not found or not all(is_tensor(one, rank) for one in found):
            raise ValueError(f"factory {config.factory!r} must give a function that returns a list of {result}, not {found}")
        return found
    return call


def is_tensor(value, rank):
    return isinstance(value, tf.Tensor) and value.shape.ndims == rank


def _unload_other_experiments_module(name, folder):
    """Python keeps modules by name: that of another experiment must not stand for the one in `folder`."""
    if not folder or name not in sys.modules:
        return
    here = PathFinder.find_spec(name, [os.path.abspath(folder)])
    if here is not None and here.origin != getattr(sys.modules[name], "__file__", None):
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
