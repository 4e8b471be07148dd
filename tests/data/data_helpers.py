"""Images, records and configs for the tests of aster.data."""
import io

import numpy as np
from google.protobuf import text_format
from PIL import Image

from aster.compat import tf
from aster.data import example
from aster.protos import input_reader_pb2, train_pb2


def encode_image(pixels, image_format="PNG", **options):
    """uint8 array or Pillow image -> bytes of a file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def gray_image(value, height=8, width=20):
    return encode_image(np.full([height, width, 3], value, np.uint8))


def serialize(text, value=100, **fields):
    """A record of an image of one gray value."""
    fields.setdefault("encoded", gray_image(value))
    return example.serialize(example.Sample(text=text, **fields))


def write_records(path, payloads):
    """Writes a TFRecord file with TensorFlow's own writer -> its path."""
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    return str(path)


def reader(path, options=""):
    """The InputReader message of a path."""
    return text_format.Parse(f'{options} tf_record_input_reader {{ input_path: "{path}" }}',
                             input_reader_pb2.InputReader())


def steps(*texts):
    """PreprocessingStep messages, each given in text format."""
    return [text_format.Parse(f"data_augmentation_options {{ {text} }}",
                              train_pb2.TrainConfig()).data_augmentation_options[0]
            for text in texts]
