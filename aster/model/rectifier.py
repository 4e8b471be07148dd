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
            width_of_images = images.shape.as_list()[2] or tf.shape(images)[2]
            grid, width = self._grid_of_either_width(control_points, width_of_images >= self._wide[0])
        else:
            grid = self._grid(control_points, width)
        channels = layers.static_size(images, 3)
        rectified = tf.reshape(self._sample(images, grid), [-1, height, width, channels])
        return Rectification(rectified, control_points)

    def _grid(self, control_points, width):
        spline = tps.make_spline(self._target_points, self._output_size[0], width)
        return tps.sampling_grid(control_points, spline, fused=self._fused_grid)

    def _grid_of_either_width(self, control_points, are_wide):
        """(sampling grid, width of the rectified images); `are_wide` is a bool, or a tensor."""
        widths = self._wide[1], self._output_size[1]
        if isinstance(are_wide, bool):
            width = widths[not are_wide]
            return self._grid(control_points, width), width
        wide, narrow = (lambda width=width: self._grid(control_points, width) for width in widths)
        return tf.cond(are_wide, wide, narrow), tf.where(are_wide, *widths)
