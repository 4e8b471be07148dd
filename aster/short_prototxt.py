"""Writes a configuration in few lines: only what differs from the defaults, and a message on one line where it fits."""
from typing import Any, Iterator

from google.protobuf import text_format
from google.protobuf.message import Message

from aster.config import is_repeated, walk

_WIDTH = 120
_PRESENCE_COUNTS = ("seed",)  # fields that mean something else where they are absent


def short_prototxt(config: Message) -> str:
    """Writes a configuration as text. `read_config` completes it to what it was.

    Args:
      config: a TrainEvalPipelineConfig as `read_config` completed it. It is not changed.

    Returns:
      The text, without fields that only restate what they would mean anyway.
    """
    short = type(config)()
    short.CopyFrom(config)
    _clear_inherited(short)
    for _, message in list(walk(short)):
        _clear_defaults(message)
    return "".join(line + "\n" for line in _lines(short))


def _clear_inherited(config: Any) -> None:
    """Clears what `read_config` fills in: the characters of label maps and text filters, and label offsets."""
    model = config.model.multi_predictors_recognition_model
    characters = model.character_set if model.HasField("character_set") else None
    for predictor in model.predictor:
        kind = predictor.WhichOneof("predictor_oneof")
        if kind not in ("attention_predictor", "ctc_predictor", "custom_predictor"):
            continue
        decoder = getattr(predictor, kind)
        if not decoder.HasField("label_map"):
            continue
        if decoder.label_map.label_offset == 2:
            decoder.label_map.ClearField("label_offset")
        if decoder.label_map.character_set == characters:
            decoder.label_map.ClearField("character_set")
        if characters and not decoder.label_map.ListFields():
            decoder.ClearField("label_map")
    for step in list(config.train_config.data_augmentation_options) + list(config.eval_config.data_preprocessing_steps):
        if step.HasField("string_filtering") and step.string_filtering.include_charset == characters:
            step.string_filtering.ClearField("include_charset")


def _clear_defaults(message: Any) -> None:
    for field, value in message.ListFields():
        if is_repeated(field) or field.name in _PRESENCE_COUNTS:
            continue
        if field.message_type:
            restates = (field.message_type.name == "Regularizer"
                        and all(penalty.weight == 0 for _, penalty in value.ListFields())
                        or field.name == "initializer" and message.DESCRIPTOR.name == "Hyperparams"
                        and str(value).split() == ["variance_scaling_initializer", "{", "}"])
        else:
            restates = value == field.default_value and not field.containing_oneof  # whose members tell what is meant
        if restates:
            message.ClearField(field.name)


def _lines(message: Any, indent: str = "") -> Iterator[str]:
    """The fields of a message: neighbours that are no messages on one line, and each element of a list of messages by
    itself."""
    line = ""
    for field, value in message.ListFields():
        if not field.message_type:
            text = _text(message, field, value)
            if line and len(f"{line} {text}") > _WIDTH:
                yield line
                line = ""
            line = f"{line} {text}" if line else indent + text
            continue
        if line:
            yield line
            line = ""
        for element in value if is_repeated(field) else [value]:
            text = indent + _text(message, field, [element] if is_repeated(field) else element)
            if len(text) <= _WIDTH:
                yield text
            else:
                yield f"{indent}{field.name} {{"
                yield from _lines(element, indent + "  ")
                yield f"{indent}}}"
    if line:
        yield line


def _text(message: Any, field: Any, value: Any) -> str:
    """One field of a message on one line."""
    alone = type(message)()
    if is_repeated(field):
        getattr(alone, field.name).extend(value)
    elif field.message_type:
        getattr(alone, field.name).CopyFrom(value)
    else:
        setattr(alone, field.name, value)
    return text_format.MessageToString(alone, as_utf8=True, as_one_line=True,
                                       use_short_repeated_primitives=True).strip()
