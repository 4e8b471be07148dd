"""The rules that a configuration must meet.

A rule takes a message and yields (field, problem) for each thing that is wrong with it; an empty field name means the
message itself. The table at the end of this file says which rule belongs to which message. The range of each number is
in config_ranges.py.
"""
import itertools
import os
import re
import sys
import sysconfig
from importlib.machinery import PathFinder
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

from google.protobuf.message import Message

from aster.config_ranges import numbers_out_of_range
from aster.config_sizes import (
    RESIZE_STEPS,
    aspects,
    beam,
    convnet_images,
    long_images,
    pixels,
    resized_images,
    spline_terms,
    wide,
)

Problems = Iterator[Tuple[str, str]]
Rule = Callable[[Any], Problems]

_SCOPE = r"([A-Za-z0-9.][\w./-]*)?"  # what both TensorFlows take as the name of a scope
_OPTIMIZER_SCOPE = "OptimizeClones"  # see checkpoint.py: what is in it is no parameter of the model


def find_problems(message: Message) -> Problems:
    """Finds what is wrong with one message. The messages inside it are not looked at.

    Args:
      message: any message of protos/, with inherited fields filled in.

    Yields:
      The name of a field, or "" for the message as a whole, and what is wrong with it: what it is, what was expected.
    """
    for rule in (_texts, numbers_out_of_range) + _RULES.get(message.DESCRIPTOR.name, ()):
        yield from rule(message)


# Rules that serve several messages

def _choices(message: Message, oneof: str) -> str:
    return "expected one of " + ", ".join(field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields)


def _one_of(oneof: str) -> Rule:
    def rule(message: Any) -> Problems:
        if message.WhichOneof(oneof) is None:
            yield "", _choices(message, oneof)
    return rule


def _texts(message: Any) -> Problems:
    """Every text may become a path or a name, where the character NUL is an end to C and an error to Python."""
    for field, value in message.ListFields():
        if field.cpp_type == field.CPPTYPE_STRING:
            for text in [value] if isinstance(value, str) else value:
                if "\0" in text:
                    yield field.name, f"is {text!r}, expected a text without the character NUL"


def _interval(low: str, high: str, may_be_empty: bool = True) -> Rule:
    """The ends of an interval from which a number is drawn; TensorFlow refuses some intervals that are empty."""
    def rule(message: Any) -> Problems:
        first, last = getattr(message, low), getattr(message, high)
        if last < first or (last == first and not may_be_empty):
            expected = f"{first:g} or more" if may_be_empty else f"more than {first:g}"
            yield high, f"is {last:g}, expected {expected}, which is {low}"
    return rule


def _word(**choices: Sequence[str]) -> Rule:
    """Strings that must be one of some words."""
    def rule(message: Any) -> Problems:
        for field, words in sorted(choices.items()):
            if getattr(message, field) not in words:
                yield field, f"is {getattr(message, field)!r}, expected {', '.join(words[:-1])} or {words[-1]}"
    return rule


def _sizes(**lengths: int) -> Rule:
    """Fields that list a size for each part of a network: all of them, or none."""
    def rule(message: Any) -> Problems:
        for field, length in sorted(lengths.items()):
            sizes = list(getattr(message, field))
            if sizes and (len(sizes) != length or min(sizes) < 1):
                yield field, f"is {sizes}, expected {length} numbers of 1 or more"
    return rule


def _not_empty(field: str) -> Rule:
    """The path of a file, where it is given."""
    def rule(message: Any) -> Problems:
        if message.HasField(field) and not getattr(message, field):
            yield field, "is empty, expected the path of a file"
    return rule


def _required(*fields: str) -> Rule:
    def rule(message: Any) -> Problems:
        for field in fields:
            if not message.HasField(field):
                yield field, "is missing"
    return rule


# The experiment

def _pipeline(config: Any) -> Problems:
    readers, sizes = len(config.train_input_reader), len(config.train_config.batch_size)
    if config.train_config.eval_num_examples and not config.eval_input_reader:
        yield "train_config.eval_num_examples", "needs an eval_input_reader"
    if config.HasField("train_config") and readers:  # otherwise a configuration to read with
        for field, problem in itertools.chain(_required("optimizer")(config.train_config),
                                              _resized("data_augmentation_options")(config.train_config)):
            yield f"train_config.{field}", problem
    if config.HasField("train_config") and readers != sizes:
        yield "train_config.batch_size", (f"there are {sizes} batch sizes for {readers} train_input_reader; give each "
                                          "reader its share of the batch")
    model = config.model.multi_predictors_recognition_model
    for field in "train_config.data_augmentation_options", "eval_config.data_preprocessing_steps":
        message, _, steps_field = field.partition(".")
        steps = getattr(getattr(config, message), steps_field)
        yield from aspects(field, steps)
        if model.HasField("spatial_transformer"):
            yield from long_images(field, steps, model.spatial_transformer)
        else:  # then the encoder sees the images as the steps leave them
            yield from resized_images(field, steps, model.feature_extractor)


def _train(config: Any) -> Problems:
    for i, pattern in enumerate(config.freeze_variables):
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            yield f"freeze_variables[{i}]", f"{pattern!r} is not a regular expression ({error})"
    if config.deterministic and not config.HasField("seed"):
        yield "deterministic", "needs a seed; without one, each run differs anyway"
    if config.early_stopping_evaluations and not config.eval_num_examples:
        yield "early_stopping_evaluations", "needs eval_num_examples, the number of samples to evaluate on"


def _resized(field: str) -> Rule:
    def rule(config: Any) -> Problems:
        kinds = [step.WhichOneof("preprocessing_step") for step in getattr(config, field)]
        if not set(RESIZE_STEPS).intersection(kinds):
            yield field, f"no step gives all images one size; expected one of {', '.join(RESIZE_STEPS)}"
    return rule


def _input_reader(config: Any) -> Problems:
    if not config.HasField("custom") and not config.tf_record_input_reader.input_path:
        yield "tf_record_input_reader", "expected input_path, the TFRecord file(s) to read"


def _optimizer(config: Any) -> Problems:
    kind = config.WhichOneof("optimizer")
    if kind is None:
        yield "", _choices(config, "optimizer")
    else:
        rate = getattr(config, kind).learning_rate
        if rate.WhichOneof("learning_rate") is None:
            yield kind, f"has no learning_rate; {_choices(rate, 'learning_rate')}"


def _manual_steps(config: Any) -> Problems:
    steps = [entry.step for entry in config.schedule]
    if steps != sorted(set(steps)):
        yield "schedule", f"the steps {steps} must grow from entry to entry"


def _cosine_decay(config: Any) -> Problems:
    if not config.num_steps:
        yield "num_steps", "is missing: the number of steps in which the rate falls"


def _one_cycle(config: Any) -> Problems:
    if not config.num_steps > config.num_warmup_steps:
        yield "num_steps", (f"is {config.num_steps}, expected more than the {config.num_warmup_steps} of "
                            "num_warmup_steps")


# Preprocessing

def _keeping_aspect(config: Any) -> Problems:
    widths = list(config.target_widths)
    if not widths or widths[0] < 1 or widths != sorted(set(widths)):
        yield "target_widths", f"is {widths}, expected one or more ascending widths of 1 or more"


def _normalize(config: Any) -> Problems:
    for low, high in ("original_minval", "original_maxval"), ("target_minval", "target_maxval"):
        if abs(getattr(config, low) - getattr(config, high)) < 1e-6:  # the range is divided by
            yield high, f"is {getattr(config, high):g}, expected another value than {low} has"


def _string_filtering(config: Any) -> Problems:
    if not config.HasField("include_charset"):
        yield "include_charset", "is missing; name the characters here, or in the character_set of the model"


# The model

def _model(config: Any) -> Problems:
    yield from _required("feature_extractor")(config)
    if config.HasField("character_set") and config.character_set.WhichOneof("source_oneof") is None:
        yield "character_set", _choices(config.character_set, "source_oneof")  # before the label maps that inherit it
    if not config.predictor:
        yield "predictor", "there is none; expected at least one"
    names = [predictor.name for predictor in config.predictor]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield f"predictor[{i}].name", f"{name!r} is the name of another predictor"
    if config.HasField("spatial_transformer"):
        yield from convnet_images(config.feature_extractor, config.spatial_transformer, height="output_h",
                                  width="output_w", prefix="spatial_transformer.")
    if config.keypoint_supervision:
        if not config.HasField("spatial_transformer"):
            yield "keypoint_supervision", "needs a spatial_transformer"
        if config.regression_loss.WhichOneof("loss_oneof") != "l2_regression_loss":
            yield "regression_loss", "keypoint_supervision needs an l2_regression_loss here"


def _word_list(config: Any) -> Problems:
    if not config.text_file:
        yield "text_file", "is missing: a UTF-8 file, one word a line"


def _spatial_transformer(config: Any) -> Problems:
    if config.convnet.WhichOneof("convnet_oneof") is None:
        yield "convnet", _choices(config.convnet, "convnet_oneof")
    if config.max_control_point_distance and config.activation != "none":
        yield "max_control_point_distance", f"activation {config.activation} bounds the points already; remove one"
    if config.num_control_points % 2:
        yield "num_control_points", f"is {config.num_control_points}, expected an even number"
    yield from spline_terms(config)


def _feature_extractor(config: Any) -> Problems:
    if config.HasField("custom"):
        if config.HasField("convnet") or config.bidirectional_rnn:
            yield "custom", "stands in place of convnet and bidirectional_rnn; remove those or this"
    elif config.convnet.WhichOneof("convnet_oneof") is None:
        yield "", _choices(config.convnet, "convnet_oneof")


def _resnet(config: Any) -> Problems:
    if config.net_type != config.SINGLE_BRANCH:
        yield "net_type", "only SINGLE_BRANCH exists for resnet; crnn_net has branches"
    if config.net_depth != config.RESNET_50:
        yield "net_depth", "only RESNET_50, the 45-layer network of the paper, exists"


def _predictor(config: Any) -> Problems:
    if not re.fullmatch(_SCOPE, config.name, re.ASCII):
        yield "name", (f"is {config.name!r}, expected a scope of variables: a letter or digit of ASCII, then letters, "
                       "digits and . _ - /")
    if config.name.split("/")[0] == _OPTIMIZER_SCOPE:
        yield "name", f"is {config.name!r}, which is the scope of the optimizer; expected another name"


def _decoder_of(loss: str) -> Rule:
    """What decoders of all kinds share, with the only loss that this kind has."""
    def rule(config: Any) -> Problems:
        if not config.HasField("label_map"):
            yield "label_map", "expected a label_map here, or a character_set in the model"
        if config.loss.WhichOneof("loss_oneof") not in (None, loss):
            yield "loss", f"expected {loss}"
    return rule


_decoder = _decoder_of("sequence_cross_entropy_loss")


def _attention_predictor(config: Any) -> Problems:
    if config.HasField("lm_rnn_cell"):
        yield "lm_rnn_cell", "does not exist in this library (nor did it in the published one); remove it"


def _custom_predictor(config: Any) -> Problems:
    if not config.HasField("custom"):
        yield "", "expected custom, which names the factory"


def _label_map(config: Any) -> Problems:
    if not config.HasField("character_set"):
        yield "character_set", "is missing; name the characters here, or in the character_set of the model"
    if config.label_offset != 2:
        yield "label_offset", (f"is {config.label_offset}, but must be 2: labels 0 and 1 are start and end, and "
                               "characters follow; remove this field")


def _custom(config: Any) -> Problems:
    if not re.fullmatch(r"[\w.]+:\w+", config.factory):
        yield "factory", f"is {config.factory!r}, expected package.module:function"
    elif _is_standard(config.factory.partition(":")[0]):
        yield "factory", (f"is {config.factory!r}, of Python's own library, which makes no components; name a function "
                          "of yours, in a module with another name")
    names = [argument.name for argument in config.args]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield f"args[{i}].name", f"{name!r} is the name of another argument"


def _is_standard(module_name: str) -> bool:
    """A text such as "os:system" is a command of the shell, not a configuration."""
    name = module_name.partition(".")[0]
    folders = [os.path.join(sysconfig.get_paths()["stdlib"], inner) for inner in ("", "lib-dynload")]
    return name in sys.builtin_module_names or PathFinder.find_spec(name, folders) is not None


def _argument(config: Any) -> Problems:
    if not config.name or config.WhichOneof("value") is None:
        values = _choices(config, "value").replace("expected ", "")
        yield "", f"expected a name, and {values}"


_RULES: Dict[str, Tuple[Rule, ...]] = {
    "TrainEvalPipelineConfig": (_required("model"), _pipeline),
    "TrainConfig": (_train,),
    "EvalConfig": (_resized("data_preprocessing_steps"),),
    "InputReader": (_input_reader,),
    "Optimizer": (_optimizer,),
    "ManualStepLearningRate": (_manual_steps,),
    "OneCycleLearningRate": (_one_cycle,),
    "CosineDecayLearningRate": (_cosine_decay,),
    "PreprocessingStep": (_one_of("preprocessing_step"),),
    "ResizeImage": (pixels("target_height", "target_width"), pixels("target_height", "wide_target_width"),
                    wide("wide_aspect", "wide_target_width", narrow="target_width")),
    "ResizeImageRandomMethod": (pixels("target_height", "target_width"),),
    "ResizeImageKeepingAspect": (_keeping_aspect, pixels("target_height", "target_widths")),
    "NormalizeImage": (_normalize,),
    "RandomPixelValueScale": (_interval("minval", "maxval"),),
    "RandomJpeg": (_interval("min_quality", "max_quality"),),
    "RandomAdjustContrast": (_interval("min_delta", "max_delta", may_be_empty=False),),
    "RandomAdjustSaturation": (_interval("min_delta", "max_delta", may_be_empty=False),),
    "StringFiltering": (_string_filtering,),
    "Model": (_one_of("model_oneof"),),
    "MultiPredictorsRecognitionModel": (_model,),
    "WordList": (_word_list,),
    "SpatialTransformer": (_spatial_transformer, pixels("localization_h", "localization_w"),
                           wide("wide_input_w", "wide_output_w", narrow="output_w"),
                           _word(init_bias_pattern=("identity", "slope", "sine"), activation=("none", "sigmoid"))),
    "FeatureExtractor": (_feature_extractor,),
    "ResNet": (_resnet, _sizes(num_units=5, num_channels=6)),
    "CrnnNet": (_sizes(num_channels=7),),
    "StnConvnet": (_sizes(num_channels=6),),
    "BidirectionalRnn": (_required("fw_bw_rnn_cell"),),
    "RnnCell": (_one_of("rnn_cell_oneof"),),
    "Predictor": (_one_of("predictor_oneof"), _predictor),
    "CtcPredictor": (_decoder_of("ctc_loss"),),
    "AttentionPredictor": (_required("rnn_cell"), _attention_predictor, beam, _decoder),
    "CustomPredictor": (_custom_predictor, _decoder),
    "LabelMap": (_label_map,),
    "CharacterSet": (_one_of("source_oneof"), _not_empty("text_file")),
    "UniformInitializer": (_interval("minval", "maxval"),),
    "Custom": (_custom,),
    "Argument": (_argument,),
}
