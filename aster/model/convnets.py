"""The convolutional networks: image [B, H, W, 3] -> a list of feature maps [B, H', W', C]."""
from aster.compat import tf
from aster.model import layers


class StnConvnet:
    """The localization network's six 3x3 convolutions, a 2x2 pool after each but the last."""

    CHANNELS = 32, 64, 128, 256, 256, 256
    TINY = 8, 16, 32, 32, 64, 64

    def __init__(self, style, channels=CHANNELS):
        self._style = style
        self._channels = channels

    def __call__(self, images, is_training):
        x = images
        with tf.variable_scope("Convnet"):
            for i, channels in enumerate(self._channels):
                x = layers.conv2d(x, channels, (3, 3), self._style, is_training, "conv%d" % (i + 1))
                if i + 1 < len(self._channels):
                    x = layers.max_pool(x, (2, 2))
        return [x]


class CrnnNet:
    """The convolutions of CRNN (Shi et al., PAMI 2017). num_branches 2 and 3 read coarser scales too."""

    CHANNELS = 64, 128, 256, 256, 512, 512, 512
    TINY = 8, 16, 32, 64, 128, 128, 128

    def __init__(self, style, num_branches=1, channels=CHANNELS):
        self._style = style
        self._num_branches = num_branches
        self._channels = channels

    def __call__(self, images, is_training):
        def conv(x, number):
            kernel, padding = ((2, 1), "VALID") if number == 7 else ((3, 3), "SAME")
            return layers.conv2d(x, self._channels[number - 1], kernel, self._style, is_training,
                                 "conv%d" % number, padding=padding)

        def head(x, last_stride):  # conv5 to conv7 stand once in every branch
            x = conv(conv(x, 5), 6)
            return conv(layers.max_pool(x, last_stride), 7)

        with tf.variable_scope("Convnet"):
            x = layers.max_pool(conv(images, 1), (2, 2))
            x = layers.max_pool(conv(x, 2), (2, 2))
            conv4 = conv(conv(x, 3), 4)
            maps = [head(layers.max_pool(conv4, (2, 1)), (2, 1))]
            for branch, last_stride in ((1, (2, 1)), (2, (2, 2)))[:self._num_branches - 1]:
                with tf.variable_scope("Branch%d" % branch):
                    maps.append(head(layers.max_pool(conv4, (2, 2)), last_stride))
        return maps


class ResNet:
    """The residual network of the ASTER paper (table 1): a convolution and five blocks, by default 45 layers.

    channels: of the convolution and of each block. units: residual units of each block.
    """
    CHANNELS = 32, 32, 64, 128, 256, 512
    UNITS = 3, 4, 6, 6, 3
    _STRIDES = (2, 2), (2, 2), (2, 1), (2, 1), (2, 1)

    def __init__(self, style, channels=CHANNELS, units=UNITS):
        self._style = style
        self._channels = channels
        self._units = units

    def __call__(self, images, is_training):
        with tf.variable_scope("Convnet"), tf.variable_scope("ResNet"):
            x = layers.conv2d(images, self._channels[0], (3, 3), self._style, is_training, "Conv0")
            for i, (units, channels, stride) in enumerate(zip(self._units, self._channels[1:], self._STRIDES)):
                with tf.variable_scope("Block_%d" % (i + 1)):
                    for j in range(units):
                        with tf.variable_scope("Unit_%d" % (j + 1)):
                            x = self._unit(x, channels, stride if j == 0 else None, is_training)
        return [x]

    def _unit(self, x, channels, stride, is_training):
        """A residual unit; the first of a block has a stride, and a convolution as its shortcut."""
        def conv(inputs, size, scope, stride=(1, 1), activate=True):
            return layers.conv2d(inputs, channels, (size, size), self._style, is_training, scope, stride,
                                 activate=activate)
        if stride:
            shortcut = conv(x, 3, "ShortCut", stride)
            x = conv(x, 3, "Conv1", stride)
        else:
            shortcut = x
            x = conv(x, 1, "Conv1")
        return tf.nn.relu(conv(x, 3, "Conv2", activate=False) + shortcut)
