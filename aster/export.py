"""Exports a model as a SavedModel or ONNX file: python -m aster.export --exp_dir E --output D|F.onnx"""
import argparse
import json
import os

from aster import checkpoint, command
from aster.compat import IS_TF1, tf
from aster.config import read_config
from aster.data.preprocess import preprocess_image, preprocessed_shape
from aster.model.beam_search import PAD_LABEL
from aster.model.build import build_model
from aster.model.recognition import character_labels
from aster.pretrained import ENGLISH

_OPSET = 16  # of ONNX; older ones can't sample images


def main():
    parser = argparse.ArgumentParser(prog="python -m aster.export", description=(
        "Write a SavedModel that takes the bytes of image files and returns texts and scores, and needs nothing of "
        "ASTER: for TensorFlow Serving, or tf.saved_model.load. Or an ONNX file that takes images of one size and "
        "returns labels and scores."))
    parser.add_argument("--exp_dir", default=ENGLISH, help="experiment folder (default: the model of aster/pretrained)")
    parser.add_argument("--output", required=True, metavar="PATH", help="a folder to make for a SavedModel (TensorFlow "
                        "Serving wants a number as its name: models/aster/1), or a file to write, FILE.onnx")
    parser.add_argument("--greedy", action="store_true", help="no beam search: faster, and a little less accurate")
    arguments = parser.parse_args()
    command.read_experiment(arguments.exp_dir)
    if os.path.exists(arguments.output):
        raise ValueError(f"{arguments.output} exists already; name one that does not")
    command.check_writable(os.path.dirname(os.path.abspath(arguments.output)), is_folder=True)
    export = export_onnx if arguments.output.endswith(".onnx") else export_saved_model
    print(f"{arguments.output}: {export(arguments.exp_dir, arguments.output, arguments.greedy)}")


def export_saved_model(exp_dir, output, greedy=False):
    """Writes a SavedModel with the latest checkpoint of an experiment folder -> its signature, in words.

    `serving_default` takes image_bytes, string [B], the contents of JPEG, PNG or GIF files, and gives text, string [B],
    and score, float32 [B]. Transparency is ignored.
    """
    config, path = _find(exp_dir, greedy)
    with tf.Graph().as_default(), tf.Session() as session:
        encoded = tf.placeholder(tf.string, [None], name="image_bytes")

        def prepare(one):
            # of any format, in spite of its name; the slow cosine transform is the one that Pillow uses
            image = tf.image.decode_jpeg(one, channels=3, dct_method="INTEGER_ACCURATE")
            return preprocess_image(config.eval_config.data_preprocessing_steps, image, exp_dir)

        def read(images):
            with checkpoint.constants(path, config.eval_config.use_moving_averages):
                recognition = build_model(config.model, exp_dir, fused=False).recognize(images)
            return recognition.texts, recognition.scores
        if None not in preprocessed_shape(config.eval_config.data_preprocessing_steps, exp_dir):
            texts, scores = read(tf.map_fn(prepare, encoded, dtype=tf.float32))
        else:  # images of different widths can't be in one batch
            texts, scores = tf.map_fn(lambda one: tuple(column[0] for column in read(prepare(one)[None])), encoded,
                                      dtype=(tf.string, tf.float32))
        outputs = {"text": tf.identity(texts, "text"), "score": tf.identity(scores, "score")}
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
    return "image_bytes string [B] -> text string [B], score float [B]"


def export_onnx(exp_dir, output, greedy=False):
    """Writes an ONNX file with the latest checkpoint of an experiment folder -> its signature, in words.

    It takes images, float32 [B, H, W, 3], RGB, 0..255, of the size that the preprocessing steps give, and gives
    labels, int32 [B, S], of the text's characters, -1 after them, and scores, float32 [B]. Label n is
    characters[n - label_offset]; the file's metadata has both as JSON.
    """
    if IS_TF1:
        raise ValueError("ONNX files need TensorFlow 2")
    try:
        import onnx
        import tf2onnx
        from tf2onnx import tf_loader
    except ImportError as error:
        raise ValueError(f"{error}; run: pip install -e \".[export]\"")
    config, path = _find(exp_dir, greedy)
    size = preprocessed_shape(config.eval_config.data_preprocessing_steps, exp_dir)
    characters = []

    def read(images):
        # a scope, since the converter mixes up names of the loops' bodies with those outside
        with tf.name_scope("aster"), checkpoint.constants(path, config.eval_config.use_moving_averages):
            model = build_model(config.model, exp_dir, fused=False)
            recognition = model.recognize(images)
            if len({predictor.charset.characters for predictor in model.predictors}) > 1:
                raise ValueError("the predictors have different character sets, which one ONNX file can't have")
            characters.extend(model.predictors[0].charset.characters)
            width = model.max_characters + 1
            labels = [_padded(character_labels(predictor, decoded), width)
                      for predictor, decoded in zip(model.predictors, recognition.decoded)]
            choice = tf.stack([tf.range(tf.shape(images)[0]), recognition.best], 1)
            return {"labels": tf.gather_nd(tf.stack(labels, 1), choice), "scores": recognition.scores}
    with tf.Graph().as_default():
        function = tf.wrap_function(read, [tf.TensorSpec([None] + size, tf.float32, name="images")])
    names = [tensor.name for tensor in function.inputs], [tensor.name for tensor in function.outputs]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(tf_loader.from_function(function, *names), name="")
        converted = tf2onnx.tfonnx.process_tf_graph(graph, opset=_OPSET, input_names=names[0], output_names=names[1])
    model = tf2onnx.optimizer.optimize_graph(converted).make_model("ASTER")
    renamed = dict(zip(names[0] + names[1], ["images"] + sorted(function.structured_outputs)))
    _rename(model, renamed)
    onnx.helper.set_model_props(model, {"characters": json.dumps(characters), "label_offset": "2"})
    onnx.checker.check_model(model)
    onnx.save(model, output)
    return "images float [B, {}, {}, 3] -> labels int32 [B, S], scores float [B]".format(size[0], size[1] or "W")


def _find(exp_dir, greedy):
    """-> configuration and path of the latest checkpoint."""
    config = read_config(exp_dir)
    if greedy:
        for predictor in config.model.multi_predictors_recognition_model.predictor:
            if predictor.HasField("attention_predictor"):
                predictor.attention_predictor.beam_width = 1
    return config, checkpoint.find_checkpoint(os.path.join(exp_dir, "log"))


def _padded(labels, width):
    """[B, S] -> [B, width], PAD_LABEL beyond S."""
    missing = tf.maximum(width - tf.shape(labels)[1], 0)
    labels = tf.pad(labels, [[0, 0], [0, missing]], constant_values=PAD_LABEL)[:, :width]
    labels.set_shape([None, width])
    return labels


def _rename(model, names):
    """Gives the inputs and outputs of an ONNX model the names of `names`, {old: new}."""
    for value in list(model.graph.input) + list(model.graph.output):
        value.name = names[value.name]
    for node in model.graph.node:
        for field in node.input, node.output:
            field[:] = [names.get(name, name) for name in field]


if __name__ == "__main__":
    command.run(main)
