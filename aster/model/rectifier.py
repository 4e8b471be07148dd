"""Rectification: localization network, thin-plate spline, sampler (ASTER section 3.1)."""
from typing import Callable, NamedTuple, Optional, Tuple

from aster.c_ops import ops
from aster.compat import tf
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
      wide: (w, W): images at least w pixels wide are rectified to the width W instead. w is 0: no images are.
    """

    def __init__(self, localization_net: Callable, output_size: Tuple[int, int], *, num_control_points: int,
                 margins: Tuple[float, float], fused: bool = True, wide: Tuple[int, int] = (0, 0)) -> None:
        self.num_control_points = num_control_points
        self._localization_net = localization_net
        self._height, self._width = output_size
        self._wide_from, self._wide_width = wide
        self._sample = ops.bilinear_sample if fused else bilinear_sample
        self._fused = fused
        target_points = tps.target_control_points(num_control_points, margins)
        self._splines = {width: tps.make_spline(target_points, self._height, width)
                         for width in [self._width] + [self._wide_width] * bool(self._wide_from)}

    def __call__(self, images: tf.Tensor, is_training: bool) -> Rectification:
        """Rectifies images [B, H, W, 3], -1..1; all of them are long, or none is."""
        control_points = self._localization_net(images, is_training)
        width = self.output_width(tf.TensorShape(images.shape).as_list()[2])
        if width is not None:
            grid = self._grid(control_points, width)
        else:  # no tf.cond: it starts TensorFlow's eager mode, after which a forked process hangs
            are_wide = tf.shape(images)[2] >= self._wide_from
            width = tf.where(are_wide, self._wide_width, self._width)
            first = tf.where(are_wide, self._height * self._width, 0)
            grid = tps.sampling_grid(control_points, tps.join(list(self._splines.values())), fused=self._fused,
                                     pixels=(first, self._height * width))
        channels = layers.static_size(images, 3)
        rectified = tf.reshape(self._sample(images, grid), [-1, self._height, width, channels])
        return Rectification(rectified, control_points)

    def output_width(self, input_width: Optional[int]) -> Optional[int]:
        """Tells how wide rectified images are.

        Args:
          input_width: the width of the images to rectify, in pixels; None: it is not known yet.

        Returns:
          Their width in pixels; None: it depends on that of the images.
        """
        if not self._wide_from:
            return self._width
        if input_width is None:
            return None
        return self._wide_width if input_width >= self._wide_from else self._width

    def _grid(self, control_points, width):
        return tps.sampling_grid(control_points, self._splines[width], fused=self._fused)
