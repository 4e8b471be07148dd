"""Reads an experiment's configuration (protos/pipeline.proto), completes it and checks it.

Every error is a ConfigError that names file, line and field, what was expected and what to do. The rules that a
configuration must meet are in config_rules.py.
"""
import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from google.protobuf import text_format
from google.protobuf.message import Message

from aster.config_rules import find_problems
from aster.errors import shortened
from aster.files import read_text
from aster.protos import pipeline_pb2

CONFIG_IN_EXP_DIR = os.path.join("config", "trainval.prototxt")


class ConfigError(ValueError):
    """A configuration that can't be used; the message says where and why."""


class _Place(NamedTuple):
    """Where a field was set: what an error says before the name of the field, and after the problem."""
    before: str
    after: str = ""


def read_config(path: str, overrides: Sequence[str] = ()) -> Any:
    """Reads, completes and checks a configuration.

    Args:
      path: a prototxt, or an experiment folder that holds config/trainval.prototxt.
      overrides: texts in the same language, such as "train_config { num_steps: 100 }". Each changes the fields that it
        names, in this order. A repeated field that it names replaces the whole list.

    Returns:
      A protos.TrainEvalPipelineConfig. Label maps and text filters that name no characters have the model's
      character_set, and label maps have their label_offset.

    Raises:
      ConfigError: the file can't be read, a text is not a configuration, or a field breaks a rule.
    """
    if os.path.isdir(path):
        path = os.path.join(path, CONFIG_IN_EXP_DIR)
    text = _read(path)
    config = _parse(text, _Place(path))
    lines = _line_numbers(_tokens(text), config.DESCRIPTOR)
    places = {field: _Place(f"{path}:{line}") for field, line in lines}
    for override in overrides:
        place = _Place("--set", f" (in {shortened(override)!r})")
        change = _parse(override, place)
        _replace_lists(config, change)
        config.MergeFrom(change)
        _note_override(change, place, places)
    _inherit(config)
    for message_path, message in walk(config):
        for field, problem in find_problems(message):
            full = _join(message_path, field)
            before, after = _find_place(full, places, _Place(f"{path}:1"))
            raise ConfigError(f"{before}: {full}: {problem}{after}")
    return config


def check_clones(config: Any, num_clones: int, path: str) -> None:
    """Checks that every reader's share of the batch can be dealt out to the clones.

    Args:
      config: a protos.TrainEvalPipelineConfig.
      num_clones: the number of devices that share each batch.
      path: the experiment, for the message.

    Raises:
      ConfigError: num_clones is below 1, or does not divide each batch size.
    """
    if num_clones < 1:
        raise ConfigError(f"--num_clones is {num_clones}, expected 1 or more")
    for i, size in enumerate(config.train_config.batch_size):
        if size % num_clones:
            raise ConfigError(f"{path}: train_config.batch_size[{i}] is {size}, which {num_clones} clones can't share "
                              "equally; change it or --num_clones")


def mixed_precision(options: Message) -> bool:
    """Tells whether a TrainConfig or EvalConfig asks for mixed precision, also by the old name of the field."""
    return options.mixed_precision or options.bfloat16


def unused_fields(config: Message) -> List[str]:
    """Lists the fields that are set but have no effect: those that protos/ marks as deprecated.

    Args:
      config: any message.

    Returns:
      Their dotted paths, such as "train_config.batch_queue_capacity".
    """
    return [_join(path, field.name)
            for path, message in walk(config) for field, _ in message.ListFields() if field.GetOptions().deprecated]


def walk(message: Message, path: str = "") -> Iterator[Tuple[str, Message]]:
    """Visits a message and all messages inside it.

    Args:
      message: where to start.
      path: its dotted path.

    Yields:
      The dotted path and the message; elements of repeated fields as name[i].
    """
    yield path, message
    for name, value in _values(message, path):
        if isinstance(value, Message):
            yield from walk(value, name)


def _values(message: Message, path: str) -> Iterator[Tuple[str, Any]]:
    """(dotted path, value) of each field that is set; each element of a repeated field as name[i]."""
    for field, value in message.ListFields():
        full = _join(path, field.name)
        if is_repeated(field):
            for i, element in enumerate(value):
                yield f"{full}[{i}]", element
        else:
            yield full, value


def is_repeated(field: Any) -> bool:
    """Tells whether a field, given by its descriptor, is a list."""
    return field.default_value == []  # protobuf 3.19 has no is_repeated, and 7 no label


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path and field else path or field


def _read(path: str) -> str:
    try:
        return read_text(path, "the configuration")
    except ValueError as error:
        hint = "" if os.path.exists(path) else (
            f"; an experiment folder holds {CONFIG_IN_EXP_DIR}, and aster.pretrained.path(name) is that of a "
            "pretrained model")
        raise ConfigError(f"{error}{hint}") from error


def _parse(text: str, place: _Place) -> Any:
    before, after = place
    try:
        return text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    except text_format.ParseError as error:
        line, _, problem = str(error).partition(" : ")  # "line:column : problem."
        if not problem:
            line, problem = "1", str(error)
        problem = re.sub(r"\w+", lambda word: shortened(word.group()), problem)
        raise ConfigError(f"{before}:{line}: {problem.rstrip('.')}{after}; docs/configuration.md lists the fields of "
                          "every message") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{before}: not a configuration ({error}){after}") from error


# Overrides

def _replace_lists(config: Message, change: Message) -> None:
    """Clears the repeated fields of `config` that `change` holds, so that merging replaces them."""
    for field, value in change.ListFields():
        if is_repeated(field):
            config.ClearField(field.name)
        elif isinstance(value, Message) and config.HasField(field.name):
            _replace_lists(getattr(config, field.name), value)


def _note_override(change: Message, place: _Place, places: Dict[str, _Place], path: str = "") -> None:
    """Enters the fields of an override into `places`. A message that the file has too keeps its line, so that what
    is missing in it is told with that line."""
    for field, _ in change.ListFields():
        if is_repeated(field):
            full = _join(path, field.name)
            for replaced in [old for old in places if old.startswith(full + "[")]:
                del places[replaced]
            places[full] = place
    for full, value in _values(change, path):
        if isinstance(value, Message):
            places.setdefault(full, place)
            _note_override(value, place, places, full)
        else:
            places[full] = place


# Inheriting

def _inherit(config: Any) -> None:
    """Fills in what a configuration may leave out: characters are named once, in the model."""
    model = config.model.multi_predictors_recognition_model
    for predictor in model.predictor:
        kind = predictor.WhichOneof("predictor_oneof")
        if kind in ("attention_predictor", "ctc_predictor", "custom_predictor"):
            _complete_label_map(getattr(predictor, kind), model)
    for step in list(config.train_config.data_augmentation_options) + list(config.eval_config.data_preprocessing_steps):
        if (step.HasField("string_filtering") and not step.string_filtering.HasField("include_charset")
                and model.HasField("character_set")):
            step.string_filtering.include_charset.CopyFrom(model.character_set)


def _complete_label_map(predictor: Any, model: Any) -> None:
    if model.HasField("character_set") and not predictor.label_map.HasField("character_set"):
        predictor.label_map.character_set.CopyFrom(model.character_set)
    if predictor.HasField("label_map") and not predictor.label_map.HasField("label_offset"):
        predictor.label_map.label_offset = 2


# Where a field stands

def _find_place(field: str, places: Dict[str, _Place], otherwise: _Place) -> _Place:
    """The place of a field. An absent field has that of the message that should hold it."""
    while field:
        if field in places:
            return places[field]
        shorter = re.sub(r"\[\d+\]$", "", field)
        field = shorter if shorter != field else field.rpartition(".")[0]
    return otherwise


_TOKEN = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[-+\w.]+|\n|[{}<>:]')


def _tokens(text: str) -> Iterator[Tuple[str, int]]:
    """(token, line number) of a configuration's text, without comments."""
    line = 1
    for match in _TOKEN.finditer(text):
        if match.group() == "\n":
            line += 1
        elif not match.group().startswith("#"):
            yield match.group(), line


def _line_numbers(tokens: Iterator[Tuple[str, int]], descriptor: Any, path: str = "") -> Iterator[Tuple[str, int]]:
    """(dotted path, line number) of each field, up to the end of a message of this type. The text must be valid:
    protobuf tells no lines of valid fields. The first element of a repeated field is entered as name, too."""
    counts: Dict[str, int] = {}
    name, name_line, is_value = "", 1, False
    for word, line in tokens:
        if word in "}>":
            return
        if is_value or word in "{<":
            is_value = False
            field, full = descriptor.fields_by_name[name], _join(path, name)
            if is_repeated(field):
                counts[name] = counts.get(name, -1) + 1
                if not counts[name]:
                    yield full, name_line
                full = f"{full}[{counts[name]}]"
            yield full, name_line
            if word in "{<":
                yield from _line_numbers(tokens, field.message_type, full)
        elif word == ":":
            is_value = True
        elif re.match(r"[A-Za-z_]", word):
            name, name_line = word, line
