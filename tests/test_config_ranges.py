"""Numbers and texts that no experiment can mean: each is refused, with file, line and field, before anything else."""
import os
from unittest import mock

import pytest
from experiment import make_experiment, make_long_words
from google.protobuf import text_format
from test_config import message_types

from aster.compat import tf
from aster.config import CONFIG_IN_EXP_DIR, ConfigError, is_repeated, read_config
from aster.config_ranges import FREE, RANGES, find_range, numbers_out_of_range
from aster.config_rules import find_problems
from aster.config_sizes import CONVNET_IMAGES, CRNN_BRANCHES_WIDTH
from aster.model import convnets, layers
from aster.protos import spatial_transformer_pb2

NO_NUMBERS = [float("nan"), float("inf"), -float("inf")]


def is_float(field):
    return field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT)


def is_unsigned(field):
    return field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)


def numeric_fields():
    """Message.field -> (descriptor of the message, of the field), for all numbers that have an effect."""
    fields = {}
    for message in message_types():
        for field in message.fields:
            is_integer = field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64)
            if (is_integer or is_unsigned(field) or is_float(field)) and not field.GetOptions().deprecated:
                fields[f"{message.name}.{field.name}"] = message, field
    return fields


def test_every_number_of_a_configuration_has_a_range_or_a_reason_to_have_none():
    assert len(numeric_fields()) > 70
    assert [name for name in sorted(numeric_fields()) if not find_range(*name.split(".")) and name not in FREE] == []
    assert [name for name in FREE if name not in numeric_fields() or find_range(*name.split("."))] == []
    fields = {field for name in numeric_fields() for field in (name, name.split(".")[1])}
    assert [name for name in RANGES if name not in fields] == []
    assert all(FREE.values())


def complaints(name, *values):
    """What numbers_out_of_range says of a message whose field `name` holds these values."""
    descriptor, field = numeric_fields()[name]
    message = descriptor._concrete_class()
    if is_repeated(field):
        getattr(message, field.name).extend(values)
    else:
        setattr(message, field.name, *values)
    return list(numbers_out_of_range(message))


@pytest.mark.parametrize("name", sorted(set(numeric_fields()) - set(FREE)))
def test_a_range_ends_where_it_says(name):
    _, field = numeric_fields()[name]
    allowed = find_range(*name.split("."))
    if not is_repeated(field) and not name.startswith("NormalizeImage.original"):  # which have no default of their own
        assert allowed.expectation(field.default_value) is None
    for end, outwards in (allowed.low, -1), (allowed.high, 1):
        if end == float("inf"):
            continue
        step = outwards * (1e-3 * max(1.0, abs(end)) if is_float(field) else 1)
        inside, outside = (end - step, end) if end in allowed.excluded else (end, end + step)
        assert not complaints(name, inside)
        if outside >= 0 or not is_unsigned(field):
            (place, problem), = complaints(name, outside)
            assert place.split("[")[0] == field.name and problem.startswith("is ") and "expected " in problem


@pytest.mark.parametrize("name", [name for name, (_, field) in sorted(numeric_fields().items()) if is_float(field)])
def test_every_number_is_finite(name):
    assert [len(complaints(name, value)) for value in NO_NUMBERS] == [1, 1, 1]


@pytest.mark.parametrize("name", [name for name, (_, field) in sorted(numeric_fields().items())
                                  if is_repeated(field)])
def test_an_element_of_a_list_is_named_by_its_index(name):
    allowed = find_range(*name.split("."))
    good = int(allowed.low)
    (place, _), = complaints(name, good, allowed.high + 1, good)
    assert place == name.split(".")[1] + "[1]"


# Each is a change of the tiny experiment: what stands there, what shall stand there, the field, and what was expected.
NORM = "batch_norm { decay: 0.9 }"
STEP = "data_augmentation_options {"
WIDTH = "target_width: 256"
POINTS = "num_control_points: 6"
FIRST_STEP = STEP + " %s } " + STEP
RATE = "learning_rate { constant_learning_rate { learning_rate: 0.01 } }"
ADAM = "adam_optimizer { " + RATE + " }"
LSTM = "lstm_cell { num_units: 8 }"
RECTIFIER = "localization_h: 32"
LABELS = "label_map {"
LOSS = "loss { sequence_cross_entropy_loss { weight: %s } } label_map {"


@pytest.mark.parametrize("old, new, field, expected", [
    (NORM, "batch_norm { decay: 5 }", "batch_norm.decay", "is 5, expected 0 to 1"),
    (NORM, "batch_norm { epsilon: -1 }", "batch_norm.epsilon", "is -1, expected more than 0, up to 1"),
    (NORM, "regularizer { l2_regularizer { weight: -5 } }", "l2_regularizer.weight", "is -5, expected 0 or more"),
    (NORM, "regularizer { l1_regularizer { weight: -5 } }", "l1_regularizer.weight", "is -5, expected 0 or more"),
    (LABELS, LOSS % -1, "sequence_cross_entropy_loss.weight", "is -1, expected more than 0"),
    (LABELS, LOSS % 0, "sequence_cross_entropy_loss.weight", "is 0, expected more than 0"),
    (NORM, "initializer { truncated_normal_initializer { stddev: -1 } }", "stddev", "is -1, expected 0 or more"),
    (NORM, "initializer { uniform_initializer { minval: 1 maxval: -1 } }", "maxval", "is -1, expected 1 or more"),
    (NORM, "initializer { variance_scaling_initializer { factor: -2 } }", "factor", "is -2, expected 0 or more"),
    (ADAM, f"momentum_optimizer {{ {RATE} momentum_optimizer_value: 50 }}", "momentum_optimizer_value",
     "is 50, expected 0 to below 1"),
    (ADAM, f"rms_prop_optimizer {{ {RATE} momentum_optimizer_value: 1 }}", "momentum_optimizer_value",
     "is 1, expected 0 to below 1"),
    (ADAM, f"adadelta_optimizer {{ {RATE} rho: 2 }}", "adadelta_optimizer.rho", "is 2, expected 0 to below 1"),
    (ADAM, f"rms_prop_optimizer {{ {RATE} epsilon: -1 }}", "rms_prop_optimizer.epsilon", "is -1, expected more than 0"),
    (ADAM, f"rms_prop_optimizer {{ {RATE} decay: 1.5 }}", "rms_prop_optimizer.decay", "expected 0 to below 1"),
    (ADAM, ADAM + " moving_average_decay: 1", "optimizer.moving_average_decay", "is 1, expected 0 to below 1"),
    ("learning_rate: 0.01", "learning_rate: -0.01", "learning_rate", "is -0.01, expected 0 or more"),
    (STEP, FIRST_STEP % "random_pixel_value_scale { minval: 2 maxval: 1 }", "random_pixel_value_scale.maxval",
     "is 1, expected 2 or more"),
    (STEP, FIRST_STEP % "random_rgb_to_gray { probability: 7 }", "probability", "is 7, expected 0 to 1"),
    (STEP, FIRST_STEP % "random_rgb_to_gray { probability: -7 }", "probability", "is -7, expected 0 to 1"),
    (STEP, FIRST_STEP % "random_adjust_hue { max_delta: 5 }", "random_adjust_hue.max_delta", "is 5, expected 0 to 0.5"),
    (STEP, FIRST_STEP % "random_adjust_brightness { max_delta: -1 }", "max_delta", "is -1, expected 0 to 1"),
    (STEP, FIRST_STEP % "random_adjust_contrast { min_delta: 1 max_delta: 1 }", "random_adjust_contrast.max_delta",
     "is 1, expected more than 1"),
    (STEP, FIRST_STEP % "random_adjust_saturation { min_delta: 2 max_delta: 1 }", "random_adjust_saturation.max_delta",
     "is 1, expected more than 2"),
    (STEP, FIRST_STEP % "random_adjust_contrast { min_delta: -1 }", "min_delta", "is -1, expected 0 or more"),
    (STEP, FIRST_STEP % "normalize_image { original_minval: 3 original_maxval: 3 }", "normalize_image.original_maxval",
     "expected another value"),
    (STEP, FIRST_STEP % "normalize_image { original_maxval: 1e-30 }", "original_maxval", "expected another value"),
    (STEP, FIRST_STEP % "random_distort_color { color_ordering: 2 }", "color_ordering", "is 2, expected 0 to 1"),
    ("batch_size: 4", "batch_size: 4294967295", "batch_size[0]", "is 4294967295, expected 1000000 or less"),
    ("target_height: 64", "target_height: 1000000000", "target_height", "expected 10000 or less"),
    ("target_width: 256", "target_width: 1000000000", "target_width", "expected "),
    ("target_height: 64 target_width: 256", "target_height: 4000 target_width: 4000", "resize_image.target_width",
     "is 4000 at a target_height of 4000, expected 4000000 pixels or less"),
    (RECTIFIER, "localization_h: 3", "spatial_transformer.localization_h", "is 3, expected 32 or more"),
    (RECTIFIER, "output_h: 3 localization_h: 32", "spatial_transformer.output_h", "is 3, expected 32 to 47: of other"),
    (RECTIFIER, "output_h: 48 localization_h: 32", "spatial_transformer.output_h", "is 48, expected 32 to 47"),
    (RECTIFIER, "output_w: 2 localization_h: 32", "spatial_transformer.output_w", "is 2, expected 12 or more"),
    (RECTIFIER, "output_w: 2000000000 localization_h: 32", "spatial_transformer", "expected "),
    ("num_control_points: 6", "num_control_points: 100000", "num_control_points", "expected "),
    ("num_control_points: 6", "num_control_points: 1000 output_w: 9999", "num_control_points", "50000000 or less"),
    (LSTM, "lstm_cell { num_units: 100000000 }", "lstm_cell.num_units", "expected 100000 or less"),
    (LSTM, "gru_cell { num_units: 100000000 }", "gru_cell.num_units", "expected 100000 or less"),
    ("num_attention_units: 8", "num_attention_units: 2000000000", "num_attention_units", "expected 100000 or less"),
    ("num_output_units: 8", "num_output_units: -8", "num_output_units", "is -8, expected 0 or more"),
    ("crnn_net { tiny: true", "crnn_net { num_channels: [1, 1, 1, 1, 1, 1, 4294967295]", "num_channels[6]",
     "is 4294967295, expected 100000 or less"),
    ("beam_width: 2", "beam_width: 2000000000", "beam_width", "is 2000000000, expected 1000 or less"),
    ("max_num_steps: 6 beam_width: 2", "max_num_steps: 101 beam_width: 1000", "beam_width",
     "is 1000, which times max_num_steps 101 is 101000, expected 100000 or less"),
    ("max_num_steps: 6", "max_num_steps: 2000000000", "max_num_steps", "expected 10000 or less"),
    ("queue_capacity: 8", "num_readers: 4294967295", "num_readers", "expected 1000 or less"),
    ('name: "Forward"', 'name: "For ward"', "predictor[0].name", "is 'For ward', expected a scope"),
    ('name: "Forward"', 'name: "\u00e4"', "predictor[0].name", "is '\u00e4', expected a scope"),
    ('name: "Forward"', 'name: "/Forward"', "predictor[0].name", "expected a scope"),
    ('name: "Forward"', 'name: "OptimizeClones"', "predictor[0].name", "the scope of the optimizer"),
    ("built_in_set: LOWERCASE", 'text_file: "a\\000b"', "character_set.text_file", "without the character NUL"),
    ("built_in_set: LOWERCASE", 'text_file: ""', "character_set.text_file", "is empty"),
    ("num_steps: 3", 'num_steps: 3 freeze_variables: ["a", "b\\000"]', "freeze_variables", "without the character NUL"),
    ("num_steps: 3", 'num_steps: 3 freeze_variables: "a{99999999999999999999}"', "freeze_variables[0]", "expression"),
    (STEP, FIRST_STEP % 'custom { factory: "a:b\\n" }', "custom.factory", "package.module:function"),
    (WIDTH, WIDTH + " wide_aspect: 4.5", "resize_image.wide_target_width", "is missing; wide_aspect needs it"),
    (WIDTH, WIDTH + " wide_target_width: 400", "resize_image.wide_aspect", "wide_target_width has no effect without"),
    (WIDTH, WIDTH + " wide_aspect: 4.5 wide_target_width: 256", "wide_target_width", "is 256, expected more than 256"),
    (WIDTH, WIDTH + " wide_aspect: 4.5 wide_target_width: 100000", "wide_target_width", "is 100000, expected 10000 or"),
    (STEP, FIRST_STEP % "resize_image { }" + " resize_image { wide_aspect: 4.5 wide_target_width: 600 } } " + STEP,
     "data_augmentation_options[1].resize_image.wide_aspect", "but resize_image has changed it before"),
    (POINTS, POINTS + " wide_input_w: 400 wide_output_w: 160", "wide_input_w",
     "is 400, but train_config.data_augmentation_options[0].resize_image makes images 256 pixels wide"),
    (POINTS, POINTS + " wide_input_w: 256 wide_output_w: 160", "wide_input_w", "that only that one reaches"),
    (STEP, FIRST_STEP % 'custom { factory: "a:b" args { name: "x" number: 1 } args { name: "x" number: 2 } }',
     "custom.args[1].name", "the name of another argument"),
])
def test_it_is_refused(tmp_path, old, new, field, expected):
    folder = make_experiment(tmp_path)
    path = os.path.join(folder, CONFIG_IN_EXP_DIR)
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    assert old in text
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.replace(old, new))
    with pytest.raises(ConfigError) as info:
        read_config(folder)
    line = text[:text.index(old)].count("\n") + 1
    assert str(info.value).startswith(f"{path}:{line}: ")
    assert field in str(info.value) and expected in str(info.value), info.value


@pytest.mark.parametrize("fields, field, expected", [
    ("wide_input_w: 400", "wide_output_w", "is missing; wide_input_w needs it"),
    ("wide_output_w: 160", "wide_input_w", "is missing; wide_output_w has no effect without it"),
    ("wide_input_w: 400 wide_output_w: 100", "wide_output_w", "is 100, expected more than 100, which is output_w"),
    ("output_h: 5000 num_control_points: 100 wide_input_w: 400 wide_output_w: 1000", "num_control_points",
     "times output_h 5000 times wide_output_w 1000 is 500000000, expected 50000000 or less"),
])
def test_long_images_of_the_rectifier(fields, field, expected):
    message = text_format.Parse("convnet { stn_convnet { } } " + fields, spatial_transformer_pb2.SpatialTransformer())
    assert list(find_problems(message)) == [(field, mock.ANY)]
    assert expected in list(find_problems(message))[0][1]


def test_long_images_are_turned_off_by_0(tmp_path):
    folder = make_experiment(tmp_path)
    make_long_words(folder)
    model = "model { multi_predictors_recognition_model { spatial_transformer { wide_input_w: %d } } }"
    assert read_config(folder, [model % 0])
    with pytest.raises(ConfigError, match="resize_image makes images 256 or 400 pixels wide"):
        read_config(folder, [model % 401])


# Without a rectifier, the encoder sees the images as the steps leave them

@pytest.mark.parametrize("step, field, expected", [
    ("resize_image { target_height: 31 target_width: 12 }", "resize_image.target_height", "is 31, expected 32 to 47"),
    ("resize_image { target_height: 32 target_width: 11 }", "resize_image.target_width", "is 11, expected 12 or more"),
    ("resize_image_random_method { target_height: 64 target_width: 256 }", "target_height", "is 64, expected 32 to 47"),
    ("resize_image_keeping_aspect { target_widths: [8, 64] }", "target_widths", "is 8, expected 12 or more"),
    ("resize_image { target_height: 47 target_width: 12 }", None, None),
    ("resize_image_keeping_aspect { target_widths: [12, 64] }", None, None),
])
@pytest.mark.parametrize("steps, index", [("train_config.data_augmentation_options", 0),
                                          ("eval_config.data_preprocessing_steps", 0)])
def test_images_suit_the_encoder(tmp_path, step, field, expected, steps, index):
    folder = make_experiment(tmp_path)
    path = os.path.join(folder, CONFIG_IN_EXP_DIR)
    with open(path) as stream:
        text = stream.read()
    first, last = text.index("  spatial_transformer {"), text.index("  feature_extractor {")
    text = text[:first] + text[last:]
    good = "resize_image { target_height: 32 target_width: 12 }"
    for name in "data_augmentation_options", "data_preprocessing_steps":
        text = text.replace(name + " { resize_image { target_height: 64 target_width: 256 }",
                            f"{name} {{ {step if name in steps else good}")
    with open(path, "w") as stream:
        stream.write(text)
    if expected is None:
        read_config(folder)
        return
    with pytest.raises(ConfigError) as info:
        read_config(folder)
    assert f"{steps}[{index}]." in str(info.value) and field in str(info.value) and expected in str(info.value)


@pytest.mark.parametrize("kind, net", [
    ("crnn_net", lambda style: convnets.CrnnNet(style, channels=[1] * 7)),
    ("crnn_net with branches", lambda style: convnets.CrnnNet(style, num_branches=3, channels=[1] * 7)),
    ("resnet", lambda style: convnets.ResNet(style, channels=[1] * 6, units=[1] * 5)),
    ("stn_convnet", lambda style: convnets.StnConvnet(style, channels=[1] * 6)),
])
def test_the_sizes_are_what_the_convnets_need(kind, net):
    lowest, highest, narrowest = CONVNET_IMAGES[kind.split()[0]]
    narrowest = CRNN_BRANCHES_WIDTH if "branches" in kind else narrowest

    def shapes(height, width):
        with tf.Graph().as_default():
            maps = net(layers.LayerStyle(layers.variance_scaling()))(tf.zeros([1, height, width, 3]), False)
            return [tuple(feature_map.shape.as_list()[1:3]) for feature_map in maps]

    for height in lowest, highest:
        assert all(shape[0] == 1 and shape[1] >= 1 for shape in shapes(height, narrowest))
    for height, width in (lowest - 1, narrowest), (highest + 1, narrowest), (lowest, narrowest - 1):
        try:
            wrong = shapes(height, width)
        except ValueError:
            continue
        assert any(shape[0] != 1 or shape[1] < 1 for shape in wrong), (height, width, wrong)
