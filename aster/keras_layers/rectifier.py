"""The rectifier as a layer of Keras 3."""
import logging
from typing import Any, Dict, Optional, Sequence

import numpy as np

from aster.compat import tf
from aster.config import read_config
from aster.data.preprocess import preprocessed_shape
from aster.errors import warn_once
from aster.keras_layers.base import ConfiguredLayer, as_fields, keras, model_of, read_experiment, shape_of
from aster.model.build import build_rectifier, can_fuse
from aster.pretrained import ENGLISH

_log = logging.getLogger(__name__)


@keras.saving.register_keras_serializable(package="aster")
class Rectifier(ConfiguredLayer):
    """Straightens the text in images, with weights that learn with the model behind it (ASTER, section 3.1).

    It maps images [B, H, W, 3], 0..255, of any number type, to rectified images, float32 [B, output_h, output_w, 3],
    -1..1. With `return_control_points`, it also returns the control points, float32 [B, K, 2], (x, y) as fractions of
    width and height.

    Args:
      input_size: (height, width) to which images are resized first; None: they stay as they are. From wide_input_w on,
        rectified images have the width wide_output_w.
      return_control_points: whether the control points are returned too.
      freeze_batch_norm: whether batch normalization keeps its moving averages and uses them in training too. The other
        weights learn all the same.
      config: fields of SpatialTransformer (docs/configuration.md), all that differ from its defaults; nested messages
        are dicts. None: those of the pretrained model.
      name: the name of the layer.
      trainable: False: the layer is frozen.
      dtype: float32, whatever Keras's policy is.
      **fields: fields of SpatialTransformer to change, such as output_w=128.

    Raises:
      ValueError: a field or the dtype is wrong.
    """

    def __init__(self, *, input_size: Optional[Sequence[int]] = (64, 256), return_control_points: bool = False,
                 freeze_batch_norm: bool = False, config: Optional[Dict[str, Any]] = None, name: Optional[str] = None,
                 trainable: bool = True, dtype: Any = None, **fields: Any) -> None:
        message = model_of(read_config(ENGLISH)).spatial_transformer
        if "output_w" in fields:  # the pretrained model's width of long images is of its own output_w
            message.ClearField("wide_input_w")
            message.ClearField("wide_output_w")
        super().__init__(message, config, fields, name=name, trainable=trainable, dtype=dtype)
        if input_size is not None and not _is_size(input_size):
            raise ValueError(f"input_size is {input_size}, expected (height, width), each 2 or more, or None")
        self.input_size = tuple(input_size) if input_size else None
        self.return_control_points = return_control_points
        self.freeze_batch_norm = freeze_batch_norm
        self._rectifier = build_rectifier(self.message, fused=can_fuse())

    @classmethod
    def from_experiment(cls, exp_dir: str = ENGLISH, **options: Any) -> "Rectifier":
        """Makes the rectifier of a trained model, with its weights.

        Args:
          exp_dir: the experiment folder, whose latest checkpoint counts. By default the pretrained model
            english; `aster.pretrained.path(name)` is the folder of another one.
          **options: arguments of Rectifier. freeze_batch_norm is True by default: the averages of another set of images
            take hundreds of steps to settle.

        Returns:
          A Rectifier. Its input_size is that to which the model's preprocessing steps resize images; if they resize
          long images to another width, make a second layer for those, with that input_size.

        Raises:
          ValueError: the folder has no usable configuration or checkpoint, or its model has no rectifier.
        """
        config = read_experiment(exp_dir)
        if not model_of(config).HasField("spatial_transformer"):
            raise ValueError(f"{exp_dir}: this model has no rectifier (spatial_transformer)")
        for step in config.eval_config.data_preprocessing_steps:
            if step.HasField("resize_image"):
                step.resize_image.ClearField("wide_aspect")
        size = preprocessed_shape(config.eval_config.data_preprocessing_steps, exp_dir)[:2]
        layer = cls(**dict(dict(input_size=None if None in size else size, freeze_batch_norm=True,
                                config=as_fields(model_of(config).spatial_transformer)), **options))
        layer.start_from(config, exp_dir)
        return layer

    def build(self, input_shape: Sequence[Optional[int]]) -> None:
        """Creates the weights."""
        self._check_shape(input_shape)
        size = self.input_size or (None, None)
        self.create_weights(lambda: self._rectifier(tf.placeholder(tf.float32, [None, *size, 3]), False))

    def call(self, images: Any, training: Optional[bool] = False) -> Any:
        """Rectifies images; `training`: batch normalization uses the batch's statistics, unless it is frozen."""
        self._check_images(images)
        images = tf.cast(images, tf.float32)
        if tf.executing_eagerly() and 0.0 < float(tf.reduce_max(tf.abs(images))) <= 1.0:
            warn_once(_log, f"Rectifier {self.name!r}: all values of a batch of images are within -1 and 1, but the "
                            "layer expects 0 to 255, and sees such images as black; multiply them by 255, or do not "
                            "scale them before")
        if self.input_size:
            images = tf.image.resize_images(images, self.input_size)
        images = images * (2.0 / 255.0) - 1.0
        by_batch = self.updates_averages(training) and not self.freeze_batch_norm
        rectified, points = self.run_with_weights(lambda: self._rectifier(images, by_batch))
        return (rectified, points) if self.return_control_points else rectified

    def _check_images(self, images: Any) -> None:
        """Raises ValueError unless images, also symbolic ones, have numbers and the shape of images."""
        dtype = tf.as_dtype(images.dtype)
        if not (dtype.is_integer or dtype.is_floating):
            raise ValueError(f"Rectifier {self.name!r} expects images with values 0 to 255, of an integer or float "
                             f"type, got {dtype.name}")
        self._check_shape(shape_of(images))

    def _check_shape(self, shape: Optional[Sequence[Optional[int]]]) -> None:
        if shape is None or len(shape) != 4 or shape[3] != 3 or 0 in shape[1:3]:
            got = "an unknown shape" if shape is None else f"shape {tuple(shape)}"
            raise ValueError(f"Rectifier {self.name!r} expects images [B, H, W, 3], got {got}; the colors red, green "
                             "and blue are the last axis, and one image is a batch of 1. tf.image.grayscale_to_rgb "
                             "makes three channels of one")

    def compute_output_shape(self, input_shape: Sequence[Optional[int]]) -> Any:
        """Returns the shape of the rectified images, and that of the control points if they are returned."""
        width = self._rectifier.output_width((self.input_size or input_shape[1:])[1])
        images = (input_shape[0], self.message.output_h, width, 3)
        points = (input_shape[0], self.message.num_control_points, 2)
        return (images, points) if self.return_control_points else images

    def compute_output_spec(self, images: Any, training: Optional[bool] = False) -> Any:
        """Returns the shapes and types of the outputs, as Keras asks for them."""
        self._check_images(images)
        shapes = self.compute_output_shape(images.shape)
        if self.return_control_points:
            return tuple(keras.KerasTensor(shape, "float32") for shape in shapes)
        return keras.KerasTensor(shapes, "float32")

    def get_config(self) -> Dict[str, Any]:
        """Returns what makes such a layer again, without its weights."""
        return dict(super().get_config(), input_size=self.input_size,
                    return_control_points=self.return_control_points, freeze_batch_norm=self.freeze_batch_norm)


def _is_size(value: Any) -> bool:
    """Whether a value is (height, width), as `input_size` must be; lists too, since a saved model has one."""
    return (isinstance(value, (tuple, list)) and len(value) == 2
            and all(isinstance(size, (int, np.integer)) and size >= 2 for size in value))
