"""Trains a model: python -m aster.train --exp_dir E [--set TEXT] [--seed N] [--num_clones N] [--clone_on_cpu]"""
import logging
import os
from typing import Any, Dict

from aster import command
from aster.training.cluster import ALL_REDUCE, PS, STRATEGIES, Cluster, read_cluster

_log = logging.getLogger(__name__)


def main() -> None:
    """Parses the arguments, and trains. Progress goes to stderr."""
    parser = command.ArgumentParser(prog="python -m aster.train", description=(
        "Train the model of EXP_DIR/config/trainval.prototxt. Checkpoints and TensorBoard summaries go to "
        "EXP_DIR/log. To resume, run the same command again. With the environment variable TF_CONFIG, this is one "
        "process of a cluster (docs/cluster.md)."))
    parser.add_argument("--exp_dir", required=True, help="experiment folder")
    command.add_overrides(parser)
    command.add_trust(parser)
    parser.add_argument("--seed", type=int, help="the same as --set 'train_config { seed: SEED }': makes the run "
                        "repeatable")
    parser.add_argument("--num_clones", type=int, default=1,
                        help="share each batch between this number of GPUs (default: 1)")
    parser.add_argument("--clone_on_cpu", action="store_true", help="put the clones on the CPU")
    parser.add_argument("--strategy", choices=STRATEGIES, default=PS, help="in a cluster, how the workers share what "
                        "they learn: by parameter servers (default), or without, by the mean of all gradients in each "
                        "step")
    arguments = parser.parse_args()

    overrides = arguments.overrides
    if arguments.seed is not None:
        overrides = overrides + [f"train_config {{ seed: {arguments.seed} }}"]
    config = command.read_experiment(arguments.exp_dir, overrides, arguments.num_clones, trust=arguments.trust)
    if not config.HasField("train_config"):
        raise ValueError(f"{arguments.exp_dir}: the configuration has no train_config")
    if not config.train_input_reader:
        raise ValueError(f"{arguments.exp_dir}: the configuration has no train_input_reader, so there is nothing to "
                         "train on")
    cluster = read_cluster(os.environ.get("TF_CONFIG"), arguments.strategy)
    command.start_tensorflow()
    options: Dict[str, Any] = dict(num_clones=arguments.num_clones, clone_on_cpu=arguments.clone_on_cpu)
    is_all_reduce = arguments.strategy == ALL_REDUCE
    if is_all_reduce and not cluster:
        _log.info("--strategy all_reduce has no effect, since TF_CONFIG names no other process (docs/cluster.md)")
    server = _start_server(config, cluster, arguments.num_clones, is_all_reduce) if cluster else None
    if cluster and cluster.is_ps:
        from aster.training.parameter_server import serve
        serve(server, cluster, float(config.train_config.cluster_timeout_secs))
        return
    if cluster and not cluster.is_chief and not is_all_reduce:
        from aster.training.worker import train_as_worker
        train_as_worker(server, config, arguments.exp_dir, cluster, **options)
        return
    from aster.evaluation.history import EvaluationHistory
    is_follower = cluster and not cluster.is_chief
    history = None
    if config.train_config.eval_num_examples and not is_follower:
        history = EvaluationHistory(config, arguments.exp_dir)
    options["evaluate"] = history.evaluate if history else None
    if cluster and is_all_reduce:
        from aster.training.all_reduce import train_all_reduce
        train_all_reduce(server, config, arguments.exp_dir, cluster, **options)
    elif cluster:
        from aster.training.distributed import train_as_chief
        train_as_chief(server, config, arguments.exp_dir, cluster, **options)
    else:
        if config.train_config.sync_replicas:
            _log.info("train_config.sync_replicas has no effect, since TF_CONFIG names no cluster (docs/cluster.md)")
        from aster.training.loop import train
        train(config, arguments.exp_dir, **options)
    if history and config.train_config.fine_tune_checkpoint:
        for line in history.compare_best_with_start():
            _log.info("%s", line)


def _start_server(config: Any, cluster: Cluster, num_clones: int, is_all_reduce: bool) -> Any:
    from aster.training.all_reduce import all_reduce_options, check_all_reduce
    from aster.training.distributed import check_cluster
    from aster.training.parameter_server import start_server
    if is_all_reduce:
        check_all_reduce(config)
    else:
        check_cluster(config, cluster)
    options = all_reduce_options(config, cluster, num_clones) if is_all_reduce else None
    with command.start_up_noise_hidden():
        return start_server(cluster, num_clones, options)


def cli() -> None:
    """Runs the command aster-train."""
    command.run(main)


if __name__ == "__main__":
    cli()
