"""The encoder: a convnet, then a stack of bidirectional RNNs over each of its feature maps."""
from typing import Callable, List, Sequence

from aster.compat import tf
from aster.errors import cause
from aster.model import layers
from aster.model.rnn import BidirectionalRnn


class Encoder:
    """Turns images into feature sequences.

    Args:
      convnet: a function of images and is_training that returns feature maps of height 1 (see convnets.py).
      rnns: the stack. Every feature map gets variables of its own.
    """

    def __init__(self, convnet: Callable, rnns: Sequence[BidirectionalRnn] = ()) -> None:
        self._convnet = convnet
        self._rnns = rnns

    def __call__(self, images: tf.Tensor, is_training: bool) -> List[tf.Tensor]:
        """Encodes images.

        Args:
          images: [B, H, W, 3], -1..1.
          is_training: whether batch normalization uses the batch's own mean and variance.

        Returns:
          A feature sequence [B, T, C] per feature map.

        Raises:
          ValueError: the images are too small for the convnet, or its feature maps are higher than 1.
        """
        with tf.variable_scope("FeatureExtractor"):
            sequences = []
            for branch, feature_map in enumerate(self._feature_maps(images, is_training)):
                height = layers.static_size(feature_map, 1)
                if height != 1:
                    raise ValueError(f"the convnet turns images of height {layers.static_size(images, 1)} into feature "
                                     f"maps of height {height}, but the decoders need height 1")
                sequence = tf.squeeze(feature_map, [1])
                for level, rnn in enumerate(self._rnns):
                    sequence = rnn(sequence, is_training, f"BidirectionalRnn_Branch_{branch}_{level}")
                sequences.append(sequence)
        return sequences

    def _feature_maps(self, images, is_training):
        try:
            return self._convnet(images, is_training)
        except ValueError as error:
            if "Negative dimension size" not in str(error):
                raise
            height, width = images.shape.as_list()[1:3]
            raise ValueError(
                f"images of height {height} and width {width} are too small for the convnet of the encoder; their size "
                "is spatial_transformer.output_h and output_w or, without a rectifier, that of the preprocessing steps "
                f"({cause(error)})") from error
