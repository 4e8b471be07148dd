"""Predicts the speed of many GPUs from that of one. docs/scale.md explains the model, and says what was measured.

    python benchmarks/predict_scale.py
"""
BATCH = 512  # images of each GPU in a step
RATE = 6607.0  # images/s of one H200 alone, measured: docs/gpu.md
NUM_BYTES = 4 * 22.1e6  # of the gradients, and of the parameters: float32
SERVER = 0.9e9  # bytes/s through a parameter server, measured on two CPU cores: benchmarks/scale.py
SPREAD = 0.02  # assumed: standard deviation of the time that a GPU computes, as a share of it
SLOWEST = {2: 0.56, 8: 1.42, 32: 2.07}  # standard deviations by which the slowest of n normal values is above the mean
NUM_MESSAGES = 3  # training/collectives.py
# assumed: name, GPUs, machines, bytes/s of the slowest link, seconds for a message to the neighbor
LINKS = [("2 GPUs, PCIe", 2, 1, 12e9, 10e-6), ("8 GPUs, PCIe", 8, 1, 12e9, 10e-6),
         ("8 GPUs, NVLink", 8, 1, 300e9, 10e-6),
         ("4 x 8 GPUs, 100 Gbit/s", 32, 4, 10e9, 20e-6), ("4 x 8 GPUs, 400 Gbit/s", 32, 4, 40e9, 20e-6)]


def ring_seconds(gpus: int, link: float, latency: float) -> float:
    """Seconds in which the sum of the gradients of all GPUs goes around a ring."""
    return 2 * (gpus - 1) / gpus * NUM_BYTES / link + 2 * (gpus - 1) * latency * NUM_MESSAGES


def all_reduce_seconds(gpus: int, link: float, latency: float) -> float:
    """Seconds of a step whose gradients are summed."""
    return BATCH / RATE * (1 + SPREAD * SLOWEST[gpus]) + ring_seconds(gpus, link, latency)


def ps_seconds(gpus: int, servers: int, link: float) -> float:
    """Seconds of a step of one worker, each of which fetches all parameters and sends all gradients."""
    speed = servers * min(link, SERVER)
    return max(BATCH / RATE + 2 * NUM_BYTES / speed, gpus * 2 * NUM_BYTES / speed)


def clones_seconds(gpus: int, link: float, latency: float) -> float:
    """Seconds of a step of clones, whose parameters go around the ring first, as gradients do."""
    return all_reduce_seconds(gpus, link, latency) + ring_seconds(gpus, link, latency)


def line(name: str, gpus: int, machines: int, seconds: float) -> None:
    """Prints a line of the table."""
    rate = gpus * BATCH / seconds
    print(f"| {name} | {1000 * seconds:.0f} ms | {round(rate, -2):,.0f} | {100 * rate / gpus / RATE:.0f} % | "
          f"{round(rate / machines, -2):,.0f} |")


def main() -> None:
    """Prints the table."""
    print("| | a step | images/s | of all GPUs' speed | images/s to read on each machine |")
    print("|---|---|---|---|---|")
    for name, gpus, machines, link, latency in LINKS:
        line(f"{name}: all_reduce", gpus, machines, all_reduce_seconds(gpus, link, latency))
    for name, gpus, machines, link, latency in LINKS:
        if machines == 1:
            line(f"{name}: `--num_clones {gpus}`", gpus, machines, clones_seconds(gpus, link, latency))
    line("8 GPUs: 1 ps", 8, 1, ps_seconds(8, 1, LINKS[1][3]))
    line("4 x 8 GPUs, 100 Gbit/s: 4 ps", 32, 4, ps_seconds(32, 4, LINKS[3][3]))


if __name__ == "__main__":
    main()
