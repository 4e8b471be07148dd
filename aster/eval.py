"""Evaluates checkpoints: python -m aster.eval --exp_dir E [--norepeat] [--json F]
or several data sets in one report: python -m aster.eval --exp_dir E --datasets DIR_OR_FILES... --report OUT"""
import argparse
import logging
import os
import time

from aster import command

_log = logging.getLogger(__name__)


def main():
    parser = argparse.ArgumentParser(prog="python -m aster.eval", description=(
        "Evaluate each new checkpoint of EXP_DIR/log on the eval_input_reader of EXP_DIR/config/trainval.prototxt "
        "(TensorBoard summaries go to EXP_DIR/log/eval), or the latest on the test sets of --datasets."))
    parser.add_argument("--exp_dir", help="experiment folder")
    parser.add_argument("--norepeat", action="store_true", help="evaluate the latest checkpoint and stop")
    parser.add_argument("--json", metavar="F", help="write the latest results to this file")
    parser.add_argument("--datasets", nargs="+", metavar="PATH", help="TFRecord files, or folders of them")
    parser.add_argument("--report", metavar="OUT", help="folder for report.html, .md, .csv and .json of --datasets")
    parser.add_argument("--compare", nargs="+", metavar="E", default=[],
                        help="experiment folders to set beside the first in the report")
    arguments = parser.parse_args()
    if not arguments.exp_dir and not arguments.compare:
        parser.error("name an experiment folder with --exp_dir")
    if bool(arguments.datasets) != bool(arguments.report) or arguments.compare and not arguments.datasets:
        parser.error("--datasets and --report go together: the test sets, and a folder for the report; --compare adds "
                     "experiments to it")
    if arguments.datasets and arguments.json:
        parser.error("--report writes a report.json of its own; leave out --json")
    (_report if arguments.datasets else _follow)(arguments)


def _report(arguments):
    from aster.evaluation.report import find_data_sets
    data_sets = find_data_sets(arguments.datasets)
    folders = ([arguments.exp_dir] if arguments.exp_dir else []) + arguments.compare
    if len(set(map(os.path.abspath, folders))) < len(folders):
        raise ValueError("an experiment is named twice: {}".format(" ".join(folders)))
    configs = [command.read_experiment(folder) for folder in folders]
    command.check_writable(arguments.report, is_folder=True)
    from aster.evaluation.page import make_report
    texts = make_report(folders, configs, data_sets)
    for ending, text in texts.items():
        command.write_text(os.path.join(arguments.report, "report." + ending), lambda stream: stream.write(text))
    print(texts["md"])


def _follow(arguments):
    config = command.read_experiment(arguments.exp_dir)
    if arguments.json:
        command.check_writable(arguments.json)
    if not config.HasField("eval_input_reader"):
        raise ValueError(f"{arguments.exp_dir}: the configuration has no eval_input_reader")
    from aster import checkpoint
    from aster.evaluation.evaluator import evaluate, summary_line
    log_dir = os.path.join(arguments.exp_dir, "log")
    last, done = None, 0
    while True:
        path = _newest(log_dir, wait=not arguments.norepeat)
        if path and path != last:
            last, done = path, done + 1
            try:
                result = evaluate(config, arguments.exp_dir, path)
                print(summary_line(result), flush=True)
                if arguments.json:
                    command.write_json(arguments.json, result)
            except checkpoint.DamagedCheckpoint as error:
                if arguments.norepeat:
                    raise
                _log.error("%s; waiting for the next", error)
        if arguments.norepeat or done == config.eval_config.max_evals > 0:
            return
        _log.info("looking for a newer checkpoint every %d s (eval_interval_secs); Ctrl-C stops",
                  config.eval_config.eval_interval_secs)
        time.sleep(config.eval_config.eval_interval_secs)


def _newest(log_dir, wait):
    """The path of the latest checkpoint; with `wait`, None where there is none yet."""
    from aster.checkpoint import CheckpointError, find_checkpoint
    try:
        return find_checkpoint(log_dir)
    except CheckpointError as error:
        if not wait:
            raise
        _log.info("%s", error)


if __name__ == "__main__":
    command.run(main)
