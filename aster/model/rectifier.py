"""Rectification: localization network, thin-plate spline, sampler (ASTER section 3.1)."""
from typing import Callable, NamedTuple, Optional, Tuple

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
    """Maps the text that the localization network finds onto images of a fixed size, or of two.

    Args:
      localization_net: a function of images and is_training that returns control points [B, K, 2].
      output_size: (height, width) of the rectified images, in pixels.
      num_control_points: K.
      margins: (x, y) of the control points on the rectified image, as fractions of width and height.
      fused: whether ASTER's ops are used.
      wide: (w, W): images at least w pixels wide are rectified to the width W instead. None: no images are.
    """

    def __init__(self, localization_net: Callable, output_size: Tuple[int, int], *, num_control_points: int,
                 margins: Tuple[float, float], fused: bool = True, wide: Optional[Tuple[int, int]] = None) -> None:
        self.num_control_points = num_control_points
        self._localization_net = localization_net
        self._output_size = tuple(output_size)
        self._wide = wide
        self._sample = ops.bilinear_sample if fused else bilinear_sample
        self._fused_grid = fused and not num_gpus()  # that op has no kernel for GPUs
        self._target_points = tps.target_control_points(num_control_points, margins)

    def __call__(self, images: tf.Tensor, is_training: bool) -> Rectification:
        """Rectifies images [B, H, W, 3], -1..1."""
        control_points = self._localization_net(images, is_training)
        height, width = self._output_size
        if self._wide:
            grid, width = self._grid_of_either_width(control_points, images, *self._wide)
        else:
            grid = self._grid(control_points, width)
        channels = layers.static_size(images, 3)
        rectified = tf.reshape(self._sample(images, grid), [-1, height, width, channels])
        return Rectification(rectified, control_points)

    def _grid(self, control_points, width):
        spline = tps.make_spline(self._target_points, self._output_size[0], width)
        return tps.sampling_grid(control_points, spline, fused=self._fused_grid)

    def _grid_of_either_width(self, control_points, images, wide_from, wide_width):
        """(sampling grid, width of the rectified images)"""
        width_of_images, narrow_width = images.shape.as_list()[2], self._output_size[1]
        if width_of_images:
            width = wide_width if width_of_images >= wide_from else narrow_width
            return self._grid(control_points, width), width
        are_wide = tf.shape(images)[2] >= wide_from
        grid = tf.cond(are_wide, lambda: self._grid(control_points, wide_width),
                       lambda: self._grid(control_points, narrow_width))
        return grid, tf.where(are_wide, wide_width, narrow_width)
