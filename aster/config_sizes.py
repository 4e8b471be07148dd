"""Rules on the sizes of images: that they fit in memory, and that the convnet of the encoder can take them.

As in config_rules.py, a rule yields (field, problem) for each thing that is wrong with a message.
"""
from typing import Any, Callable, Iterator, Sequence, Tuple

Problems = Iterator[Tuple[str, str]]

RESIZE_STEPS = "resize_image", "resize_image_random_method", "resize_image_keeping_aspect"
_MAX_PIXELS = 4000000           # of one image; a batch has many
_MAX_SPLINE_TERMS = 50000000    # pixels of the rectified image times control points; a term takes some 20 bytes
_MAX_HYPOTHESES = 100000        # of one image; each takes some 50 bytes, and 4 for each column of the features

# The heights of images of which a convnet makes feature maps of height 1, and the smallest width.
CONVNET_IMAGES = {"crnn_net": (32, 47, 12), "resnet": (1, 32, 1), "stn_convnet": (32, 63, 32)}
CRNN_BRANCHES_WIDTH = 16  # the smallest one where there are several branches


def pixels(height: str, width: str) -> Callable[[Any], Problems]:
    """The size of an image, or the largest of several widths."""
    def rule(message: Any) -> Problems:
        widths = getattr(message, width)
        last = widths if isinstance(widths, int) else max(widths, default=0)
        if getattr(message, height) * last > _MAX_PIXELS:
            yield width, (f"is {last} at a {height} of {getattr(message, height)}, expected {_MAX_PIXELS} pixels or "
                          "less")
    return rule


def spline_terms(transformer: Any) -> Problems:
    """What a SpatialTransformer message needs in memory, which is more than its single fields tell."""
    for field in "output_w", "wide_output_w":
        width = getattr(transformer, field)
        terms = transformer.output_h * width * transformer.num_control_points
        if terms > _MAX_SPLINE_TERMS:
            yield "num_control_points", (
                f"is {transformer.num_control_points}, which times output_h {transformer.output_h} times {field} "
                f"{width} is {terms}, expected {_MAX_SPLINE_TERMS} or less")


def wide(switch: str, width: str, *, narrow: str) -> Callable[[Any], Problems]:
    """The width of long images, the field that turns it on (0: off), and the width of the other images."""
    def rule(message: Any) -> Problems:
        if message.HasField(width) and not message.HasField(switch):
            yield switch, f"is missing; {width} has no effect without it"
        elif getattr(message, switch) and not message.HasField(width):
            yield width, f"is missing; {switch} needs it"
        elif getattr(message, switch) and getattr(message, width) <= getattr(message, narrow):
            yield width, (f"is {getattr(message, width)}, expected more than {getattr(message, narrow)}, which is "
                          f"{narrow}")
    return rule


def beam(predictor: Any) -> Problems:
    """What the beam search of an AttentionPredictor message keeps in memory: all hypotheses of all steps."""
    hypotheses = predictor.beam_width * predictor.max_num_steps
    if hypotheses > _MAX_HYPOTHESES:
        yield "beam_width", (f"is {predictor.beam_width}, which times max_num_steps {predictor.max_num_steps} is "
                             f"{hypotheses}, expected {_MAX_HYPOTHESES} or less")


def resized_images(field: str, steps: Sequence[Any], extractor: Any) -> Problems:
    """What is wrong with the size that steps leave images in, for an encoder. A custom step may give them any size."""
    for i, kind, size in _last_resize(steps):
        width = "target_widths" if kind == "resize_image_keeping_aspect" else "target_width"
        yield from convnet_images(extractor, size, height="target_height", width=width, prefix=f"{field}[{i}].{kind}.")


def long_images(field: str, steps: Sequence[Any], transformer: Any) -> Problems:
    """Whether a SpatialTransformer message finds some of the images long that steps give, but not all."""
    limit = transformer.wide_input_w
    for i, kind, size in _last_resize(steps) if limit else ():
        widths = list(size.target_widths) if kind == "resize_image_keeping_aspect" else [size.target_width]
        if kind == "resize_image" and size.wide_aspect:
            widths.append(size.wide_target_width)
        if not min(widths, default=0) < limit <= max(widths, default=limit):
            yield "model.multi_predictors_recognition_model.spatial_transformer.wide_input_w", (
                f"is {limit}, but {field}[{i}].{kind} makes images {' or '.join(map(str, widths))} pixels wide; "
                "expected a width there for long images (wide_aspect and wide_target_width of resize_image), and a "
                "wide_input_w that only that one reaches")


def aspects(field: str, steps: Sequence[Any]) -> Problems:
    """Whether steps have given all images one aspect ratio before a step asks which of them are long."""
    kinds = [step.WhichOneof("preprocessing_step") for step in steps]
    for i, step in enumerate(steps):
        earlier = [kind for kind in kinds[:i] if kind in RESIZE_STEPS]
        if kinds[i] == "resize_image" and step.resize_image.wide_aspect and earlier:
            yield f"{field}[{i}].resize_image.wide_aspect", (
                f"asks for the aspect ratio, but {earlier[0]} has changed it before; remove that step")


def _last_resize(steps: Sequence[Any]) -> Iterator[Tuple[int, str, Any]]:
    """Yields (index, kind, message) of the step that gives images their last size; none where a custom one follows."""
    for i, step in reversed(list(enumerate(steps))):
        kind = step.WhichOneof("preprocessing_step")
        if kind == "custom":
            return
        if kind in RESIZE_STEPS:
            yield i, kind, getattr(step, kind)
            return


def convnet_images(extractor: Any, size: Any, *, height: str, width: str, prefix: str) -> Problems:
    """What is wrong with the size of the images that an encoder gets.

    Args:
      extractor: the FeatureExtractor message.
      size: the message that has the size.
      height, width: the names of its fields.
      prefix: the path of that message, which the names of fields follow.

    Yields:
      The path of a field, and what is wrong with it.
    """
    kind = extractor.convnet.WhichOneof("convnet_oneof")
    if kind not in CONVNET_IMAGES:
        return
    lowest, highest, narrowest = CONVNET_IMAGES[kind]
    if kind == "crnn_net" and extractor.convnet.crnn_net.net_type:
        narrowest = CRNN_BRANCHES_WIDTH
    if not lowest <= getattr(size, height) <= highest:
        yield prefix + height, (f"is {getattr(size, height)}, expected {lowest} to {highest}: of other heights {kind} "
                                "does not make the feature maps of height 1 that the decoders need")
    widths = getattr(size, width)
    smallest = widths if isinstance(widths, int) else min(widths, default=narrowest)
    if smallest < narrowest:
        yield prefix + width, f"is {smallest}, expected {narrowest} or more: {kind} needs that width"
