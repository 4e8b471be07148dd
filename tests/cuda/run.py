"""On a machine with a GPU, nvcc, numpy and pytest, without TensorFlow: tests the kernels, then measures them.

    python tests/cuda/run.py

Prints a JSON line for each kernel: milliseconds, GB/s of what it must read and write or GFLOP/s of its products, and
the share of the card's own rate: of a copy, or of a float32 matrix product of PyTorch's or CuPy's where one is there.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATHS = [HERE, os.path.dirname(HERE)]
sys.path[:0] = PATHS

import kernels as cuda  # noqa: E402
import numpy as np  # noqa: E402


def milliseconds(kernels, call, repeats=20):
    call()
    kernels.synchronize()
    start = time.time()
    for _ in range(repeats):
        call()
    kernels.synchronize()
    return (time.time() - start) / repeats * 1e3


def copy_rate(kernels, size=1 << 28):
    source, target = kernels.allocate(size), kernels.allocate(size)
    rate = 2 * size / milliseconds(kernels, lambda: kernels.copy(target, source, size)) / 1e6
    kernels.free([source, target])
    return rate


def product_rate(size=4096):
    """GFLOP/s of a float32 matrix product, None where there is no library for it."""
    try:
        import torch
        torch.backends.cuda.matmul.allow_tf32 = False
        a = torch.rand(size, size, device="cuda")
        multiply, wait = lambda: torch.mm(a, a), torch.cuda.synchronize
    except ImportError:
        try:
            import cupy
        except ImportError:
            return None
        a = cupy.random.rand(size, size, dtype=np.float32)
        multiply, wait = lambda: cupy.matmul(a, a), cupy.cuda.Device().synchronize
    multiply()
    wait()
    start = time.time()
    for _ in range(10):
        multiply()
    wait()
    return 10 * 2.0 * size ** 3 / (time.time() - start) / 1e9


def report(name, time_ms, gigabytes=None, gigaflops=None, card=None):
    line = {"kernel": name, "ms": round(time_ms, 4)}
    if gigabytes:
        line["GB_per_s"] = round(gigabytes / time_ms * 1e3, 1)
        line["of_copy"] = round(line["GB_per_s"] / card, 3)
    if gigaflops:
        line["GFLOP_per_s"] = round(gigaflops / time_ms * 1e3, 1)
        line["of_product"] = round(line["GFLOP_per_s"] / card, 3) if card else None
    print(json.dumps(line), flush=True)


def measure_sampling(kernels, copy, batch=512):
    """Words of 64 x 256 to 32 x 100, as the demo model's rectifier."""
    shape = cuda.SampleShape(batch, 64, 256, 3, 3200)
    images, grid, samples = batch * 64 * 256 * 3 * 4, batch * 3200 * 2 * 4, batch * 3200 * 3 * 4
    grid_values = np.random.RandomState(0).uniform(size=(batch, 3200, 2)).astype(np.float32)
    places = [kernels.allocate(images), kernels.upload(grid_values), kernels.allocate(samples)]
    gradients = [kernels.allocate(images), kernels.allocate(grid)]
    # of the image a sample reads four pixels, of which neighbours share some: its own size once is the least
    report("sample", milliseconds(kernels, lambda: kernels.call("Sample_float32", shape, *places)),
           (min(images, 4 * samples) + grid + samples) / 1e9, card=copy)
    report("sample, gradient of the grid", milliseconds(kernels, lambda: kernels.call(
        "SampleGridGradient_float32", shape, *(places + gradients[1:]))),
        (min(images, 4 * samples) + 2 * grid + samples) / 1e9, card=copy)
    report("sample, gradient of the image", milliseconds(kernels, lambda: kernels.call(
        "SampleImageGradient_float32", shape, places[1], places[2], gradients[0])),
        (images + grid + 9 * samples) / 1e9, card=copy)
    kernels.free(places + gradients)


def measure_spline(kernels, copy, batch=512, num_points=20, pixels=3200):
    shape = cuda.SplineShape(batch, num_points, num_points + 3, pixels)
    random = np.random.RandomState(0)
    places = [kernels.upload(random.normal(size=size).astype(np.float32)) for size in (
        (batch, num_points, 2), (num_points, num_points + 3), (num_points + 3, pixels))]
    grid = kernels.allocate(8 * batch * pixels)
    report("grid of a spline", milliseconds(kernels, lambda: kernels.call("Spline_float32", shape, *(places + [grid]))),
           8e-9 * batch * pixels, card=copy)
    kernels.free(places + [grid])


def measure_batch_norm(kernels, copy, rows, channels):
    shape, size = cuda.NormShape(rows, channels, 1e-3, True), 4 * rows * channels
    x, y, d_x = (kernels.allocate(size) for _ in range(3))
    vectors = [kernels.allocate(4 * channels) for _ in range(5)]
    scale, offset, mean, variance, inverse = vectors
    scratch = kernels.allocate(4 * kernels.size("NormScratch", shape))
    name = f"batch normalization and ReLU, {rows} x {channels}"
    report(name, milliseconds(kernels, lambda: kernels.call(  # it reads x twice
        "Norm_float32", shape, x, scale, offset, y, mean, variance, inverse, scratch)), 3e-9 * size, card=copy)
    report(name + ", gradient", milliseconds(kernels, lambda: kernels.call(
        "NormGradient_float32", shape, y, x, scale, offset, mean, inverse, d_x, variance, variance, scratch)),
        5e-9 * size, card=copy)
    kernels.free([x, y, d_x, scratch] + vectors)


def measure_lstm(kernels, product, name, batch, steps, units, attention_units, lengths):
    shape = cuda.attention_shape(steps, batch, units, attention_units, lengths)
    random, width, total = np.random.RandomState(0), 4 * units + len(lengths) * attention_units, sum(lengths)

    def normal(*size):
        return kernels.upload(random.normal(0, 0.1, size).astype(np.float32))
    inputs, kernel = normal(batch, steps, 4 * units), normal(units, width)
    memory = [normal(batch, total, attention_units), normal(batch, total, 4 * units),
              normal(len(lengths), attention_units)]
    results = [kernels.allocate(4 * steps * batch * n) for n in (units, units, 4 * units, width - 4 * units, total)]
    gigaflops = 2e-9 * steps * batch * (units * width + total * (attention_units + 4 * units))
    report(name, milliseconds(kernels, lambda: kernels.call(
        "Lstm_float32", shape, *([inputs, kernel] + memory + results))), gigaflops=gigaflops, card=product)
    d_h = normal(batch, steps, units)
    gradients = [kernels.allocate(4 * n) for n in (
        steps * batch * width, batch * total * attention_units, batch * len(lengths) * attention_units, units * width,
        kernels.size("GradientScratch", shape))]
    report(name + ", gradient", milliseconds(kernels, lambda: kernels.call(
        "LstmGradient_float32", shape, *([kernel] + memory + results[1:] + [d_h] + gradients))),
        gigaflops=gigaflops, card=product)
    kernels.free([inputs, kernel, d_h] + memory + results + gradients)


def measure_search(kernels, product, batch, steps=30, units=256, length=25, num_labels=97):
    shape = cuda.SearchShape(cuda.attention_shape(steps, batch, units, units, [length]), 5, num_labels, 0, 1)
    random = np.random.RandomState(0)
    arrays = [random.normal(0, 0.1, size).astype(np.float32) for size in (
        (num_labels, 4 * units), (units, 5 * units), (batch, length, units), (batch, length, 4 * units), (1, units),
        (units, num_labels), (num_labels,))]
    arrays[-1][1] = -50  # texts end only at the last step
    places = [kernels.upload(array) for array in arrays]
    found = [kernels.allocate(4 * n) for n in (batch, batch, batch * steps, batch * steps, batch * steps * length)]
    found.append(kernels.allocate(kernels.size("SearchScratch_float32", shape)))
    gigaflops = 2e-9 * steps * batch * 5 * (units * 5 * units + length * 5 * units + units * num_labels)
    report(f"beam search of {steps} steps, beam 5, batch {batch}", milliseconds(kernels, lambda: kernels.call(
        "Search_float32", shape, cuda.SearchTree(), *(places + found))), gigaflops=gigaflops, card=product)
    kernels.free(places + found)


def run_tests(*options):
    """Runs test_cuda.py in a process without TensorFlow -> its exit status."""
    # no conftest: that of tests/ imports TensorFlow
    return subprocess.call([sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", *options,
                            os.path.join(HERE, "test_cuda.py")],
                           env=dict(os.environ, PYTHONPATH=os.pathsep.join(PATHS)))


def main():
    subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], check=True)
    status = run_tests()
    kernels = cuda.Kernels(cuda.build(tempfile.mkdtemp()))
    copy, product = copy_rate(kernels), product_rate()
    print(json.dumps({"copy_GB_per_s": round(copy, 1), "product_GFLOP_per_s": product and round(product, 1)}))
    measure_spline(kernels, copy)
    measure_sampling(kernels, copy)
    for rows, channels in (512 * 3200, 32), (512 * 100, 256):  # images of 32 x 100 and of 4 x 25 pixels
        measure_batch_norm(kernels, copy, rows, channels)
    for batch in 64, 512:
        measure_lstm(kernels, product, f"LSTM of 25 steps, 256 units, batch {batch}", batch, 25, 256, 1, [])
        measure_lstm(kernels, product, f"attention LSTM of 12 steps, batch {batch}", batch, 12, 256, 256, [25])
    for batch in (1, 32, 512):
        measure_search(kernels, product, batch)
    return status


if __name__ == "__main__":
    sys.exit(main())
