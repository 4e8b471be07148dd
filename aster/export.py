"""Exports a model as a SavedModel of standard operations: python -m aster.export --exp_dir E --output D"""
import argparse
import os

from aster import command
from aster.models import ENGLISH


def main():
    parser = argparse.ArgumentParser(prog="python -m aster.export", description=(
        "Write a SavedModel that takes the bytes of image files and returns texts and scores, and needs nothing of "
        "ASTER: for TensorFlow Serving, or tf.saved_model.load."))
    parser.add_argument("--exp_dir", default=ENGLISH, help="experiment folder (default: the model of aster/models)")
    parser.add_argument("--output", required=True, metavar="D", help="folder to make; TensorFlow Serving wants a "
                        "number as its name: models/aster/1")
    arguments = parser.parse_args()
    config = command.read_experiment(arguments.exp_dir)
    if os.path.exists(arguments.output):
        raise ValueError("%s exists already; name a folder that does not" % arguments.output)
    command.check_writable(os.path.dirname(os.path.abspath(arguments.output)), is_folder=True)
    from aster import checkpoint
    path = checkpoint.find_checkpoint(os.path.join(arguments.exp_dir, "log"))
    export(config, path, arguments.output, arguments.exp_dir)
    print("%s: image_bytes string [B] -> text string [B], score float [B]" % arguments.output)


def export(config, checkpoint_path, output, base_dir=None):
    """Writes the SavedModel. Its signature `serving_default` takes image_bytes, string [B], the contents of JPEG, PNG
    or GIF files, and gives text, string [B], and score, float32 [B]. Transparency is ignored."""
    from aster import checkpoint
    from aster.compat import tf
    from aster.data.preprocess import preprocess_image
    from aster.model.build import build_model
    with tf.Graph().as_default(), tf.Session() as session:
        encoded = tf.placeholder(tf.string, [None], name="image_bytes")

        def prepare(one):
            # of any format, in spite of its name; the slow cosine transform is the one that Pillow uses
            image = tf.image.decode_jpeg(one, channels=3, dct_method="INTEGER_ACCURATE")
            return preprocess_image(config.eval_config.data_preprocessing_steps, image, base_dir)
        images = tf.map_fn(prepare, encoded, dtype=tf.float32)
        with checkpoint.constants(checkpoint_path, config.eval_config.use_moving_averages):
            recognition = build_model(config.model, base_dir, fused=False).recognize(images)
        outputs = {"text": tf.identity(recognition.texts, "text"), "score": tf.identity(recognition.scores, "score")}
        information = tf.saved_model.utils.build_tensor_info
        signature = tf.saved_model.signature_def_utils.build_signature_def(
            {"image_bytes": information(encoded)},
            {name: information(tensor) for name, tensor in outputs.items()},
            tf.saved_model.signature_constants.PREDICT_METHOD_NAME)
        tf.get_variable("none", [], trainable=False)  # TensorFlow 1.4 can't save a model of constants only
        session.run(tf.global_variables_initializer())
        builder = tf.saved_model.builder.SavedModelBuilder(output)
        builder.add_meta_graph_and_variables(session, [tf.saved_model.tag_constants.SERVING], {
            tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature})
        builder.save()


if __name__ == "__main__":
    command.run(main)
