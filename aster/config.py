"""Reading and checking an experiment's configuration (protos/pipeline.proto).

Every error is a ConfigError that names file, line and field, what was expected and what to do.
"""
import itertools
import math
import os
import re

from google.protobuf import text_format
from google.protobuf.message import Message

from aster.protos import convnet_pb2, pipeline_pb2

CONFIG_IN_EXP_DIR = os.path.join("config", "trainval.prototxt")


class ConfigError(ValueError):
    """A configuration that can't be used; the message says where and why."""


def read_config(path, overrides=()):
    """A prototxt, or an experiment folder that holds config/trainval.prototxt -> TrainEvalPipelineConfig."""
    if os.path.isdir(path):
        path = os.path.join(path, CONFIG_IN_EXP_DIR)
    try:
        with open(path, "rb") as stream:
            text = stream.read().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: can't read the configuration ({error.strerror}); an experiment folder holds {CONFIG_IN_EXP_DIR}")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the configuration is not UTF-8 text ({error})")
    config = pipeline_pb2.TrainEvalPipelineConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        where, _, problem = str(error).partition(" : ")
        problem = problem.rstrip(".")
        raise ConfigError("{}:{}: {}; protos/ lists the fields of every message".format(path, where if problem else "1", problem or str(error)))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a configuration ({error})")
    _check(config, path, text)
    return config


def check_clones(config, num_clones, path):
    """Raises ConfigError unless every reader's share of the batch can be dealt out to the clones."""
    if num_clones < 1:
        raise ConfigError("--num_clones is %d, expected 1 or more" % num_clones)
    for i, size in enumerate(config.train_config.batch_size):
        if size % num_clones:
            raise ConfigError("%s: train_config.batch_size[%d] is %d, which %d clones can't share equally; "
                              "change it or --num_clones" % (path, i, size, num_clones))


def unused_fields(config):
    """Names of the fields that are set but that nothing reads, as in the published system."""
    unused = {"TrainConfig": ("sync_replicas", "from_detection_checkpoint", "startup_delay_steps",
                              "replicas_to_aggregate", "batch_queue_capacity", "num_batch_queue_threads"),
              "EvalConfig": ("save_graph", "visualization_export_dir", "eval_master", "export_path",
                             "ignore_groundtruth", "eval_instance_masks"),
              "InputReader": ("label_map_path", "min_after_dequeue", "load_instance_masks")}
    found = []
    for path, message in _walk(config):
        for field in unused.get(message.DESCRIPTOR.name, ()):
            if message.HasField(field):
                found.append(f"{path}.{field}")
    return found


def _check(config, path, text):
    lines = _line_numbers(text)
    for where, message in _walk(config):
        rule = _RULES.get(message.DESCRIPTOR.name)
        for field, problem in itertools.chain(_check_finite(message), rule(message) if rule else ()):
            full = ".".join(filter(None, [where, field]))
            line, known = None, full
            while line is None and known:  # an absent field has its message's line
                line = lines.get(known)
                known = known.rpartition(".")[0]
            raise ConfigError("%s:%d: %s: %s" % (path, line or 1, full, problem))


def _walk(message, path=""):
    """(dotted path, message) of a message and of all below it; elements of repeated fields as name[i]."""
    yield path, message
    prefix = path + "." if path else ""
    for field, value in message.ListFields():
        if isinstance(value, Message):
            for pair in _walk(value, prefix + field.name):
                yield pair
        elif field.message_type is not None:
            for i, element in enumerate(value):
                for pair in _walk(element, "%s%s[%d]" % (prefix, field.name, i)):
                    yield pair


def _line_numbers(text):
    """Dotted path -> line number. Every field is entered as name and as name[i], counted in its message."""
    lines, scopes, counts = {}, [""], [{}]
    pending = None
    token = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[-+\w.]+|\n|[{}<>:]')
    line, after_colon = 1, False
    for match in token.finditer(text):
        word = match.group()
        if word == "\n":
            line += 1
        elif word in "{<":
            scopes.append(pending or "")
            counts.append({})
            after_colon = False
        elif word in "}>":
            if len(scopes) > 1:
                scopes.pop()
                counts.pop()
        elif word == ":":
            after_colon = True
        elif after_colon:  # the field's value
            after_colon = False
        elif re.match(r"[A-Za-z_]", word):
            prefix = scopes[-1] + "." if scopes[-1] else ""
            number = counts[-1].get(word, 0)
            counts[-1][word] = number + 1
            indexed = "%s%s[%d]" % (prefix, word, number)
            lines[indexed] = line
            lines.setdefault(prefix + word, line)
            pending = indexed if word in _REPEATED else prefix + word
    return lines


_REPEATED = frozenset(["bidirectional_rnn", "predictor", "train_input_reader", "data_augmentation_options",
                       "data_preprocessing_steps", "schedule", "rnn_cell", "args"])


# Rules: message -> (field, problem) for each thing that is wrong with it. `field` is "" for the message.

def _check_finite(message):
    for field, value in message.ListFields():
        if isinstance(value, float) and not math.isfinite(value):
            yield field.name, f"is {value:g}, expected a finite number"


def _one_of(oneof, choices):
    def rule(message):
        if message.WhichOneof(oneof) is None:
            yield "", f"expected one of {choices}"
    return rule


def _at_least(**bounds):
    def rule(message):
        for field, bound in sorted(bounds.items()):
            value = getattr(message, field)
            if not value >= bound:  # NaN is wrong too
                yield field, f"is {value:g}, expected {bound:g} or more"
    return rule


def _all(*rules):
    def rule(message):
        for one in rules:
            yield from one(message)
    return rule


def _check_pipeline(config):
    if not config.HasField("model"):
        yield "model", "is missing"
    readers, sizes = len(config.train_input_reader), len(config.train_config.batch_size)
    if config.train_config.eval_num_examples and not config.HasField("eval_input_reader"):
        yield "train_config.eval_num_examples", "needs an eval_input_reader"
    if config.HasField("train_config") and readers != sizes:
        yield "train_config.batch_size", ("there are %d batch sizes for %d train_input_reader; give each reader "
                                          "its share of the batch" % (sizes, readers))


def _check_train(config):
    for i, size in enumerate(config.batch_size):
        if size < 1:
            yield "batch_size[%d]" % i, "is 0, expected 1 or more"
    if not config.HasField("optimizer"):
        yield "optimizer", "is missing"
    for i, pattern in enumerate(config.freeze_variables):
        try:
            re.compile(pattern)
        except re.error as error:
            yield "freeze_variables[%d]" % i, f"{pattern!r} is not a regular expression ({error})"
    yield from _check_resized(config.data_augmentation_options, "data_augmentation_options")


def _check_eval(config):
    return _check_resized(config.data_preprocessing_steps, "data_preprocessing_steps")


def _check_resized(steps, field):
    kinds = [step.WhichOneof("preprocessing_step") for step in steps]
    if not {"resize_image", "resize_image_random_method", "resize_image_keeping_aspect"}.intersection(kinds):
        yield field, ("no step gives all images one size; add resize_image, resize_image_random_method or "
                      "resize_image_keeping_aspect")


def _check_optimizer(config):
    if config.WhichOneof("optimizer") is None:
        yield "", "expected one of rms_prop_optimizer, momentum_optimizer, adam_optimizer, nadam_optimizer, " \
                  "adadelta_optimizer"
    elif getattr(config, config.WhichOneof("optimizer")).learning_rate.WhichOneof("learning_rate") is None:
        yield config.WhichOneof("optimizer"), "has no learning_rate with constant_learning_rate, " \
                                              "exponential_decay_learning_rate, manual_step_learning_rate or " \
                                              "one_cycle_learning_rate"
    if not 0.0 <= config.moving_average_decay < 1.0:
        yield "moving_average_decay", f"is {config.moving_average_decay:g}, expected 0 to below 1"


def _check_manual_steps(config):
    steps = [entry.step for entry in config.schedule]
    if steps != sorted(set(steps)):
        yield "schedule", f"the steps {steps} must grow from entry to entry"


def _check_one_cycle(config):
    if not config.num_steps > config.num_warmup_steps:
        yield "num_steps", "is %d, expected more than the %d of num_warmup_steps" % (
            config.num_steps, config.num_warmup_steps)


def _check_model(config):
    if not config.HasField("feature_extractor"):
        yield "feature_extractor", "is missing"
    if not config.predictor:
        yield "predictor", "there is none; expected at least one"
    names = [predictor.name for predictor in config.predictor]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield "predictor[%d].name" % i, f"{name!r} is the name of another predictor"
    if config.keypoint_supervision:
        if not config.HasField("spatial_transformer"):
            yield "keypoint_supervision", "needs a spatial_transformer"
        if config.regression_loss.WhichOneof("loss_oneof") != "l2_regression_loss":
            yield "regression_loss", "keypoint_supervision needs an l2_regression_loss here"


def _check_spatial_transformer(config):
    if config.convnet.WhichOneof("convnet_oneof") is None:
        yield "convnet", "expected one of crnn_net, resnet, stn_convnet, custom"
    if config.num_control_points < 4 or config.num_control_points % 2:
        yield "num_control_points", "is %d, expected an even number of 4 or more" % config.num_control_points
    if config.init_bias_pattern not in ("identity", "slope", "sine"):
        yield "init_bias_pattern", f"is {config.init_bias_pattern!r}, expected identity, slope or sine"
    if config.activation not in ("none", "sigmoid"):
        yield "activation", f"is {config.activation!r}, expected none or sigmoid"
    for field in ("margin_x", "margin_y"):
        if not 0.0 <= getattr(config, field) < 0.5:
            yield field, f"is {getattr(config, field):g}, expected 0 to below 0.5"


def _check_sizes(**lengths):
    """Fields that list a size for each part of a network: all of them, or none."""
    def rule(message):
        for field, length in sorted(lengths.items()):
            sizes = list(getattr(message, field))
            if sizes and (len(sizes) != length or min(sizes) < 1):
                yield field, "is %s, expected %d numbers of 1 or more" % (sizes, length)
    return rule


def _check_resnet(config):
    if config.net_type != convnet_pb2.ResNet.SINGLE_BRANCH:
        yield "net_type", "only SINGLE_BRANCH exists for resnet; crnn_net has branches"
    if config.net_depth != convnet_pb2.ResNet.RESNET_50:
        yield "net_depth", "only RESNET_50, the 45-layer network of the paper, exists"


def _check_predictor(config):
    if config.WhichOneof("predictor_oneof") not in ("attention_predictor", "custom_predictor"):
        yield config.WhichOneof("predictor_oneof") or "", "expected attention_predictor or custom_predictor"


def _check_feature_extractor(config):
    if config.HasField("custom"):
        if config.HasField("convnet") or config.bidirectional_rnn:
            yield "custom", "stands in place of convnet and bidirectional_rnn; remove those or this"
    elif config.convnet.WhichOneof("convnet_oneof") is None:
        yield "", "expected one of crnn_net, resnet, stn_convnet, custom"


def _check_custom_predictor(config):
    if not config.HasField("custom"):
        yield "", "expected custom, which names the factory"
    if not config.HasField("label_map"):
        yield "", "expected a label_map"
    if config.loss.WhichOneof("loss_oneof") == "l2_regression_loss":
        yield "loss", "expected sequence_cross_entropy_loss"


def _check_custom(config):
    if not re.match(r"[\w.]+:\w+$", config.factory):
        yield "factory", f"is {config.factory!r}, expected package.module:function"


def _check_argument(config):
    if not config.name or config.WhichOneof("value") is None:
        yield "", "expected a name, and one of number, text, flag"


def _check_attention_predictor(config):
    if not config.HasField("rnn_cell"):
        yield "rnn_cell", "is missing"
    if config.HasField("lm_rnn_cell"):
        yield "lm_rnn_cell", "does not exist in this library (nor did it in the published one); remove it"
    if config.loss.WhichOneof("loss_oneof") == "l2_regression_loss":
        yield "loss", "expected sequence_cross_entropy_loss"


def _check_label_map(config):
    if config.character_set.WhichOneof("source_oneof") is None:
        yield "character_set", "expected one of text_file, text_string, built_in_set"
    if config.label_offset != 2:
        yield "label_offset", "is %d, but must be 2: labels 0 and 1 are start and end, and characters follow" % (
            config.label_offset)


def _check_reading(config):
    if not 0.0 < config.certain_probability <= 1.0:
        yield "certain_probability", f"is {config.certain_probability:g}, expected more than 0, up to 1"
    if not config.tall_ratio > 1.0:
        yield "tall_ratio", f"is {config.tall_ratio:g}, expected more than 1"
    if not 0.0 <= config.number_share <= 1.0:
        yield "number_share", f"is {config.number_share:g}, expected 0 to 1"


def _check_word_list(config):
    if not config.text_file:
        yield "text_file", "is missing: a UTF-8 file, one word a line"


def _check_bidirectional_rnn(config):
    if not config.HasField("fw_bw_rnn_cell"):
        yield "fw_bw_rnn_cell", "is missing"


def _check_input_reader(config):
    if not config.HasField("custom") and not config.tf_record_input_reader.input_path:
        yield "tf_record_input_reader", "expected input_path, the TFRecord file(s) to read"


_RULES = {
    "TrainEvalPipelineConfig": _check_pipeline,
    "TrainConfig": _all(_check_train, _at_least(gradient_clipping_by_norm=0, prefetch_queue_capacity=1,
                                                save_checkpoint_secs=1, save_summaries_steps=1,
                                                bias_grad_multiplier=0)),
    "EvalConfig": _all(_check_eval, _at_least(num_examples=1, eval_interval_secs=1)),
    "Optimizer": _check_optimizer,
    "ConstantLearningRate": _at_least(learning_rate=0),
    "ManualStepLearningRate": _all(_check_manual_steps, _at_least(initial_learning_rate=0)),
    "LearningRateSchedule": _at_least(learning_rate=0),
    "OneCycleLearningRate": _all(_check_one_cycle, _at_least(max_learning_rate=0)),
    "ExponentialDecayLearningRate": _at_least(initial_learning_rate=0, decay_factor=0, decay_steps=1),
    "Model": _one_of("model_oneof", "multi_predictors_recognition_model"),
    "MultiPredictorsRecognitionModel": _check_model,
    "ReadingPolicy": _check_reading,
    "WordList": _all(_check_word_list, _at_least(bonus_per_character=0)),
    "SpatialTransformer": _all(_check_spatial_transformer, _at_least(
        localization_h=32, localization_w=32, output_h=2, output_w=2)),
    "FeatureExtractor": _check_feature_extractor,
    "CustomPredictor": _check_custom_predictor,
    "Custom": _check_custom,
    "Argument": _check_argument,
    "ResNet": _all(_check_resnet, _check_sizes(num_units=5, num_channels=6)),
    "CrnnNet": _check_sizes(num_channels=7),
    "StnConvnet": _check_sizes(num_channels=6),
    "BidirectionalRnn": _all(_check_bidirectional_rnn, _at_least(num_output_units=0)),
    "Predictor": _check_predictor,
    "AttentionPredictor": _all(_check_attention_predictor, _at_least(
        num_attention_units=1, max_num_steps=1, beam_width=1)),
    "RnnCell": _one_of("rnn_cell_oneof", "lstm_cell, gru_cell"),
    "LabelMap": _check_label_map,
    "LstmCell": _at_least(num_units=1),
    "GruCell": _at_least(num_units=1),
    "InputReader": _check_input_reader,
    "PreprocessingStep": _one_of("preprocessing_step", "the steps that protos/preprocessor.proto lists"),
    "ResizeImage": _at_least(target_height=1, target_width=1),
    "ResizeImageRandomMethod": _at_least(target_height=1, target_width=1),
}
