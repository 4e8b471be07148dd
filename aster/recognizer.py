"""Recognizer: images in, text out."""
import os
from typing import NamedTuple, Optional

import numpy as np

from aster import checkpoint
from aster.compat import session_config, tf
from aster.config import read_config
from aster.data.preprocess import preprocess_image
from aster.model.build import build_model
from aster.parallel import InParts

BATCH_SIZE = 32


class Reading(NamedTuple):
    """One image's result: the text, its score (summed log-probability), the image as the model saw it [H, W, 3],
    and, where the model rectifies, control_points [K, 2] (fractions) and rectified [h, w, 3] (-1..1)."""
    text: str
    score: float
    image: np.ndarray
    control_points: Optional[np.ndarray] = None
    rectified: Optional[np.ndarray] = None


class Recognizer:
    """Reads images with the model of a configuration and the variables of a checkpoint.

    It has a graph and a session of its own, so it doesn't touch the caller's TensorFlow. Use it in a `with`.
    """

    def __init__(self, config, checkpoint_path, base_dir=None):
        with tf.Graph().as_default() as graph:
            self._raw = tf.placeholder(tf.uint8, [None, None, 3])
            self._prepared = preprocess_image(config.eval_config.data_preprocessing_steps, self._raw)
            self._images = tf.placeholder(tf.float32, [None] + self._prepared.shape.as_list())
            with checkpoint.constants(checkpoint_path, config.eval_config.use_moving_averages):
                recognition = build_model(config.model, base_dir).recognize(self._images)
            self._fetches = {"text": recognition.texts, "score": recognition.scores}
            if recognition.rectification:
                self._fetches["control_points"] = recognition.rectification.control_points
                self._fetches["rectified"] = recognition.rectification.images
            self._session = tf.Session(graph=graph, config=session_config(
                reading=True, bfloat16=config.eval_config.bfloat16))
        self._in_parts = InParts(lambda images: self._session.run(self._fetches, {self._images: images}))

    @classmethod
    def from_experiment(cls, exp_dir):
        """The model of exp_dir/config/trainval.prototxt with the latest checkpoint in exp_dir/log."""
        return cls(read_config(exp_dir), checkpoint.find_checkpoint(os.path.join(exp_dir, "log")), exp_dir)

    def recognize(self, images, batch_size=BATCH_SIZE):
        """Iterable of uint8 images [H, W, 3] of any sizes -> yields a Reading for each, in order. Texts don't depend on
        batch_size; scores do by rounding, up to about 1e-3."""
        batch = []
        for image in images:
            shape, dtype = getattr(image, "shape", ()), getattr(image, "dtype", None)
            if len(shape) != 3 or shape[2] != 3 or not all(shape) or dtype != np.uint8:
                raise ValueError("expected images as uint8 arrays [H, W, 3], got %s; aster.data.image.decode_image "
                                 "makes one of a file's bytes"
                                 % ("%s %s" % (dtype, list(shape)) if shape else type(image).__name__))
            batch.append(self._session.run(self._prepared, {self._raw: image}))
            if len(batch) == batch_size:
                for reading in self._read(batch):
                    yield reading
                batch = []
        for reading in self._read(batch) if batch else ():
            yield reading

    def _read(self, batch):
        values = self._in_parts(np.stack(batch))
        for i, image in enumerate(batch):
            fields = {name: array[i] for name, array in values.items()}
            fields.update(text=fields["text"].decode("utf-8"), score=float(fields["score"]))
            yield Reading(image=image, **fields)

    def close(self):
        self._in_parts.close()
        self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
