"""The localization network: where the text's top and bottom edges run (ASTER section 3.1.1)."""
from typing import Callable, Tuple

import numpy as np

from aster.compat import tf
from aster.model import layers
from aster.model.tps import initial_control_points

NUM_HIDDEN_UNITS = 512


class LocalizationNet:
    """A convnet, a hidden layer of 512 units and a linear layer that gives K control points.

    The last layer starts with zero weights, and with an initial pattern of points as its bias.

    Args:
      convnet: a function of images and is_training that returns feature maps; the last one counts.
      fc_style: the style of the hidden layer.
      input_size: (height, width) to which images are resized.
      num_control_points: K, even and at least 4.
      init_bias_pattern: the initial pattern, see `tps.initial_control_points`.
      margins: (x, y) of that pattern, as fractions of width and height.
      activation: of the coordinates, none or sigmoid.
      max_distance: how far outside of the image a point may be, as a fraction of width and height; 0 is no limit. It
        needs activation none.

    Raises:
      ValueError: num_control_points, init_bias_pattern or activation is none of those.
    """

    def __init__(self, convnet: Callable, fc_style: layers.LayerStyle, input_size: Tuple[int, int], *,
                 num_control_points: int, init_bias_pattern: str = "identity",
                 margins: Tuple[float, float] = (0.1, 0.1), activation: str = "none",
                 max_distance: float = 0.0) -> None:
        if activation not in ("none", "sigmoid"):
            raise ValueError(f"activation is {activation!r}, expected none or sigmoid")
        self._convnet = convnet
        self._fc_style = fc_style
        self._input_size = input_size
        self._num_control_points = num_control_points
        self._activation = activation
        self._reach = 0.5 + max_distance if max_distance else 0.0  # of the points, from the middle of the image
        points = initial_control_points(init_bias_pattern, num_control_points, margins)
        if activation == "sigmoid":  # the bias is what the sigmoid turns into the points
            points = np.clip(points, 1e-6, 1.0 - 1e-6)
            points = np.log(points / (1.0 - points))
        elif self._reach:  # the bias is what the bound turns into the points
            points = 0.5 + self._reach * np.arctanh((points - 0.5) / self._reach)
        self._bias = points.ravel()

    def __call__(self, images: tf.Tensor, is_training: bool) -> tf.Tensor:
        """Finds the control points of the text in each image.

        Args:
          images: [B, H, W, 3], -1..1.
          is_training: whether batch normalization uses the batch's own mean and variance.

        Returns:
          [B, K, 2], (x, y) as fractions of width and height.

        Raises:
          ValueError: input_size is too small for the convnet.
        """
        with tf.variable_scope("LocalizationNet"):
            x = tf.image.resize_images(images, list(self._input_size))
            x = self._convnet(x, is_training)[-1]
            size = int(np.prod(x.shape.as_list()[1:]))
            if size == 0:
                height, width = self._input_size
                raise ValueError(f"localization_h and localization_w ({height}x{width}) are too small for the convnet, "
                                 "which halves them five times")
            x = layers.fully_connected(tf.reshape(x, [-1, size]), NUM_HIDDEN_UNITS, self._fc_style,
                                       is_training, "fully_connected")
            with tf.variable_scope("fully_connected_1"):
                num_outputs = 2 * self._num_control_points
                kernel = tf.get_variable("weights", [NUM_HIDDEN_UNITS, num_outputs],
                                         initializer=tf.zeros_initializer(),
                                         regularizer=self._fc_style.regularizer)
                bias = tf.get_variable("biases", [num_outputs], initializer=tf.constant_initializer(self._bias))
                # as published, the points move at a tenth of the hidden layer's pace
                x = tf.matmul(0.1 * x, kernel) + bias
            if self._activation == "sigmoid":
                x = tf.sigmoid(x)
            elif self._reach:  # almost the identity near the middle; unlike clipping it has a gradient everywhere
                x = 0.5 + self._reach * tf.tanh((x - 0.5) / self._reach)
        return tf.reshape(x, [-1, self._num_control_points, 2])
