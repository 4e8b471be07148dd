"""The convolutional networks: functions of images that return a list of feature maps.

To add one: write its class here, its message in protos/convnet.proto, and one entry in `build._CONVNETS`.
"""
from typing import List, Sequence

from aster.compat import tf
from aster.model import layers


class StnConvnet:
    """The localization network's six 3x3 convolutions, with a 2x2 pool after each but the last.

    Args:
      style: how the convolutions are made.
      channels: the number of channels of each convolution.
    """

    CHANNELS = 32, 64, 128, 256, 256, 256
    TINY = 8, 16, 32, 32, 64, 64

    def __init__(self, style: layers.LayerStyle, channels: Sequence[int] = CHANNELS) -> None:
        self._style = style
        self._channels = channels

    def __call__(self, images: tf.Tensor, is_training: bool) -> List[tf.Tensor]:
        """Maps images [B, H, W, 3] to one feature map [B, H / 32, W / 32, C]."""
        x = images
        with tf.variable_scope("Convnet"):
            for number, channels in enumerate(self._channels, 1):
                x = layers.conv2d(x, channels, (3, 3), self._style, is_training, f"conv{number}")
                if number < len(self._channels):
                    x = layers.max_pool(x, (2, 2))
        return [x]


class CrnnNet:
    """The convolutions of CRNN (Shi et al., PAMI 2017).

    Args:
      style: how the convolutions are made.
      channels: the number of channels of each of the seven convolutions.
      num_branches: feature maps, 1 to 3; the second and the third are of coarser scales.
    """

    CHANNELS = 64, 128, 256, 256, 512, 512, 512
    TINY = 8, 16, 32, 64, 128, 128, 128

    def __init__(self, style: layers.LayerStyle, channels: Sequence[int] = CHANNELS, num_branches: int = 1) -> None:
        self._style = style
        self._channels = channels
        self._num_branches = num_branches

    def __call__(self, images: tf.Tensor, is_training: bool) -> List[tf.Tensor]:
        """Maps images [B, 32, W, 3] to a feature map [B, 1, W', C] per branch."""
        def conv(x, number):
            kernel, padding = ((2, 1), "VALID") if number == 7 else ((3, 3), "SAME")
            return layers.conv2d(x, self._channels[number - 1], kernel, self._style, is_training,
                                 f"conv{number}", padding=padding)

        def head(x, last_stride):  # every branch has conv5 to conv7 of its own
            x = conv(conv(x, 5), 6)
            return conv(layers.max_pool(x, last_stride), 7)

        with tf.variable_scope("Convnet"):
            x = layers.max_pool(conv(images, 1), (2, 2))
            x = layers.max_pool(conv(x, 2), (2, 2))
            conv4 = conv(conv(x, 3), 4)
            maps = [head(layers.max_pool(conv4, (2, 1)), (2, 1))]
            for branch, last_stride in ((1, (2, 1)), (2, (2, 2)))[:self._num_branches - 1]:
                with tf.variable_scope(f"Branch{branch}"):
                    maps.append(head(layers.max_pool(conv4, (2, 2)), last_stride))
        return maps


class ResNet:
    """The residual network of the ASTER paper (table 1): a convolution and five blocks, by default 45 layers.

    Args:
      style: how the convolutions are made.
      channels: the numbers of channels of the first convolution and of each block.
      units: residual units of each block.
    """

    CHANNELS = 32, 32, 64, 128, 256, 512
    UNITS = 3, 4, 6, 6, 3
    _STRIDES = (2, 2), (2, 2), (2, 1), (2, 1), (2, 1)

    def __init__(self, style: layers.LayerStyle, channels: Sequence[int] = CHANNELS,
                 units: Sequence[int] = UNITS) -> None:
        self._style = style
        self._channels = channels
        self._units = units

    def __call__(self, images: tf.Tensor, is_training: bool) -> List[tf.Tensor]:
        """Maps images [B, 32, W, 3] to one feature map [B, 1, W / 4, C]."""
        with tf.variable_scope("Convnet"), tf.variable_scope("ResNet"):
            x = layers.conv2d(images, self._channels[0], (3, 3), self._style, is_training, "Conv0")
            for i, (units, channels, stride) in enumerate(zip(self._units, self._channels[1:], self._STRIDES), 1):
                with tf.variable_scope(f"Block_{i}"):
                    for j in range(1, units + 1):
                        with tf.variable_scope(f"Unit_{j}"):
                            x = self._unit(x, channels, stride if j == 1 else None, is_training)
        return [x]

    def _unit(self, x, channels, stride, is_training):
        """A residual unit; the first of a block has a stride, and a convolution as its shortcut."""
        def conv(inputs, size, scope, stride=(1, 1), activate=True):
            return layers.conv2d(inputs, channels, (size, size), self._style, is_training, scope, stride=stride,
                                 activate=activate)
        if stride:
            shortcut = conv(x, 3, "ShortCut", stride)
            x = conv(x, 3, "Conv1", stride)
        else:
            shortcut = x
            x = conv(x, 1, "Conv1")
        return tf.nn.relu(conv(x, 3, "Conv2", activate=False) + shortcut)
