"""Rectification: localization network, thin-plate spline, sampler (ASTER section 3.1)."""
from typing import Callable, NamedTuple, Tuple

from aster.c_ops import ops
from aster.compat import num_gpus, tf
from aster.model import layers, tps
from aster.model.sampler import bilinear_sample


class Rectification(NamedTuple):
    """What the rectifier gives.

    images: [B, H, W, 3], rectified.
    control_points: [B, K, 2], (x, y) as fractions of the input's width and height.
    """
    images: tf.Tensor
    control_points: tf.Tensor


class Rectifier:
    """Maps the text that the localization network finds onto images of a fixed size.

    Args:
      localization_net: a function of images and is_training that returns control points [B, K, 2].
      output_size: (height, width) of the rectified images, in pixels.
      num_control_points: K.
      margins: (x, y) of the control points on the rectified image, as fractions of width and height.
      fused: whether ASTER's ops are used.
    """

    def __init__(self, localization_net: Callable, output_size: Tuple[int, int], *, num_control_points: int,
                 margins: Tuple[float, float], fused: bool = True) -> None:
        self.num_control_points = num_control_points
        self._localization_net = localization_net
        self._output_size = tuple(output_size)
        self._sample = ops.bilinear_sample if fused else bilinear_sample
        self._fused_grid = fused and not num_gpus()  # that op has no kernel for GPUs
        self._spline = tps.make_spline(tps.target_control_points(num_control_points, margins), *output_size)

    def __call__(self, images: tf.Tensor, is_training: bool) -> Rectification:
        """Rectifies images [B, H, W, 3], -1..1."""
        control_points = self._localization_net(images, is_training)
        grid = tps.sampling_grid(control_points, self._spline, fused=self._fused_grid)
        height, width = self._output_size
        channels = layers.static_size(images, 3)
        rectified = tf.reshape(self._sample(images, grid), [-1, height, width, channels])
        return Rectification(rectified, control_points)
