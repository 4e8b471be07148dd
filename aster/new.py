"""Makes an experiment that goes on from a trained model with your own words:
python -m aster.new EXP_DIR --from english --records F --test_records F [--other_records F --other_test_records F]
Or copies one of the library's own: python -m aster.new EXP_DIR --template quickstart"""
import argparse
import contextlib
import filecmp
import logging
import math
import os
import shlex
import shutil
from typing import Any, Dict, List

from aster import command, pretrained
from aster.files import shipped_folder, written_whole

_log = logging.getLogger(__name__)
_OWN_IMAGES, _OTHER_IMAGES = 16, 48  # in a batch
_SAMPLE = 5000  # of the other words, whose texts are looked at
_OPEN_FILES = 16  # at a time
_LEARNING_RATE = 0.0003
_NOT_COPIED = "log", "__pycache__"
_EXPERIMENTS = shipped_folder("experiments", "experiments")
_RENDER = ("python tools/create_synthetic_tfrecord.py --output_path data/rendered_{0}.tfrecord --split {0} "
           "--num_images {1}")


def main() -> None:
    """Parses the arguments, and writes the experiment folder. What to run next goes to stdout."""
    arguments = _parse_arguments()
    if arguments.template:
        _copy_template(arguments.template, arguments.exp_dir)
        return
    from aster.config import CONFIG_IN_EXP_DIR
    from aster.short_prototxt import short_prototxt
    command.start_tensorflow()
    source = pretrained.find(arguments.source)
    start = os.path.abspath(command.find_checkpoint(source, arguments.checkpoint))
    config = command.read_experiment(source, trust=arguments.trust)
    predictors = _check_characters(config, source, start)
    texts = _read_texts(arguments.records, "--records")
    for paths, option in ((arguments.test_records, "--test_records"),
                          (arguments.other_test_records, "--other_test_records")):
        if paths:
            _read_texts(paths, option, most=1)
    _check_apart(arguments)
    others = _read_texts(arguments.other_records, "--other_records", _SAMPLE) if arguments.other_records else []
    _fill_in(config, arguments, start, len(texts))
    _use_files_of(config, source)
    files = _learn_characters(config, predictors, texts + others, start, source)
    files[CONFIG_IN_EXP_DIR] = (f"# Goes on from {start} with {len(texts)} images. Written by aster.new.\n"
                                + short_prototxt(config))
    _write(files, arguments.exp_dir)
    folder = shlex.quote(arguments.exp_dir)
    path = os.path.join(arguments.exp_dir, CONFIG_IN_EXP_DIR)
    command.say(f"wrote {path}: {config.train_config.num_steps} steps. Now run:\n"
                f"  python -m aster.train --exp_dir {folder}\n"
                f"  python -m aster.demo --exp_dir {folder} --checkpoint best --input_image YOUR_IMAGES")
    if not arguments.other_records:
        _log.warning("with your own words only, the model may forget how to read others. To keep that, render some, "
                     "and name them by --other_records data/rendered_train.tfrecord --other_test_records "
                     "data/rendered_test.tfrecord:\n  %s\n  %s",
                     _RENDER.format("train", 20000), _RENDER.format("test", 1000))


def _parse_arguments() -> argparse.Namespace:
    parser = command.ArgumentParser(prog="python -m aster.new", description=(
        "Make an experiment folder: one that goes on from a trained model with your own words (--records and "
        "--test_records), or a copy of one of the library's own experiments (--template)."))
    parser.add_argument("exp_dir", help="the folder to make")
    parser.add_argument("--from", dest="source", metavar="NAME|EXP_DIR", help=(
        f"a pretrained model, or the folder of a trained experiment (default: {pretrained.DEFAULT}). The pretrained "
        f"models: {', '.join(pretrained.list())}"))
    command.add_checkpoint(parser)
    command.add_trust(parser)
    parser.add_argument("--template", choices=_templates(), help=(
        "copy the configuration of one of the library's own experiments instead, to train a new model"))
    parser.add_argument("--records", metavar="F", help="TFRecord files of your words, to train on")
    parser.add_argument("--test_records", metavar="F", help=(
        "TFRecord files of your words, to evaluate on; none of --records"))
    parser.add_argument("--other_records", metavar="F", help=(
        "TFRecord files of other words, such as rendered ones, so that the model goes on reading them; they are three "
        "quarters of each batch"))
    parser.add_argument("--other_test_records", metavar="F", help=(
        "TFRecord files of such words, to evaluate on; none of --other_records"))
    arguments = parser.parse_args()
    if arguments.template:
        others = ["--" + {"source": "from"}.get(name, name) for name, value in vars(arguments).items()
                  if value and name not in ("exp_dir", "template")]
        if others:
            parser.error(f"--template copies a configuration as it is, and takes no {', '.join(others)}; leave them "
                         "out, and name your records in the copy's config/trainval.prototxt; or leave out --template")
    arguments.source = arguments.source or pretrained.DEFAULT
    if not arguments.template and not (arguments.records and arguments.test_records):
        parser.error("name your words with --records and --test_records, or a --template")
    if bool(arguments.other_records) != bool(arguments.other_test_records):
        parser.error("--other_records and --other_test_records go together")
    return arguments


def _templates() -> List[str]:
    """The names of the library's own experiments."""
    return sorted(name for name in os.listdir(_EXPERIMENTS)
                  if os.path.isdir(os.path.join(_EXPERIMENTS, name, "config"))) if os.path.isdir(_EXPERIMENTS) else []


def _copy_template(name: str, exp_dir: str) -> None:
    """Copies an experiment's configuration and what lies beside it, without what training has made."""
    if os.path.lexists(os.path.join(exp_dir, "config")):
        raise ValueError(f"{exp_dir} is an experiment already; name another folder")
    for entry in os.listdir(os.path.join(_EXPERIMENTS, name)):
        if entry not in _NOT_COPIED and os.path.lexists(os.path.join(exp_dir, entry)):
            raise ValueError(f"{os.path.join(exp_dir, entry)} exists already, and would be replaced; name another "
                             "folder")
    with written_whole(exp_dir) as temporary:
        shutil.copytree(os.path.join(_EXPERIMENTS, name), temporary,
                        ignore=shutil.ignore_patterns(*_NOT_COPIED))
        path = os.path.join(temporary, "config", "trainval.prototxt")
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        with open(path, "w", encoding="utf-8") as stream:  # relative to the experiment, this file is elsewhere now
            stream.write(text.replace("../../aster/pretrained", pretrained.FOLDER))
    command.say(f"wrote {exp_dir}. Change its config/trainval.prototxt, and run:\n"
                f"  python -m aster.train --exp_dir {shlex.quote(exp_dir)}")


def _read_texts(input_path: str, option: str, most: int = 10 ** 9) -> List[str]:
    """The texts of the records of TFRecord files, looked up from the working directory; it reads up to `most`."""
    from aster.data import example, records
    texts: List[str] = []
    paths = records.find_record_files(input_path, field=option)
    for record in records.interleave((records.read_records(path) for path in paths), _OPEN_FILES):
        if record.payload is not None:
            with contextlib.suppress(ValueError):  # training reports it
                texts.append(example.parse(record.payload).text)
        if len(texts) >= most:
            break
    if not texts:
        raise ValueError(f"{option}: {input_path} has no record that can be used")
    return texts


def _check_apart(arguments: argparse.Namespace) -> None:
    """Raises ValueError where a file of test words is also trained on, or evaluated as another kind of words."""
    from aster.data.records import find_record_files
    option_of: Dict[str, str] = {}  # of each file
    for name in "records", "other_records", "test_records", "other_test_records":
        input_path, option = getattr(arguments, name), "--" + name
        files = {os.path.realpath(path): path for path in find_record_files(input_path, field=option)} if (
            input_path) else {}
        for file, path in files.items():
            for known, other in option_of.items():
                if other == option or "test" not in option:
                    continue
                rule = ("each kind of test words needs files of its own" if "test" in other else
                        "evaluate on words that training does not see")
                if known == file:
                    raise ValueError(f"{other} and {option} name the same file, {path}; {rule}")
                if filecmp.cmp(known, file, shallow=False):
                    _log.warning("%s and %s name two copies of one file, %s and %s; %s", other, option, known, path,
                                 rule)
            option_of.setdefault(file, option)


def _fill_in(config: Any, arguments: argparse.Namespace, start: str, num_images: int) -> None:
    """Writes what training and evaluation need into the configuration of the model."""
    readers = [arguments.records] + [arguments.other_records] * bool(arguments.other_records)
    tests = [arguments.test_records] + [arguments.other_test_records] * bool(arguments.other_test_records)
    for field, paths in (config.train_input_reader, readers), (config.eval_input_reader, tests):
        del field[:]
        for path in paths:
            field.add().tf_record_input_reader.input_path = _absolute(path)
    train = config.train_config
    train.Clear()
    train.batch_size.extend([_OWN_IMAGES, _OTHER_IMAGES] if len(readers) == 2 else [_OWN_IMAGES + _OTHER_IMAGES])
    train.data_augmentation_options.extend(config.eval_config.data_preprocessing_steps)
    # 300 steps for a few words; a hundred times the words need ten times the steps
    train.num_steps = max(300, int(20 * math.sqrt(num_images)))
    train.optimizer.moving_average_decay = 0.99
    rate = train.optimizer.adam_optimizer.learning_rate.one_cycle_learning_rate
    rate.max_learning_rate, rate.num_steps, rate.num_warmup_steps = (
        _LEARNING_RATE, train.num_steps, train.num_steps // 10)
    train.gradient_clipping_by_norm = 1
    train.save_checkpoint_secs, train.eval_num_examples = 60, 1000
    train.fine_tune_checkpoint = start
    config.eval_config.use_moving_averages = True


def _write(files: Dict[str, str], exp_dir: str) -> None:
    """Writes {path from the experiment folder: content}; ValueError before anything is written, if one is there."""
    for name in files:
        if os.path.lexists(os.path.join(exp_dir, name)):
            raise ValueError(f"{os.path.join(exp_dir, name)} exists already; name another experiment folder")
    for name, text in files.items():
        with written_whole(os.path.join(exp_dir, name)) as path, open(path, "w", encoding="utf-8") as stream:
            stream.write(text)


def _absolute(input_path: str) -> str:
    if os.path.exists(input_path):  # also with a comma in its name
        return os.path.abspath(input_path)
    return ",".join(os.path.abspath(name.strip()) for name in input_path.split(",") if name.strip())


def _use_files_of(config: Any, source: str) -> None:
    """Names the files of the other experiment, such as its word list, by paths that hold from everywhere."""
    from aster.config import walk
    from aster.files import find_file
    for _, message in walk(config):
        for field, value in message.ListFields():
            if field.name == "text_file":
                setattr(message, field.name, os.path.abspath(find_file(value, source)))


def _check_characters(config: Any, source: str, start: str) -> List[Any]:
    """The predictors of the other experiment, if their character sets are those that its checkpoint was trained with.
    """
    from aster import character_sets
    from aster.model.build import build_model
    model = build_model(config.model, source)
    character_sets.check(start, model.characters)
    return model.predictors


def _learn_characters(config: Any, predictors: List[Any], texts: List[str], start: str, source: str) -> Dict[str, str]:
    """Adds the characters that the model lacks to its configuration -> the files that this names, and their texts."""
    from aster import character_sets
    from aster.data.filtering import list_counts
    from aster.data.new_characters import add_characters, find_new_characters
    charsets = [predictor.charset for predictor in predictors]
    new = find_new_characters(texts, config.train_config.data_augmentation_options, charsets, source)
    if not new:
        return {}
    if character_sets.read(start) is None:
        raise ValueError(f"the words have characters that the model lacks: {list_counts(new)}. What the model knows of "
                         f"the others can be kept only if its character sets are stored: write them to "
                         f"{character_sets.path_beside(start)} (docs/configuration.md has its form)")
    files = add_characters(config, new, source)
    _log.warning("the words have characters that the model lacks: %s. They are added to its character set, in %s. A "
                 "new letter starts from the same letter in the other case if the model knows that, other new ones "
                 "start anew, and what the model knows of the others is kept. Take out of the file what it shall not "
                 "learn", list_counts(new), " and ".join(files))
    known = {character for charset in charsets for character in charset.characters}
    model = config.model.multi_predictors_recognition_model
    if model.HasField("word_list") and not all(character.swapcase() in known for character in new):
        _log.warning("the model's word_list, %s, is left out, since its words have none of these characters; name one "
                     "of your own language in its place", model.word_list.text_file)
        model.ClearField("word_list")
    return files


def cli() -> None:
    """Runs the command aster-new."""
    command.run(main)


if __name__ == "__main__":
    cli()
