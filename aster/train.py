"""Trains a model: python -m aster.train --exp_dir E [--num_clones N] [--clone_on_cpu]"""
import argparse

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
        raise ValueError("%s: the configuration has no train_config" % arguments.exp_dir)
    from aster.training.loop import train
    train(config, arguments.exp_dir, arguments.num_clones, arguments.clone_on_cpu)


if __name__ == "__main__":
    command.run(main)
