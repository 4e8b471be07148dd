"""The rules that a configuration must meet.

A rule takes a message and yields (field, problem) for each thing that is wrong with it; an empty field name means the
message itself. The table at the end of this file says which rule belongs to which message.
"""
import math
import re
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

from google.protobuf.message import Message

Problems = Iterator[Tuple[str, str]]
Rule = Callable[[Any], Problems]

_RESIZE_STEPS = "resize_image", "resize_image_random_method", "resize_image_keeping_aspect"


def find_problems(message: Message) -> Problems:
    """Finds what is wrong with one message. The messages inside it are not looked at.

    Args:
      message: any message of protos/, with inherited fields filled in.

    Yields:
      The name of a field, or "" for the message as a whole, and what is wrong with it: what it is, what was expected.
    """
    for field, value in message.ListFields():
        if isinstance(value, float) and not math.isfinite(value):
            yield field.name, f"is {value:g}, expected a finite number"
    for rule in _RULES.get(message.DESCRIPTOR.name, ()):
        yield from rule(message)


# Rules that serve several messages

def _choices(message: Message, oneof: str, refused: Sequence[str] = ()) -> str:
    names = [field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields if field.name not in refused]
    return "expected one of " + ", ".join(names)


def _one_of(oneof: str, refused: Sequence[str] = ()) -> Rule:
    def rule(message: Any) -> Problems:
        kind = message.WhichOneof(oneof)
        if kind is None or kind in refused:
            yield kind or "", _choices(message, oneof, refused)
    return rule


def _at_least(**bounds: float) -> Rule:
    def rule(message: Any) -> Problems:
        for field, bound in sorted(bounds.items()):
            value = getattr(message, field)
            if not value >= bound:  # NaN is wrong too
                yield field, f"is {value:g}, expected {bound:g} or more"
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


def _required(*fields: str) -> Rule:
    def rule(message: Any) -> Problems:
        for field in fields:
            if not message.HasField(field):
                yield field, "is missing"
    return rule


# The experiment

def _pipeline(config: Any) -> Problems:
    readers, sizes = len(config.train_input_reader), len(config.train_config.batch_size)
    if config.train_config.eval_num_examples and not config.HasField("eval_input_reader"):
        yield "train_config.eval_num_examples", "needs an eval_input_reader"
    if config.HasField("train_config") and readers != sizes:
        yield "train_config.batch_size", (f"there are {sizes} batch sizes for {readers} train_input_reader; give each "
                                          "reader its share of the batch")


def _train(config: Any) -> Problems:
    for i, size in enumerate(config.batch_size):
        if size < 1:
            yield f"batch_size[{i}]", "is 0, expected 1 or more"
    yield from _required("optimizer")(config)
    for i, pattern in enumerate(config.freeze_variables):
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"freeze_variables[{i}]", f"{pattern!r} is not a regular expression ({error})"


def _resized(field: str) -> Rule:
    def rule(config: Any) -> Problems:
        kinds = [step.WhichOneof("preprocessing_step") for step in getattr(config, field)]
        if not set(_RESIZE_STEPS).intersection(kinds):
            yield field, f"no step gives all images one size; expected one of {', '.join(_RESIZE_STEPS)}"
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
    if not 0.0 <= config.moving_average_decay < 1.0:
        yield "moving_average_decay", f"is {config.moving_average_decay:g}, expected 0 to below 1"


def _manual_steps(config: Any) -> Problems:
    steps = [entry.step for entry in config.schedule]
    if steps != sorted(set(steps)):
        yield "schedule", f"the steps {steps} must grow from entry to entry"


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
        if getattr(config, low) == getattr(config, high):
            yield high, f"is {getattr(config, high):g}, expected another value than {low} has"


def _distort_color(config: Any) -> Problems:
    if config.color_ordering not in (0, 1):
        yield "color_ordering", f"is {config.color_ordering}, expected 0 or 1"


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
    if config.keypoint_supervision:
        if not config.HasField("spatial_transformer"):
            yield "keypoint_supervision", "needs a spatial_transformer"
        if config.regression_loss.WhichOneof("loss_oneof") != "l2_regression_loss":
            yield "regression_loss", "keypoint_supervision needs an l2_regression_loss here"


def _reading(config: Any) -> Problems:
    if not 0.0 < config.certain_probability <= 1.0:
        yield "certain_probability", f"is {config.certain_probability:g}, expected more than 0, up to 1"
    if not config.tall_ratio > 1.0:
        yield "tall_ratio", f"is {config.tall_ratio:g}, expected more than 1"
    if not 0.0 <= config.number_share <= 1.0:
        yield "number_share", f"is {config.number_share:g}, expected 0 to 1"


def _word_list(config: Any) -> Problems:
    if not config.text_file:
        yield "text_file", "is missing: a UTF-8 file, one word a line"


def _spatial_transformer(config: Any) -> Problems:
    if config.convnet.WhichOneof("convnet_oneof") is None:
        yield "convnet", _choices(config.convnet, "convnet_oneof")
    if config.num_control_points < 4 or config.num_control_points % 2:
        yield "num_control_points", f"is {config.num_control_points}, expected an even number of 4 or more"
    if config.max_control_point_distance and config.activation != "none":
        yield "max_control_point_distance", f"activation {config.activation} bounds the points already; remove one"
    for field in ("margin_x", "margin_y"):
        if not 0.0 <= getattr(config, field) < 0.5:
            yield field, f"is {getattr(config, field):g}, expected 0 to below 0.5"


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


def _decoder(config: Any) -> Problems:
    """What decoders of all kinds share."""
    if not config.HasField("label_map"):
        yield "label_map", "expected a label_map here, or a character_set in the model"
    if config.loss.WhichOneof("loss_oneof") == "l2_regression_loss":
        yield "loss", "expected sequence_cross_entropy_loss"


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
    if not re.match(r"[\w.]+:\w+$", config.factory):
        yield "factory", f"is {config.factory!r}, expected package.module:function"


def _argument(config: Any) -> Problems:
    if not config.name or config.WhichOneof("value") is None:
        values = _choices(config, "value").replace("expected ", "")
        yield "", f"expected a name, and {values}"


_RULES: Dict[str, Tuple[Rule, ...]] = {
    "TrainEvalPipelineConfig": (_required("model"), _pipeline),
    "TrainConfig": (_train, _resized("data_augmentation_options"), _at_least(
        gradient_clipping_by_norm=0, prefetch_queue_capacity=1, save_checkpoint_secs=1, save_summaries_steps=1,
        bias_grad_multiplier=0, gradient_clipping_by_global_norm=0, localization_learning_rate_factor=0)),
    "EvalConfig": (_resized("data_preprocessing_steps"), _at_least(num_examples=1, eval_interval_secs=1)),
    "InputReader": (_input_reader,),
    "Optimizer": (_optimizer,),
    "ConstantLearningRate": (_at_least(learning_rate=0),),
    "ManualStepLearningRate": (_manual_steps, _at_least(initial_learning_rate=0)),
    "LearningRateSchedule": (_at_least(learning_rate=0),),
    "OneCycleLearningRate": (_one_cycle, _at_least(max_learning_rate=0)),
    "ExponentialDecayLearningRate": (_at_least(initial_learning_rate=0, decay_factor=0, decay_steps=1),),
    "PreprocessingStep": (_one_of("preprocessing_step"),),
    "ResizeImage": (_at_least(target_height=1, target_width=1),),
    "ResizeImageRandomMethod": (_at_least(target_height=1, target_width=1),),
    "ResizeImageKeepingAspect": (_keeping_aspect, _at_least(target_height=1)),
    "NormalizeImage": (_normalize,),
    "RandomDistortColor": (_distort_color,),
    "StringFiltering": (_string_filtering,),
    "Model": (_one_of("model_oneof"),),
    "MultiPredictorsRecognitionModel": (_model,),
    "ReadingPolicy": (_reading,),
    "WordList": (_word_list, _at_least(bonus_per_character=0)),
    "SpatialTransformer": (_spatial_transformer, _word(init_bias_pattern=("identity", "slope", "sine"),
                                                       activation=("none", "sigmoid")),
                           _at_least(localization_h=32, localization_w=32, output_h=2, output_w=2,
                                     max_control_point_distance=0)),
    "FeatureExtractor": (_feature_extractor,),
    "ResNet": (_resnet, _sizes(num_units=5, num_channels=6)),
    "CrnnNet": (_sizes(num_channels=7),),
    "StnConvnet": (_sizes(num_channels=6),),
    "BidirectionalRnn": (_required("fw_bw_rnn_cell"), _at_least(num_output_units=0)),
    "RnnCell": (_one_of("rnn_cell_oneof"),),
    "LstmCell": (_at_least(num_units=1),),
    "GruCell": (_at_least(num_units=1),),
    "Predictor": (_one_of("predictor_oneof", refused=("ctc_predictor",)),),
    "AttentionPredictor": (_required("rnn_cell"), _attention_predictor, _decoder, _at_least(
        num_attention_units=1, max_num_steps=1, beam_width=1)),
    "CustomPredictor": (_custom_predictor, _decoder),
    "LabelMap": (_label_map, _at_least(unk_label=0)),
    "CharacterSet": (_one_of("source_oneof"),),
    "Custom": (_custom,),
    "Argument": (_argument,),
}
