"""Evaluates checkpoints: python -m aster.eval --exp_dir E [--set TEXT] [--protocol P...] [--norepeat] [--json F]
or several data sets in one report: python -m aster.eval --exp_dir E --datasets DIR_OR_FILES... --report OUT"""
import argparse
import collections
import functools
import itertools
import logging
import os
import time
from typing import Any, Dict, List, Optional, TextIO

from aster import command, pretrained

_log = logging.getLogger(__name__)
_PROTOCOLS = ("benchmark", "letters", "case_insensitive", "exact")  # of evaluation.metrics, which takes long to import


def main() -> None:
    """Parses the arguments, and evaluates. Results go to stdout, and to the files that were asked for."""
    parser = command.ArgumentParser(prog="python -m aster.eval", description=(
        "Evaluate each new checkpoint of EXP_DIR/log on the eval_input_reader of EXP_DIR/config/trainval.prototxt "
        "(TensorBoard summaries go to EXP_DIR/log/eval). Or evaluate the latest checkpoint on the test sets of "
        "--datasets."))
    command.add_exp_dir(parser)
    command.add_checkpoint(parser)
    command.add_overrides(parser)
    command.add_trust(parser)
    parser.add_argument("--norepeat", action="store_true", help="evaluate the latest checkpoint and stop")
    parser.add_argument("--json", metavar="F", help="write the latest results to this file")
    parser.add_argument("--datasets", nargs="+", metavar="PATH", help="TFRecord files, or folders of them")
    parser.add_argument("--report", metavar="OUT", help="folder for report.html, .md, .csv and .json of --datasets")
    parser.add_argument("--compare", nargs="+", metavar="E", default=[],
                        help="experiment folders, or names of pretrained models, that the report compares with the "
                             "first; --set changes them too")
    parser.add_argument("--protocol", nargs="+", action="append", default=[], choices=_PROTOCOLS, metavar="NAME",
                        help="what of the texts is compared; several give a result for each. benchmark: letters and "
                             "digits of ASCII, case ignored (the default); letters: those of every alphabet, case "
                             "ignored (the default of models that write more than ASCII); case_insensitive: every "
                             "character, case ignored; exact: every character")
    arguments = parser.parse_args()
    if not arguments.exp_dir and not arguments.compare:
        parser.error("name an experiment folder with --exp_dir, or a pretrained model with --model")
    if bool(arguments.datasets) != bool(arguments.report) or arguments.compare and not arguments.datasets:
        parser.error("--datasets and --report go together: the test sets, and a folder for the report; --compare adds "
                     "experiments to it")
    if arguments.datasets and arguments.json:
        parser.error("--report writes a report.json of its own; leave out --json")
    if arguments.checkpoint and not arguments.exp_dir:
        parser.error("--checkpoint is of --exp_dir or --model, which is missing")
    if arguments.datasets:
        _report(arguments)
    else:
        _follow(arguments)


def _protocols(arguments: argparse.Namespace) -> List[str]:
    """The protocols that were asked for, each once."""
    return list(collections.OrderedDict.fromkeys(itertools.chain(*arguments.protocol)))


def _report(arguments: argparse.Namespace) -> None:
    """Writes the report on a checkpoint of each experiment: of --compare the latest."""
    folders = [arguments.exp_dir] * bool(arguments.exp_dir) + [
        folder if os.path.isdir(folder) else pretrained.find(folder) for folder in arguments.compare]
    if len(set(map(os.path.abspath, folders))) < len(folders):
        raise ValueError(f"an experiment is named twice: {' '.join(folders)}")
    configs = [command.read_experiment(folder, arguments.overrides, trust=arguments.trust) for folder in folders]
    checkpoints = [command.find_checkpoint(folder, arguments.checkpoint if folder == arguments.exp_dir else None)
                   for folder in folders]
    command.check_writable(arguments.report, is_folder=True)
    if os.path.exists(os.path.join(arguments.report, "report.json")):
        _log.warning("%s has a report already, which will be replaced; to keep it, name another folder",
                     arguments.report)
    command.start_tensorflow()
    from aster.evaluation.page import make_report
    from aster.evaluation.report import check_data_set, find_data_sets
    data_sets = find_data_sets(arguments.datasets)
    for folder, config in zip(folders, configs):  # all, before the first is read
        for data_set in data_sets:
            check_data_set(data_set, options=config.eval_config, base_dir=folder)
    errors = []
    for ending, text in make_report(folders, configs, data_sets, _protocols(arguments), checkpoints):
        if ending == "md":
            command.say(text)
        try:
            command.write_text(os.path.join(arguments.report, "report." + ending), functools.partial(_write, text))
        except OSError as error:  # of a full disk, say, which may have room for another of the files
            errors.append(error)
    if errors:
        raise errors[0]


def _write(text: str, stream: TextIO) -> None:
    stream.write(text)


def _follow(arguments: argparse.Namespace) -> None:
    """Evaluates one checkpoint and, unless --checkpoint or --norepeat is given, each that comes after it."""
    is_single = arguments.norepeat or bool(arguments.checkpoint)
    config = command.read_experiment(arguments.exp_dir, arguments.overrides, trust=arguments.trust)
    if arguments.json:
        command.check_writable(arguments.json)
    if not config.eval_input_reader:
        raise ValueError(f"{arguments.exp_dir}: the configuration has no eval_input_reader; add one, or "
                         "name test sets with --datasets and --report")
    command.start_tensorflow()
    from aster.checkpoint import DamagedCheckpoint
    from aster.config import CONFIG_IN_EXP_DIR
    from aster.data.records import find_record_files
    from aster.evaluation.evaluator import evaluate, summary_lines

    readers = range(len(config.eval_input_reader))
    if arguments.json:
        inputs = [reader.tf_record_input_reader.input_path for reader in config.eval_input_reader]
        command.check_no_input(arguments.json, [os.path.join(arguments.exp_dir, CONFIG_IN_EXP_DIR)] + [
            file for path in filter(None, inputs)
            for file in find_record_files(path, arguments.exp_dir, "eval_input_reader")])
    results: List[Dict[str, Any]] = []

    def write(result: Dict[str, Any]) -> None:
        results.append(result)
        try:
            if arguments.json:
                command.write_json(arguments.json, result if len(readers) == 1 else results)
        finally:  # a full disk, say
            command.say("\n".join(summary_lines(result)))
    last, count = None, 0
    while True:
        path = _find_checkpoint(arguments, wait=not is_single)
        if path and path != last:
            last, count = path, count + 1
            try:
                results.clear()
                for number in readers:
                    evaluate(config, arguments.exp_dir, path, reader=number, protocols=_protocols(arguments),
                             on_result=write)
            except DamagedCheckpoint as error:  # or gone: training keeps the latest only
                if is_single:
                    raise
                _log.error("%s; waiting for the next", error.problem)
        if is_single or count == config.eval_config.max_evals > 0:
            return
        _log.info("looking for a newer checkpoint every %d s (eval_interval_secs); Ctrl-C stops",
                  config.eval_config.eval_interval_secs)
        time.sleep(config.eval_config.eval_interval_secs)


def _find_checkpoint(arguments: argparse.Namespace, wait: bool) -> Optional[str]:
    """The path of the checkpoint to evaluate; with `wait`, None where there is none yet."""
    from aster.checkpoint import CheckpointError
    try:
        return command.find_checkpoint(arguments.exp_dir, arguments.checkpoint)
    except CheckpointError as error:
        if not wait:
            raise
        _log.info("%s", error)
        return None


def cli() -> None:
    """Runs the command aster-eval."""
    command.run(main)


if __name__ == "__main__":
    cli()
