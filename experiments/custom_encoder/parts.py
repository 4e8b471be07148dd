"""Parts of your own for config/trainval.prototxt. docs/extending.md explains them one by one."""
import io
import random
import string

from PIL import Image, ImageDraw, ImageFont

from aster.compat import tf
from aster.data.charset import END_LABEL
from aster.data.example import Sample
from aster.model import layers
from aster.model.beam_search import Decoded
from aster.model.decoder import TeacherForced

STYLE = layers.LayerStyle(layers.variance_scaling(), batch_norm=layers.BatchNorm(decay=0.99))


def convnet(channels=16):
    """Makes a convnet of three convolutions, each of which halves the image.

    Args:
      channels: of the first convolution; each further one has twice as many.

    Returns:
      A function of images [B, H, W, 3], -1 to 1, and is_training that returns a list of one feature map
      [B, H / 8, W / 8, 4 * channels].
    """
    def call(images, is_training):
        x = images
        for i in range(3):
            x = layers.conv2d(x, channels * 2 ** i, (3, 3), STYLE, is_training, f"Own{i}", stride=(2, 2))
        return [x]
    return call


def encoder(channels=16):
    """Makes an encoder: the convnet, then the mean over the height.

    Args:
      channels: of the first convolution.

    Returns:
      A function of images [B, H, W, 3] and is_training that returns a list of one feature sequence
      [B, W / 8, 4 * channels].
    """
    return lambda images, is_training: [tf.reduce_mean(x, axis=1) for x in convnet(channels)(images, is_training)]


class PositionDecoder:
    """A decoder that gives all characters at once: a learned query for each place of the text attends to the sequence.

    Args:
      name: the scope of its variables.
      num_labels: start, end and the characters.
      max_num_steps: the number of places, the one of the end label included.
    """
    reverse = False

    def __init__(self, name, num_labels, max_num_steps):
        self.name, self.max_characters = name, max_num_steps - 1
        self._num_labels, self._num_steps = num_labels, max_num_steps

    def _logits(self, sequences):
        memory = tf.concat(sequences, 1)
        size = layers.static_size(memory, 2)
        with tf.variable_scope(self.name):
            queries = tf.get_variable("queries", [size, self._num_steps])
            kernel, bias = (tf.get_variable(name, shape) for name, shape in (
                ("kernel", [size, self._num_labels]), ("bias", [self._num_labels])))
        alignments = tf.nn.softmax(tf.transpose(layers.matmul(memory, queries), [0, 2, 1]))  # [B, S, T]
        return layers.matmul(tf.matmul(alignments, memory), kernel, bias), alignments

    def teacher_force(self, sequences, labels, lengths):
        """Runs the decoder for training.

        Args:
          sequences: feature sequences [[B, T, C], ...].
          labels: int32 [B, L], those of the characters.
          lengths: int32 [B], the number of characters of each text.

        Returns:
          A TeacherForced: logits [B, S, num_labels], targets [B, S] with the end label, and their lengths [B].
        """
        missing = tf.maximum(self._num_steps - tf.shape(labels)[1], 0)
        targets = tf.pad(labels, [[0, 0], [0, missing]])[:, :self._num_steps]
        places = tf.expand_dims(tf.range(self._num_steps), 0)
        ended = places >= tf.expand_dims(lengths, 1)
        targets = tf.where(ended, tf.fill(tf.shape(targets), END_LABEL), targets)
        return TeacherForced(self._logits(sequences)[0], targets, tf.minimum(lengths + 1, self._num_steps))

    def decode(self, sequences):
        """Finds the most likely label of each place.

        Args:
          sequences: feature sequences [[B, T, C], ...].

        Returns:
          A Decoded: labels [B, S] with the end label and -1 after it, lengths [B], log-probabilities of the texts [B]
          and of their steps [B, S], and the attention [B, S, T].
        """
        logits, alignments = self._logits(sequences)
        labels = tf.argmax(logits, 2, output_type=tf.int32)
        ends = tf.cumsum(tf.cast(tf.equal(labels, END_LABEL), tf.int32), axis=1, exclusive=True)
        is_text = tf.equal(ends, 0)  # up to the first end label
        log_probs = tf.where(is_text, tf.reduce_max(tf.nn.log_softmax(logits), 2), tf.zeros_like(logits[:, :, 0]))
        lengths = tf.reduce_sum(tf.cast(is_text, tf.int32), 1)
        return Decoded(tf.where(is_text, labels, tf.fill(tf.shape(labels), -1)), lengths,
                       tf.reduce_sum(log_probs, 1), log_probs, alignments)


def predictor(name, num_labels, max_num_steps=10):
    """Makes the decoder. The library gives name and num_labels; max_num_steps comes from the configuration."""
    return PositionDecoder(name, num_labels, max_num_steps)


def invert(probability=0.5):
    """Makes a preprocessing step that inverts some images.

    Args:
      probability: that an image is inverted.

    Returns:
      A function of an image, float32 [H, W, 3], 0 to 255, that returns one.
    """
    return lambda image: tf.cond(tf.random_uniform([]) < probability, lambda: 255.0 - image, lambda: image)


def drawn_words(max_length=4, count=0):
    """Makes a reader that draws numbers when they are needed.

    Args:
      max_length: the largest number of digits.
      count: how many samples an epoch has; 0 means without end.

    Returns:
      A function that returns an iterator over Samples.
    """
    def samples():
        rng, number = random.Random(0), 0
        while not count or number < count:
            number += 1
            text = "".join(rng.choice(string.digits) for _ in range(rng.randint(1, max_length)))
            image, stream = Image.new("RGB", (64, 24), "white"), io.BytesIO()
            ImageDraw.Draw(image).text((4, 6), text, fill="black", font=ImageFont.load_default())
            image.save(stream, "PNG")
            yield Sample(stream.getvalue(), text, filename=f"{number}.png")
    return samples
