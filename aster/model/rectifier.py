"""Rectification: localization network, thin-plate spline, sampler (ASTER section 3.1)."""
from typing import NamedTuple

from aster.c_ops import ops
from aster.compat import num_gpus, tf
from aster.model import layers, tps
from aster.model.sampler import bilinear_sample


class Rectification(NamedTuple):
    """images [B, H, W, 3]; control_points [B, K, 2], (x, y) as fractions of the input's width and height."""
    images: tf.Tensor
    control_points: tf.Tensor


class Rectifier:
    """Maps the text found by the localization network onto an image of a fixed size (height, width). `fused`: use
    ASTER's ops."""

    def __init__(self, localization_net, output_size, num_control_points, margins, fused=True):
        self.num_control_points = num_control_points
        self._localization_net = localization_net
        self._output_size = tuple(output_size)
        self._sample = ops.bilinear_sample if fused else bilinear_sample
        self._fused_grid = fused and not num_gpus()  # its op has no kernel for them
        target = tps.target_control_points(num_control_points, *margins)
        self._spline = tps.make_spline(target, *self._output_size)

    def __call__(self, images, is_training):
        """images [B, H, W, 3] -> Rectification."""
        control_points = self._localization_net(images, is_training)
        grid = tps.sampling_grid(control_points, self._spline, self._fused_grid)
        height, width = self._output_size
        channels = layers.static_size(images, 3)
        rectified = tf.reshape(self._sample(images, grid), [-1, height, width, channels])
        return Rectification(rectified, control_points)
