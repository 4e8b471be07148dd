"""The localization network: where the text's top and bottom edges run (ASTER section 3.1.1)."""
import numpy as np

from aster.compat import tf
from aster.model import layers
from aster.model.tps import initial_control_points

NUM_HIDDEN_UNITS = 512


class LocalizationNet:
    """A convnet, a hidden layer of 512 units and a linear layer that gives K control points.

    `activation` of the coordinates is none or sigmoid; the last layer starts with zero weights and the
    bias at an initial pattern (see `tps.initial_control_points`).
    """

    def __init__(self, convnet, fc_style, input_size, num_control_points, init_bias_pattern="identity",
                 margins=(0.1, 0.1), activation="none"):
        if num_control_points < 4 or num_control_points % 2:
            raise ValueError("num_control_points must be even and at least 4, not %d" % num_control_points)
        if activation not in ("none", "sigmoid"):
            raise ValueError(f"activation of the spatial transformer must be none or sigmoid, not {activation!r}")
        self._convnet = convnet
        self._fc_style = fc_style
        self._input_size = input_size
        self._num_control_points = num_control_points
        self._activation = activation
        points = initial_control_points(init_bias_pattern, num_control_points, *margins)
        if activation == "sigmoid":
            points = np.clip(points, 1e-6, 1.0 - 1e-6)
            points = np.log(points / (1.0 - points))
        self._bias = points.ravel()

    def __call__(self, images, is_training):
        """images [B, H, W, 3] in -1..1 -> control points [B, K, 2], fractions of width and height."""
        with tf.variable_scope("LocalizationNet"):
            x = tf.image.resize_images(images, list(self._input_size))
            x = self._convnet(x, is_training)[-1]
            size = int(np.prod(x.shape.as_list()[1:]))
            if size == 0:
                raise ValueError("localization_h and localization_w (%dx%d) are too small for the convnet, "
                                 "which halves them five times" % tuple(self._input_size))
            x = layers.fully_connected(tf.reshape(x, [-1, size]), NUM_HIDDEN_UNITS, self._fc_style,
                                       is_training, "fully_connected")
            with tf.variable_scope("fully_connected_1"):
                num_outputs = 2 * self._num_control_points
                kernel = tf.get_variable("weights", [NUM_HIDDEN_UNITS, num_outputs],
                                         initializer=tf.zeros_initializer(),
                                         regularizer=self._fc_style.regularizer)
                bias = tf.get_variable("biases", [num_outputs],
                                       initializer=tf.constant_initializer(self._bias))
                x = tf.matmul(0.1 * x, kernel) + bias
            if self._activation == "sigmoid":
                x = tf.sigmoid(x)
        return tf.reshape(x, [-1, self._num_control_points, 2])
