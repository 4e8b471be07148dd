"""Evaluates checkpoints: python -m aster.eval --exp_dir E [--norepeat] [--json F]"""
import argparse
import logging
import os
import time

from aster import command

_log = logging.getLogger(__name__)


def main():
    parser = argparse.ArgumentParser(prog="python -m aster.eval", description=(
        "Evaluate each new checkpoint of EXP_DIR/log on the eval_input_reader of EXP_DIR/config/trainval.prototxt. "
        "TensorBoard summaries go to EXP_DIR/log/eval."))
    parser.add_argument("--exp_dir", required=True, help="experiment folder")
    parser.add_argument("--norepeat", action="store_true", help="evaluate the latest checkpoint and stop")
    parser.add_argument("--json", metavar="F", help="write the latest results to this file")
    arguments = parser.parse_args()

    config = command.read_experiment(arguments.exp_dir)
    if not config.HasField("eval_input_reader"):
        raise ValueError("%s: the configuration has no eval_input_reader" % arguments.exp_dir)
    from aster import checkpoint
    from aster.evaluation.evaluator import evaluate
    log_dir = os.path.join(arguments.exp_dir, "log")
    for path in _checkpoints(checkpoint, log_dir, config.eval_config, arguments.norepeat):
        result = evaluate(config, arguments.exp_dir, path)
        if arguments.json:
            command.write_json(arguments.json, result)


def _checkpoints(checkpoint, log_dir, options, norepeat):
    """Yields the latest checkpoint, and later each newer one, until max_evals are done."""
    last, done = None, 0
    while True:
        try:
            path = checkpoint.find_checkpoint(log_dir)
        except checkpoint.CheckpointError as error:
            if norepeat:
                raise
            path = last
            _log.info("%s; looking again every %d s", error, options.eval_interval_secs)
        if path != last:
            yield path
            last, done = path, done + 1
        if norepeat or done == options.max_evals > 0:
            return
        time.sleep(options.eval_interval_secs)


if __name__ == "__main__":
    command.run(main)
