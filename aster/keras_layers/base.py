"""What the layers share: a configuration, variables that are Keras weights, and what they refuse."""
import os
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from google.protobuf import json_format

from aster import checkpoint
from aster.compat import is_compiled, load_keras, runs_at_once, tf
from aster.config import read_config, walk
from aster.config_rules import find_problems

keras = load_keras()
_KerasLayer: Any = keras.layers.Layer
_KerasRegularizer: Any = keras.regularizers.Regularizer


class _Source(NamedTuple):
    """A checkpoint that a layer starts from, and whether the moving averages in it count."""
    path: str
    use_moving_averages: bool


class _Penalty(_KerasRegularizer):
    """A regularizer of the library, a function of a kernel, as Keras wants it."""

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, x: Any) -> Any:
        return self._function(x)


class ConfiguredLayer(_KerasLayer):
    """A part of the library whose variables are Keras weights.

    Args:
      message: the part's configuration where `config` is None.
      config: the part's configuration as a dict of the fields that differ from their defaults, or None.
      fields: fields to change.
      options: keyword arguments of keras.layers.Layer.

    Raises:
      ValueError: a field or the dtype is wrong. The error names it.
    """

    _NOT_ITS_OWN: Sequence[str] = ()  # fields of the message that the layer has by an argument

    def __init__(self, message: Any, config: Optional[Dict[str, Any]], fields: Dict[str, Any], **options: Any) -> None:
        options["dtype"] = options.get("dtype") or "float32"  # also below a policy of mixed precision
        super().__init__(**options)
        if self.compute_dtype != "float32" or self.variable_dtype != "float32":
            raise ValueError(f"{type(self).__name__} computes in float32 only, not in {self.dtype_policy.name}; leave "
                             "dtype out, and it computes in float32 in a model of mixed precision too")
        self.supports_jit = False  # Keras's jit_compile="auto" looks here
        self.message = type(message)() if config is not None else message
        for field in self._NOT_ITS_OWN:
            self.message.ClearField(field)
        self._change(config or {})
        self._change(fields)
        self._check_message()
        self._source: Optional[_Source] = None
        self._weight_of: Dict[str, Any] = {}  # by the name of the variable

    def get_config(self) -> Dict[str, Any]:
        """Returns what makes such a layer again, without its weights."""
        return dict(super().get_config(), config=as_fields(self.message))

    def start_from(self, config: Any, exp_dir: str) -> None:
        """Makes the layer start from the latest checkpoint of an experiment, when its weights are created.

        Args:
          config: the experiment's configuration.
          exp_dir: its folder.

        Raises:
          CheckpointError: it has no checkpoint.
        """
        path = checkpoint.find_checkpoint(os.path.join(exp_dir, "log"))
        self._source = _Source(path, config.eval_config.use_moving_averages)

    def create_weights(self, run: Callable[[], Any]) -> None:
        """Makes a weight of every variable that a function asks for, with its value in the checkpoint if there is one.

        Args:
          run: the function; it is called in a graph, which is thrown away.

        Raises:
          CheckpointError: the checkpoint lacks a variable or has it in another shape.
        """
        declared: Dict[str, dict] = {}

        def note(getter, name, shape=None, initializer=None, regularizer=None, trainable=True, **_):
            if self._source:
                initializer = _constant(getter(name=name, shape=shape))
            declared[name] = dict(
                name=name.replace("/", "."), shape=tuple(tf.TensorShape(shape).as_list()),
                initializer=initializer or "glorot_uniform",  # the default of tf.get_variable
                regularizer=_Penalty(regularizer) if regularizer else None, trainable=trainable is not False)
            return tf.zeros(shape)

        with tf.Graph().as_default():
            if self._source:
                with checkpoint.constants(*self._source):
                    _with_getter(note, run)
            else:
                _with_getter(note, run)
        for name, arguments in declared.items():
            self._weight_of[name] = self.add_weight(autocast=False, aggregation="mean", **arguments)

    def run_with_weights(self, run: Callable[[], Any]) -> Any:
        """Calls a function with the weights as its variables.

        Args:
          run: the function.

        Returns:
          What it returns.

        Raises:
          ValueError: the layer can't run here, or training would not reach its weights.
        """
        self._check_place()

        def get(getter, name, **_):
            return self._weight_of[name].value
        return _with_getter(get, run)

    def updates_averages(self, training: Any) -> bool:
        """Tells whether batch normalization uses the batch's statistics: as Keras's own, not in a frozen layer."""
        known = all(hasattr(weight.value, "assign_sub") for weight in self.weights)  # not while Keras infers shapes
        return bool(training) and self.trainable and known

    def _check_place(self):
        kind, name = type(self).__name__, self.name
        if not runs_at_once():
            raise ValueError(f"{kind} {name!r} would train nothing in a tf.Graph, since Keras 3 has no sessions; call "
                             "it in eager mode or in a tf.function, or use aster.model in a graph")
        if is_compiled():
            raise ValueError(f"{kind} {name!r} can't be compiled by XLA, which has no kernels of ASTER's operations; "
                             "pass jit_compile=False")
        outer = self._get_call_context().entry_layer
        tracked = {id(weight) for weight in outer.weights}
        if self.trainable and any(id(weight) not in tracked for weight in self.weights):
            raise ValueError(f"{kind} {name!r} would train nothing: {type(outer).__name__} {outer.name!r} calls it, "
                             "but does not have its weights; put the layer into the model itself, or make it an "
                             "attribute of the layer that calls it (self.rectifier = ...). A Lambda can't hold it")

    def _change(self, fields):
        for field in self._NOT_ITS_OWN:
            if field in fields:
                raise ValueError(f"{type(self).__name__}: {field} is not a field here; the arguments of the layer tell "
                                 "the same")
        try:
            json_format.ParseDict(fields, self.message)
        except json_format.ParseError as error:
            raise ValueError(f"{type(self).__name__}: {str(error).splitlines()[0]}; docs/configuration.md lists the "
                             f"fields of {self.message.DESCRIPTOR.name}") from error

    def _check_message(self):
        for path, message in walk(self.message):
            for field, problem in find_problems(message):
                if field in self._NOT_ITS_OWN:
                    continue
                place = ".".join(filter(None, (path, field)))
                raise ValueError(f"{type(self).__name__}: {place or self.message.DESCRIPTOR.name}: {problem}")


def read_experiment(exp_dir: str) -> Any:
    """Reads the configuration of an experiment folder, as `config.read_config`, and refuses what names no folder."""
    if not isinstance(exp_dir, (str, os.PathLike)) or not os.fspath(exp_dir):
        raise ValueError(f"exp_dir is {exp_dir!r}, expected the path of an experiment folder; leave it out for the "
                         "pretrained model")
    return read_config(os.fspath(exp_dir))


def shape_of(tensor: Any) -> Optional[Sequence[Optional[int]]]:
    """Returns the shape of a tensor, also a symbolic one of Keras; None if the number of axes is unknown."""
    shape = tf.TensorShape(tensor.shape)
    return None if shape.ndims is None else tuple(shape.as_list())


def as_fields(message: Any) -> Dict[str, Any]:
    """Returns the fields of a message that are set, as a dict that JSON can hold."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def model_of(config: Any) -> Any:
    """Returns the model of a configuration."""
    return config.model.multi_predictors_recognition_model


def _constant(value):
    """An initializer, as Keras wants it."""
    return lambda shape, dtype=None: tf.constant(value, dtype)


def _with_getter(getter, run):
    scope = tf.get_variable_scope()
    with tf.variable_scope(scope, custom_getter=getter):
        return run()
