"""Draws docs/images/augmentation.png: what each random preprocessing step makes of a sample image.

    python tools/draw_augmentation_pictures.py
"""
import os
import sys

import numpy as np
from google.protobuf import text_format
from PIL import Image

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(REPOSITORY)  # the checkout serves where aster is not installed

from aster.compat import session_config, tf  # noqa: E402
from aster.data.preprocess import preprocess_sample  # noqa: E402
from aster.data.step_image import StepImage  # noqa: E402
from aster.pretrained import SAMPLES  # noqa: E402
from aster.protos import preprocessor_pb2  # noqa: E402
from aster.reading import drawing  # noqa: E402

SAMPLE = "7_HARBOUR.jpg"
STEPS = [
    "random_warp { max_rotation: 15 probability: 1 }",
    "random_warp { max_shear: 25 probability: 1 }",
    "random_warp { max_perspective: 0.12 probability: 1 }",
    "random_blur { max_sigma: 2 probability: 1 }",
    "random_noise { max_stddev: 0.1 probability: 1 }",
    "random_jpeg { min_quality: 5 max_quality: 30 probability: 1 }",
    "random_downscale { min_factor: 0.25 probability: 1 }",
    "random_invert { probability: 0.5 }",
    "random_distort_color { }",
    "random_rgb_to_gray { probability: 0.5 }",
]
COLUMNS, CELL_WIDTH, CELL_HEIGHT, GAP, CAPTION = 4, 180, 60, 10, 22  # but for the columns in hundredths of an inch


def distorted(step, image):
    """The image after the step, with as many seeds as there are columns."""
    message = text_format.Parse(step, preprocessor_pb2.PreprocessingStep())
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        seed = tf.placeholder(tf.int64, [2])
        pixels = preprocess_sample([message], StepImage(tf.constant(image, tf.float32), seed=seed)).pixels
        for number in range(COLUMNS):
            yield session.run(pixels, {seed: [0, number]})


def main():
    image = np.asarray(Image.open(os.path.join(SAMPLES, SAMPLE)).convert("RGB"))
    axes, y = drawing.new_axes(), GAP
    for step in STEPS:
        drawing.write_caption(axes, GAP, y, step)
        y += CAPTION
        for column, picture in enumerate(distorted(step, image)):
            scale = min(CELL_WIDTH / picture.shape[1], CELL_HEIGHT / picture.shape[0])
            size = scale * picture.shape[1], scale * picture.shape[0]
            corner = GAP + column * (CELL_WIDTH + GAP), y
            drawing.show_image(axes, picture.clip(0, 255).astype(np.uint8), corner, size)
        y += CELL_HEIGHT + GAP
    folder = os.path.join(REPOSITORY, "docs", "images")
    picture = drawing.render(drawing.finish(axes, y), 1000)
    picture.quantize(256).save(os.path.join(folder, "augmentation.png"), optimize=True)


if __name__ == "__main__":
    main()
