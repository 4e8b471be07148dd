"""The rectifier and the attention decoder as layers of Keras 3, for models of your own (docs/library.md).

The layers run the functions of `aster.model`, whose tf.get_variable gives them Keras weights here. So Keras trains,
saves and loads them like those of any other layer. TensorFlow 1.4 has no Keras 3.
"""
from aster.keras_layers.decoder import AttentionDecoder
from aster.keras_layers.rectifier import Rectifier

__all__ = ["AttentionDecoder", "Rectifier"]
