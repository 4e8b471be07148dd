"""The numbers that each field of a configuration may hold.

Every numeric field of protos/ is in one of the two tables below, except those that have no effect. A test walks protos/
and checks that. Upper ends are far beyond any real use. They are there so that a slip of the keyboard ends with the
name of the field, and not with a machine out of memory.
"""
import math
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from google.protobuf.message import Message

_MAX_SIZE = 10000        # pixels of a side of an image
_MAX_UNITS = 100000      # units or channels of a layer
_MAX_PIXEL_VALUE = 1e6   # in either direction
_MAX_PARAMETER = 1000.0  # of a weight that is drawn, in either direction
_NO_END = math.inf       # other than that of the field's type


class Range(NamedTuple):
    """The numbers from `low` to `high`, without those that are `excluded` (one end, or both)."""
    low: float
    high: float
    excluded: Tuple[float, ...] = ()

    def expectation(self, value: float) -> Optional[str]:
        """Says what was expected of a number, or None if it is in the range.

        Of a fraction both ends are named; otherwise the one that the number is beyond.
        """
        if self.low <= value <= self.high and value not in self.excluded:
            return None
        low, high = _text(self.low), _text(self.high)
        if self.high <= 1:
            if self.low in self.excluded:
                return f"more than {low}, up to {high}"
            return f"{low} to {'below ' if self.high in self.excluded else ''}{high}"
        if value > self.low:
            return f"{high} or less"
        return f"more than {low}" if self.low in self.excluded else f"{low} or more"


_SHARE = Range(0, 1)
_DECAY = Range(0, 1, excluded=(1,))   # an average that decays by 1 never changes
_EPSILON = Range(0, 1, excluded=(0,))
_PENALTY = Range(0, 1e6)
_LOSS_WEIGHT = Range(0, 1e6, excluded=(0,))
_LEARNING_RATE = Range(0, _NO_END)    # training itself watches for divergence
_SIZE = Range(1, _MAX_SIZE)
_LOCALIZATION_SIZE = Range(32, _MAX_SIZE)  # the convnet halves it five times
_MARGIN = Range(0, 0.5, excluded=(0.5,))
_UNITS = Range(1, _MAX_UNITS)
_CHANNELS = Range(0, _MAX_UNITS)      # a rule on the whole list says that none is 0
_PARAMETER = Range(-_MAX_PARAMETER, _MAX_PARAMETER)
_PIXEL_VALUE = Range(-_MAX_PIXEL_VALUE, _MAX_PIXEL_VALUE)
_FACTOR = Range(0, 1000)

# Message.field, or a field of any message, -> what it may hold; of a repeated field, what each element may hold.
RANGES: Dict[str, Range] = {
    "TrainConfig.batch_size": Range(1, 1000000),
    "TrainConfig.gradient_clipping_by_norm": Range(0, _NO_END),
    "TrainConfig.gradient_clipping_by_global_norm": Range(0, _NO_END),
    "TrainConfig.localization_learning_rate_factor": _FACTOR,
    "TrainConfig.learning_rate_warmup_steps": Range(0, _NO_END),
    "TrainConfig.bias_grad_multiplier": Range(0, 1e6),
    "TrainConfig.prefetch_queue_capacity": Range(1, 1000),
    "TrainConfig.save_checkpoint_secs": Range(1, _NO_END),
    "TrainConfig.save_summaries_steps": Range(1, _NO_END),
    "TrainConfig.startup_delay_steps": Range(0, _NO_END),
    "TrainConfig.replicas_to_aggregate": Range(1, 100000),
    "TrainConfig.cluster_timeout_secs": Range(1, _NO_END),
    "EvalConfig.num_visualizations": Range(0, 100000),
    "EvalConfig.num_examples": Range(1, _NO_END),
    "EvalConfig.eval_interval_secs": Range(1, _NO_END),
    "InputReader.num_readers": Range(0, 1000),

    "Optimizer.moving_average_decay": _DECAY,
    "RMSPropOptimizer.momentum_optimizer_value": _DECAY,
    "RMSPropOptimizer.decay": _DECAY,
    "RMSPropOptimizer.epsilon": Range(0, 1e6, excluded=(0,)),
    "MomentumOptimizer.momentum_optimizer_value": _DECAY,
    "AdadeltaOptimizer.rho": _DECAY,
    "AdamWOptimizer.weight_decay": _FACTOR,
    "ConstantLearningRate.learning_rate": _LEARNING_RATE,
    "ExponentialDecayLearningRate.initial_learning_rate": _LEARNING_RATE,
    "ExponentialDecayLearningRate.decay_steps": Range(1, _NO_END),
    "ExponentialDecayLearningRate.decay_factor": Range(0, 1e6),
    "OneCycleLearningRate.max_learning_rate": _LEARNING_RATE,
    "CosineDecayLearningRate.initial_learning_rate": _LEARNING_RATE,
    "CosineDecayLearningRate.final_factor": _SHARE,
    "ManualStepLearningRate.initial_learning_rate": _LEARNING_RATE,
    "LearningRateSchedule.learning_rate": _LEARNING_RATE,

    "ResizeImage.target_height": _SIZE,
    "ResizeImage.target_width": _SIZE,
    "ResizeImage.wide_aspect": Range(0, 1000),
    "ResizeImage.wide_target_width": Range(0, _MAX_SIZE),
    "ResizeImageRandomMethod.target_height": _SIZE,
    "ResizeImageRandomMethod.target_width": _SIZE,
    "ResizeImageKeepingAspect.target_height": _SIZE,
    "ResizeImageKeepingAspect.target_widths": _SIZE,
    "NormalizeImage.original_minval": _PIXEL_VALUE,
    "NormalizeImage.original_maxval": _PIXEL_VALUE,
    "NormalizeImage.target_minval": _PIXEL_VALUE,
    "NormalizeImage.target_maxval": _PIXEL_VALUE,
    "SubtractChannelMean.means": _PIXEL_VALUE,
    "RandomPixelValueScale.minval": _FACTOR,
    "RandomPixelValueScale.maxval": _FACTOR,
    "probability": _SHARE,  # of every step that changes some images
    "RandomAdjustBrightness.max_delta": _SHARE,
    "RandomAdjustContrast.min_delta": _FACTOR,
    "RandomAdjustContrast.max_delta": _FACTOR,
    "RandomAdjustHue.max_delta": Range(0, 0.5),
    "RandomAdjustSaturation.min_delta": _FACTOR,
    "RandomAdjustSaturation.max_delta": _FACTOR,
    "RandomDistortColor.color_ordering": Range(0, 1),
    "RandomWarp.max_rotation": Range(0, 180),
    "RandomWarp.max_shear": Range(0, 60),
    "RandomWarp.max_perspective": Range(0, 0.125),  # from 0.25 on, three corners could lie on a line
    "RandomBlur.max_sigma": Range(0, 100),
    "RandomNoise.max_stddev": _SHARE,
    "RandomJpeg.min_quality": Range(1, 100),
    "RandomJpeg.max_quality": Range(1, 100),
    "RandomDownscale.min_factor": Range(0, 1, excluded=(0,)),

    "SpatialTransformer.localization_h": _LOCALIZATION_SIZE,
    "SpatialTransformer.localization_w": _LOCALIZATION_SIZE,
    "SpatialTransformer.output_h": Range(2, _MAX_SIZE),
    "SpatialTransformer.output_w": Range(2, _MAX_SIZE),
    "SpatialTransformer.margin_x": _MARGIN,
    "SpatialTransformer.margin_y": _MARGIN,
    "SpatialTransformer.num_control_points": Range(4, 1000),
    "SpatialTransformer.max_control_point_distance": _FACTOR,
    "SpatialTransformer.wide_input_w": Range(0, _MAX_SIZE),
    "SpatialTransformer.wide_output_w": Range(0, _MAX_SIZE),
    "ResNet.num_units": Range(0, 1000),
    "num_channels": _CHANNELS,  # of every convnet
    "BidirectionalRnn.num_output_units": Range(0, _MAX_UNITS),
    "LstmCell.num_units": _UNITS,
    "LstmCell.forget_bias": _PARAMETER,
    "GruCell.num_units": _UNITS,
    "AttentionPredictor.num_attention_units": _UNITS,
    "AttentionPredictor.max_num_steps": Range(1, 10000),
    "AttentionPredictor.beam_width": Range(1, 1000),
    "CtcPredictor.beam_width": Range(1, 100),
    "CtcPredictor.max_characters": Range(1, 10000),
    "ReadingPolicy.certain_probability": Range(0, 1, excluded=(0,)),
    "ReadingPolicy.tall_ratio": Range(1, _NO_END, excluded=(1,)),
    "ReadingPolicy.number_share": _SHARE,
    "ReadingPolicy.doubtful_probability": _SHARE,
    "ReadingPolicy.min_contrast": Range(0, 256),
    "ReadingPolicy.wide_characters": Range(0, 10000),
    "WordList.bonus_per_character": Range(0, 1000),
    "LabelMap.unk_label": Range(0, 0x110000 + 2),  # the characters of Unicode, start and end

    "SequenceCrossEntropyLoss.weight": _LOSS_WEIGHT,
    "SequenceCrossEntropyLoss.label_smoothing": Range(0, 1, excluded=(1,)),
    "L2RegressionLoss.weight": _LOSS_WEIGHT,
    "CtcLoss.weight": _LOSS_WEIGHT,
    "L1Regularizer.weight": _PENALTY,
    "L2Regularizer.weight": _PENALTY,
    "BatchNorm.decay": _SHARE,
    "BatchNorm.epsilon": _EPSILON,
    "TruncatedNormalInitializer.mean": _PARAMETER,
    "TruncatedNormalInitializer.stddev": Range(0, _MAX_PARAMETER),
    "VarianceScalingInitializer.factor": Range(0, 1e6),
    "OrthogonalInitializer.gain": _PARAMETER,
    "UniformInitializer.minval": _PARAMETER,
    "UniformInitializer.maxval": _PARAMETER,
}

# Message.field -> why every number that its type can hold is right.
FREE: Dict[str, str] = {
    "TrainConfig.keep_checkpoint_every_n_hours": "0 keeps every checkpoint, a large number only the latest ones",
    "TrainConfig.num_steps": "0 never stops",
    "TrainConfig.early_stopping_evaluations": "0 goes on",
    "TrainConfig.seed": "a seed may be any number",
    "TrainConfig.eval_num_examples": "there are no more samples than the data has",
    "EvalConfig.max_evals": "0 never stops",
    "InputReader.queue_capacity": "the buffer never holds more records than the data has",
    "InputReader.num_epochs": "0 is without end",
    "LearningRateSchedule.step": "a step may be never reached",
    "OneCycleLearningRate.num_warmup_steps": "a rule of the message compares it with num_steps",
    "CosineDecayLearningRate.num_steps": "a rule of the message says that it is there",
    "OneCycleLearningRate.num_steps": "a rule of the message compares it with num_warmup_steps",
    "OrthogonalInitializer.seed": "a seed may be any number",
    "LabelMap.label_offset": "a rule of the message says that it is 2",
    "Argument.number": "the user's function knows what it may be",
}


def find_range(message_name: str, field_name: str) -> Optional[Range]:
    """Looks up the range of a field. Returns None where it may hold any number."""
    return RANGES.get(f"{message_name}.{field_name}") or RANGES.get(field_name)


def numbers_out_of_range(message: Message) -> Iterator[Tuple[str, str]]:
    """Finds the numbers of one message that are not in their range. The messages inside it are not looked at.

    Args:
      message: any message of protos/.

    Yields:
      The name of a field, of a repeated field with its index, and what is wrong with it.
    """
    for field, value in message.ListFields():
        allowed = find_range(message.DESCRIPTOR.name, field.name)
        for name, number in _numbers(field.name, value):
            expected = None
            if not math.isfinite(number):
                expected = "a finite number"
            elif allowed:
                expected = allowed.expectation(number)
            if expected:
                yield name, f"is {_text(number)}, expected {expected}"


def _numbers(name: str, value: Any) -> Iterator[Tuple[str, float]]:
    """(name, number) of a field's value, of each element of a list. Nothing for texts and messages."""
    if isinstance(value, (int, float)):
        yield name, value
    elif not isinstance(value, (str, bytes, Message)):
        for i, element in enumerate(value):
            yield from _numbers(f"{name}[{i}]", element)


def _text(number: float) -> str:
    """A number as one would write it: of a float32 not the noise."""
    return str(number) if isinstance(number, int) else f"{number:.7g}"
