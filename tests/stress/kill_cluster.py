#!/usr/bin/env python
"""Kills processes of a cluster at random moments, and checks that no more is lost than since the last checkpoint.

    python tests/stress/kill_cluster.py --kills 20

Each kill is a SIGKILL of a ps, the chief or a worker. A killed chief or worker is started again after a moment. After a
killed ps, the others must end by themselves, with a sentence, and all are started again; without ps, after any kill.
"""
import argparse
import os
import pathlib
import random
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", ".."), os.path.join(HERE, "..", "training")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="default: 20")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--sync", action="store_true", help="a synchronous cluster")
    parser.add_argument("--strategy", choices=["ps", "all_reduce"], default="ps", help="default: ps")
    arguments = parser.parse_args()
    from test_cluster import Processes, free_addresses, make
    with tempfile.TemporaryDirectory() as parent:
        parent = pathlib.Path(parent)
        (parent / "e").mkdir()
        folder = make(parent / "e", 1000000, train="sync_replicas: true replicas_to_aggregate: 3 " * arguments.sync)
        addresses, options = free_addresses(4), ["--strategy", arguments.strategy]
        jobs = {"chief": addresses[:1], "worker": addresses[1:3], "ps": addresses[3:]}
        if arguments.strategy == "all_reduce":
            del jobs["ps"]
        cluster = Processes(folder, parent, options, jobs)
        try:
            run(cluster, folder, arguments.kills, random.Random(arguments.seed))
        finally:
            cluster.end()
    print(f"{arguments.kills} of {arguments.kills} kills survived; never more was lost than since the last checkpoint")


def run(cluster, folder, kills, generator):
    from test_cluster import last_step, resumed_steps, wait_for_checkpoint
    everyone = [f"{job}{i}" for job in cluster.addresses for i in range(len(cluster.addresses[job]))]
    cluster.start(*everyone)
    wait_for_checkpoint(folder, -1)
    for number in range(1, kills + 1):
        time.sleep(generator.uniform(0, 8))
        victim = generator.choice(everyone)
        cluster.kill(victim)
        saved, starts = last_step(folder), len(resumed_steps(cluster.log("chief0")))
        if victim == "ps0" or "ps" not in cluster.addresses:
            for name in set(everyone) - {victim}:
                assert cluster.status(name) == 1, f"{name}: {cluster.log(name)}"
                assert "Traceback" not in cluster.log(name), cluster.log(name)
            saved = last_step(folder)
            cluster.start(*everyone)
        else:
            time.sleep(generator.uniform(0, 3))
            cluster.start(victim)
        began = time.time()
        wait_for_checkpoint(folder, last_step(folder))  # it goes on
        resumed = resumed_steps(cluster.log("chief0"))[starts:]
        assert not resumed or resumed[-1] >= saved, f"resumed from {resumed}, though step {saved} was saved"
        print(f"kill {number}: {victim}; resumed from {resumed or 'nothing'}, saved was {saved}, next checkpoint after "
              f"{time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
