"""The encoder: a convnet, then a stack of bidirectional RNNs over each of its feature maps."""
from aster.compat import tf
from aster.model import layers


class Encoder:
    def __init__(self, convnet, rnns=()):
        """`rnns`: the stack of `BidirectionalRnn`; every feature map gets variables of its own."""
        self._convnet = convnet
        self._rnns = rnns

    def __call__(self, images, is_training):
        """images [B, H, W, 3] -> a list of feature sequences [B, T, C], one per feature map."""
        with tf.variable_scope("FeatureExtractor"):
            sequences = []
            for number, feature_map in enumerate(self._convnet(images, is_training)):
                if layers.static_size(feature_map, 1) != 1:
                    raise ValueError("the convnet turns images of height %d into feature maps of height %d; "
                                     "the decoders need height 1, which images of height 32 give"
                                     % (layers.static_size(images, 1), layers.static_size(feature_map, 1)))
                sequence = tf.squeeze(feature_map, [1])
                for level, rnn in enumerate(self._rnns):
                    scope = "BidirectionalRnn_Branch_%d_%d" % (number, level)
                    sequence = rnn(sequence, is_training, scope)
                sequences.append(sequence)
        return sequences
