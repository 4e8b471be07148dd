"""Exported models: a SavedModel or an ONNX file that reads as the Recognizer does, without this library."""
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from aster import character_sets, checkpoint
from aster.compat import CAN_EXPORT_ONNX, claim_process, session_config, tf
from aster.config import read_config
from aster.data.charset import NUM_SPECIAL_LABELS
from aster.data.pixels import MIDDLE_GRAY
from aster.data.preprocess import PixelRange, last_resize, pixel_range, preprocess_image, preprocessed_shape
from aster.files import written_whole
from aster.model.beam_search import PAD_LABEL
from aster.model.build import build_model
from aster.model.recognition import Encoded, RecognitionModel, character_labels
from aster.reading import policy
from aster.reading.inference import wide_width
from aster.reading.lexicon import Lexicon, load_word_list
from aster.reading.policy import ReadingPolicy

_OPSET = 16  # of ONNX; older ones can't sample images
_PLAIN = PixelRange(np.zeros(3, np.float32), np.full(3, 255, np.float32))


class Texts(NamedTuple):
    """A text for each image of a batch.

    Attributes:
      texts: string [B], UTF-8.
      scores: float32 [B], log-probabilities.
      labels: int32 [B, S], of the characters in reading order, PAD_LABEL after them.
      num_characters, num_digits: float32 [B].
      letters: int32 [B, S], the characters in lower case as code points, -1 after them.
    """
    texts: tf.Tensor
    scores: tf.Tensor
    labels: tf.Tensor
    num_characters: tf.Tensor
    num_digits: tf.Tensor
    letters: tf.Tensor


class Export(NamedTuple):
    """What was exported: the inputs and outputs in words, and in sentences what the Recognizer does beyond it."""
    signature: str
    left_out: List[str]


def export_saved_model(exp_dir: str, output: str, greedy: bool = False, *, word_list: bool = False,
                       overrides: Sequence[str] = (), checkpoint_path: Optional[str] = None) -> Export:
    """Writes a SavedModel with a checkpoint of an experiment folder.

    `serving_default` takes image_bytes, string [B], the contents of JPEG, PNG or GIF files, and gives text, string [B],
    and score, float32 [B].

    Args:
      exp_dir: the experiment folder.
      output: the folder to make.
      greedy: whether to decode without beam search.
      word_list: whether to prefer the configuration's word list, as the Recognizer does.
      overrides: texts that are merged into the configuration.
      checkpoint_path: the checkpoint; None: the latest of the folder.

    Returns:
      An Export.

    Raises:
      ValueError: the experiment has no usable configuration or checkpoint, or no word list where one is asked for; or
        this process was forked from one that had used TensorFlow.
      OSError: the output can't be written. Nothing of it is left.
    """
    config, path = _find(exp_dir, output, greedy, overrides, checkpoint_path)
    steps = config.eval_config.data_preprocessing_steps
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        encoded = tf.placeholder(tf.string, [None], name="image_bytes")

        def preprocess(image_bytes):
            return preprocess_image(steps, _decode_image(image_bytes), exp_dir)

        with checkpoint.constants(path, config.eval_config.use_moving_averages):
            model, words, rules = _build(config, exp_dir, path, word_list)
            pixels = pixel_range(steps, exp_dir)

            def recognize(images):
                result = recognize_by_policy(model, images, rules, words, pixels)
                return result.texts, result.scores
            if None not in preprocessed_shape(steps, exp_dir):
                texts, scores = recognize(tf.map_fn(preprocess, encoded, dtype=tf.float32))
            else:  # images of different widths can't be in one batch
                texts, scores = tf.map_fn(
                    lambda image: tuple(column[0] for column in recognize(preprocess(image)[None])), encoded,
                    dtype=(tf.string, tf.float32))
        _save_model(session, output, encoded, texts, scores)
    return Export("image_bytes string [B] -> text string [B], score float [B]",
                  _left_out(config, words) + [
        "EXIF orientation is ignored, and so is transparency, except that of PNG files.",
        "One damaged image fails its whole batch."])


def export_onnx(exp_dir: str, output: str, greedy: bool = False, *, word_list: bool = False,
                overrides: Sequence[str] = (), checkpoint_path: Optional[str] = None) -> Export:
    """Writes an ONNX file with a checkpoint of an experiment folder.

    It takes images, float32 [B, H, W, 3], RGB, 0..255, of the size that the preprocessing steps give. It gives
    labels, int32 [B, S], of the text's characters, -1 after them, and scores, float32 [B]. Label n is
    characters[n - label_offset]; the file's metadata has both as JSON, and the size of the images, see `image_size`.

    Args:
      exp_dir, greedy, word_list, overrides, checkpoint_path: as in `export_saved_model`.
      output: the file to write.

    Returns:
      An Export.

    Raises:
      ValueError: as in `export_saved_model`; a package is missing, or the predictors have different character sets.
      OSError: the output can't be written. Nothing of it is left.
    """
    if not CAN_EXPORT_ONNX:
        raise ValueError("ONNX files need TensorFlow 2")
    try:
        import onnx
        import tf2onnx
        from tf2onnx import tf_loader
    except ImportError as error:
        raise ValueError(f'{error}; run: pip install -e ".[export]"') from error
    config, path = _find(exp_dir, output, greedy, overrides, checkpoint_path)
    steps = config.eval_config.data_preprocessing_steps
    size, pixels = preprocessed_shape(steps, exp_dir), pixel_range(steps, exp_dir)
    characters: List[str] = []
    left_out: List[str] = []

    def recognize(images):
        # a scope, since the converter mixes up names inside of loops with names outside
        with tf.name_scope("aster"), checkpoint.constants(path, config.eval_config.use_moving_averages):
            model, words, rules = _build(config, exp_dir, path, word_list)
            if len({predictor.charset.characters for predictor in model.predictors}) > 1:
                raise ValueError("the predictors have different character sets, which one ONNX file can't have")
            characters.extend(model.predictors[0].charset.characters)
            left_out.extend(_left_out(config, words))
            result = recognize_by_policy(model, images, rules, words, pixels)
            return {"labels": result.labels, "scores": result.scores}
    with tf.Graph().as_default():
        function = tf.wrap_function(recognize, [tf.TensorSpec([None] + size, tf.float32, name="images")])
    names = [tensor.name for tensor in function.inputs], [tensor.name for tensor in function.outputs]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(tf_loader.from_function(function, *names), name="")
        converted = tf2onnx.tfonnx.process_tf_graph(graph, opset=_OPSET, input_names=names[0], output_names=names[1])
    model = tf2onnx.optimizer.optimize_graph(converted).make_model("ASTER")
    _rename(model, dict(zip(names[0] + names[1], ["images"] + sorted(function.structured_outputs))))
    onnx.helper.set_model_props(model, {"characters": json.dumps(characters),
                                        "label_offset": str(NUM_SPECIAL_LABELS),
                                        "image_size": json.dumps(image_size(steps, exp_dir))})
    onnx.checker.check_model(model)
    with written_whole(output) as temporary:
        onnx.save(model, temporary)
    signature = f"images float [B, {size[0]}, {size[1] or 'W'}, 3] -> labels int32 [B, S], scores float [B]"
    return Export(signature, left_out)


def recognize_by_policy(model: RecognitionModel, images: tf.Tensor, rules: ReadingPolicy,
                        words: Optional[Lexicon] = None, pixels: PixelRange = _PLAIN) -> Texts:
    """Makes the operations that read a batch as the Recognizer does; a graph searches all images, certain or not.

    Args:
      model: made of standard operations (`build_model(fused=False)`).
      images: preprocessed, float32 [B, H, W, 3].
      rules: the ReadingPolicy.
      words: the word list to prefer, or None.
      pixels: the PixelRange of the images.

    Returns:
      A Texts.
    """
    best = _recognize(model, images, rules, words, pixels)
    blank = tf.reduce_all(policy.is_blank(tf.reduce_min(images, [1, 2]), tf.reduce_max(images, [1, 2]),
                                          pixels.gray_level, rules), 1)
    nothing = Texts(tf.fill(tf.shape(best.texts), ""), tf.zeros_like(best.scores),
                    tf.fill(tf.shape(best.labels), PAD_LABEL), tf.zeros_like(best.num_characters),
                    tf.zeros_like(best.num_digits), tf.zeros_like(best.letters))
    return _select(blank, nothing, best)


def _recognize(model, images, rules, words, pixels) -> Texts:
    """The texts of images, whether these are blank or not."""
    views = [images, pixels.invert(images)] if rules.also_inverted else [images]
    encoded = model.encode(tf.concat(views, 0))
    free = _split(_decode(model, encoded), len(views))
    best = free[0]
    for inverted in free[1:]:
        wins = policy.is_uncertain(best.scores, rules) & (inverted.scores > best.scores)
        best = _select(wins, inverted, best)
    if not words:
        return best

    def value(word):
        return policy.word_value(word.scores, word.num_characters, rules)
    word, *others = _split(_decode(model, encoded, words), len(views))
    for other in others:
        word = _select(value(other) > value(word), other, word)
    is_number = policy.is_number(best.num_digits, best.num_characters, rules)
    is_other = tf.reduce_any(tf.not_equal(word.letters, best.letters), 1)
    wins = policy.is_uncertain(best.scores, rules) & tf.logical_not(is_number) & (value(word) > best.scores)
    return _select(wins & is_other, word, best)


def _decode_image(image_bytes):
    """The bytes of a JPEG, PNG or GIF file, a scalar -> float32 [H, W, 3]; transparent PNG files as `pixels.to_rgb`."""
    def decode_png():
        rgba = tf.cast(tf.image.decode_png(image_bytes, channels=4), tf.float32)
        rgb, alpha = rgba[..., :3], rgba[..., 3:]
        # of a file without transparency, TensorFlow gives the largest number of its depth, which the header has
        depth = tf.cast(tf.decode_raw(tf.substr(image_bytes, 24, 1), tf.uint8)[0], tf.float32)
        opaque = tf.reduce_all(tf.equal(alpha, tf.pow(2.0, depth) - 1.0))
        alpha = tf.cond(opaque, lambda: 255.0 * tf.ones_like(alpha), lambda: alpha)
        luminance = tf.reduce_sum(rgb * [0.299, 0.587, 0.114] * alpha) / tf.maximum(tf.reduce_sum(alpha), 1.0)
        is_light = tf.logical_and(tf.reduce_sum(alpha) > 0, luminance >= MIDDLE_GRAY)
        ground = tf.where(is_light, 0.0, 255.0)
        return tf.round((rgb * alpha + ground * (255.0 - alpha)) / 255.0)

    def decode_other():
        # GIF too, in spite of its name; the slow cosine transform is the one that Pillow uses
        return tf.cast(tf.image.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE"), tf.float32)

    image = tf.cond(tf.equal(tf.substr(image_bytes, 0, 4), b"\x89PNG"), decode_png, decode_other)
    image.set_shape([None, None, 3])
    return image


def _build(config, exp_dir, path, with_words) -> Tuple[RecognitionModel, Optional[Lexicon], ReadingPolicy]:
    """-> the model of standard operations, its word list or None, and its policy."""
    model = build_model(config.model, exp_dir, fused=False)
    character_sets.check(path, model.characters)
    model_config = config.model.multi_predictors_recognition_model
    words = load_word_list(model_config, model.predictors, exp_dir) if with_words else None
    if with_words and not words:
        raise ValueError("--word_list: the configuration has no word_list, or reading.use_word_list is false")
    return model, words, policy.make_policy(model_config)


def _decode(model, encoded: Encoded, words: Optional[Lexicon] = None) -> Texts:
    """The Texts of the best predictors."""
    recognition = model.decode(encoded, words and words.trees)
    columns = []
    for predictor, decoded in zip(model.predictors, recognition.decoded):
        labels = _pad(character_labels(predictor, decoded), model.max_characters + 1)
        is_digit = np.array([False] * NUM_SPECIAL_LABELS + [c.isdigit() for c in predictor.charset.characters])
        digits = tf.gather(tf.constant(is_digit.astype(np.float32)), tf.maximum(labels, 0))
        # of the few characters whose lower case has two, the first counts
        lower = [-1] * NUM_SPECIAL_LABELS + [ord(c.lower()[0]) for c in predictor.charset.characters]
        columns.append((labels, tf.reduce_sum(tf.cast(labels >= NUM_SPECIAL_LABELS, tf.float32), 1),
                        tf.reduce_sum(digits, 1), tf.gather(tf.constant(lower, tf.int32), tf.maximum(labels, 0))))
    choice = tf.stack([tf.range(tf.shape(recognition.best)[0]), recognition.best], 1)
    labels, num_characters, num_digits, letters = [
        tf.gather_nd(tf.stack(column, 1), choice) for column in zip(*columns)]
    return Texts(recognition.texts, recognition.scores, labels, num_characters, num_digits, letters)


def _split(texts: Texts, count: int) -> List[Texts]:
    """The Texts of `count` batches that were concatenated."""
    size = tf.shape(texts.scores)[0] // count
    return [Texts(*[column[i * size:(i + 1) * size] for column in texts]) for i in range(count)]


def _select(condition, first: Texts, second: Texts) -> Texts:
    """Row by row the first where the condition, bool [B], holds, otherwise the second."""
    return Texts(*[tf.where(condition, a, b) for a, b in zip(first, second)])


def _pad(labels, width):
    """[B, S] -> [B, width], PAD_LABEL beyond S."""
    missing = tf.maximum(width - tf.shape(labels)[1], 0)
    labels = tf.pad(labels, [[0, 0], [0, missing]], constant_values=PAD_LABEL)[:, :width]
    labels.set_shape([None, width])
    return labels


def image_size(steps: Sequence[Any], base_dir: Optional[str] = None) -> Dict[str, Any]:
    """Describes the size that preprocessing steps give to images.

    Args:
      steps: PreprocessingStep messages.
      base_dir: the experiment folder.

    Returns:
      "height" and "width". Where long images get another width, also their "wide_width", and "wide_aspect", the ratio
      of width to height from which on an image is long. "width" is None where it depends on the image otherwise.
    """
    height, width, _ = preprocessed_shape(steps, base_dir)
    last = last_resize(steps)
    if width or not last or not last.wide_aspect:
        return {"height": height, "width": width}
    return {"height": height, "width": last.target_width, "wide_aspect": round(last.wide_aspect, 4),
            "wide_width": last.wide_target_width}


def _left_out(config, words: Optional[Lexicon]) -> List[str]:
    """What the Recognizer does beyond an export, in sentences."""
    model = config.model.multi_predictors_recognition_model
    sentences = ["Tall images are read as they are, not turned."]
    if model.reading.wide_characters and wide_width(config):
        sentences.append("Long texts in doubt are not read again from a wider image.")
    if model.reading.also_zoomed:
        sentences.append("Doubtful texts are not read again from zoomed images.")
    if not words and model.HasField("word_list") and model.reading.use_word_list:
        sentences.append("The word list is left out; --word_list exports it too.")
    if words and any(text != word for spelled in words.spellings for text, word in spelled.items()):
        sentences.append("Words are written in the characters of the model, not as the word list spells them.")
    return sentences


def _save_model(session, output, image_bytes, texts, scores):
    outputs = {"text": tf.identity(texts, "text"), "score": tf.identity(scores, "score")}
    information = tf.saved_model.utils.build_tensor_info
    signature = tf.saved_model.signature_def_utils.build_signature_def(
        {"image_bytes": information(image_bytes)},
        {name: information(tensor) for name, tensor in outputs.items()},
        tf.saved_model.signature_constants.PREDICT_METHOD_NAME)
    tf.get_variable("none", [], trainable=False)  # TensorFlow 1.4 can't save a model of constants only
    session.run(tf.global_variables_initializer())
    with written_whole(output) as temporary:
        builder = tf.saved_model.builder.SavedModelBuilder(temporary)
        builder.add_meta_graph_and_variables(session, [tf.saved_model.tag_constants.SERVING], {
            tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature})
        builder.save()


def _find(exp_dir, output, greedy, overrides, path):
    """-> configuration and path of the checkpoint."""
    claim_process()  # the packages for ONNX open sessions of their own
    if os.path.lexists(output):
        raise ValueError(f"{output} exists already; name one that does not")
    config = read_config(exp_dir, overrides)
    if greedy:
        for predictor in config.model.multi_predictors_recognition_model.predictor:
            if predictor.HasField("attention_predictor"):
                predictor.attention_predictor.beam_width = 1
            if predictor.HasField("ctc_predictor"):
                predictor.ctc_predictor.beam_width = 1
    return config, path or checkpoint.find_checkpoint(os.path.join(exp_dir, "log"))


def _rename(model, names):
    """Gives the inputs and outputs of an ONNX model the names of `names`, {old: new}."""
    for value in list(model.graph.input) + list(model.graph.output):
        value.name = names[value.name]
    for node in model.graph.node:
        for field in node.input, node.output:
            field[:] = [names.get(name, name) for name in field]
