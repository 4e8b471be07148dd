"""Trains a model: python -m aster.train --exp_dir E [--num_clones N] [--clone_on_cpu]"""
import argparse
import logging

from aster import command


def main():
    parser = argparse.ArgumentParser(prog="python -m aster.train", description=(
        "Train the model of EXP_DIR/config/trainval.prototxt. Checkpoints and TensorBoard summaries go to "
        "EXP_DIR/log; the same command again resumes."))
    parser.add_argument("--exp_dir", required=True, help="experiment folder")
    parser.add_argument("--num_clones", type=int, default=1, help="share each batch between so many GPUs (default 1)")
    parser.add_argument("--clone_on_cpu", action="store_true", help="put the clones on the CPU")
    arguments = parser.parse_args()

    config = command.read_experiment(arguments.exp_dir, arguments.num_clones)
    if not config.HasField("train_config"):
        raise ValueError(f"{arguments.exp_dir}: the configuration has no train_config")
    from aster.training.loop import train
    train(config, arguments.exp_dir, num_clones=arguments.num_clones, clone_on_cpu=arguments.clone_on_cpu,
          evaluate=_evaluation(config, arguments.exp_dir))


def _evaluation(config, exp_dir):
    """A function of a checkpoint's path that gives its word accuracy, or None where the configuration asks for none."""
    if not config.train_config.eval_num_examples:
        return None
    from aster.evaluation.evaluator import evaluate, summary_line
    small = type(config)()
    small.CopyFrom(config)
    small.eval_config.num_examples = config.train_config.eval_num_examples

    def word_accuracy(path):
        try:
            result = evaluate(small, exp_dir, path)
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).error("can't evaluate %s: %s; training goes on", path, error)
            return None
        logging.getLogger(__name__).info("%s", summary_line(result))
        return result["word_accuracy"]
    return word_accuracy


if __name__ == "__main__":
    command.run(main)
