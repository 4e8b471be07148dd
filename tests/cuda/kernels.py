"""The CUDA kernels without TensorFlow: built into a library of their own and called with numpy arrays."""
import ctypes
import os
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools"))
from nvcc import architectures, find_nvcc  # noqa: E402

POISON = 0xFF  # bytes of this are NaN, as float32, float64 or -1 as int32
GUARD = 256    # bytes behind each result that must stay as they were


def build(folder, emulate=False):
    """Compiles exports.cu, for GPUs or for their emulation on a CPU -> path of the library."""
    library = os.path.join(str(folder), "libaster_kernels.so")
    source = os.path.join(HERE, "exports.cu")
    if emulate:
        command = ["g++", "-O1", "-std=c++11", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function", "-shared",
                   "-fPIC", "-I", os.path.join(HERE, "emulation"), "-x", "c++", source, "-o", library]
    else:
        nvcc = find_nvcc()
        command = [nvcc, "-O3", "-std=c++14", "-shared", "-Xcompiler", "-fPIC", source, "-o", library]
        for name in architectures(nvcc):
            command += ["-gencode", f"arch=compute_{name},code=sm_{name}"]
    subprocess.run(command, check=True)
    return library


class SampleShape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("batch", "height", "width", "channels", "points")]


class AttentionShape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("steps", "batch", "units", "attention_units", "num_memories")] + [
        ("lengths", ctypes.c_int * 8), ("num_values", ctypes.c_int), ("forget_bias", ctypes.c_float),
        ("attend_first", ctypes.c_bool), ("reverse", ctypes.c_bool)]


class SearchShape(ctypes.Structure):
    _fields_ = [("attention", AttentionShape)] + [
        (name, ctypes.c_int) for name in ("beam_width", "num_labels", "start_label", "end_label")]


class SearchTree(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("starts", "labels", "nodes")] + [("most_edges", ctypes.c_int)]


class SplineShape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("batch", "num_points", "coefficients", "pixels")]


class NormShape(ctypes.Structure):
    _fields_ = [("rows", ctypes.c_int64), ("channels", ctypes.c_int), ("epsilon", ctypes.c_float),
                ("relu", ctypes.c_bool)]


def attention_shape(steps, batch, units, attention_units, lengths, forget_bias=1.0, attend_first=True,
                    reverse=False):
    return AttentionShape(steps, batch, units, attention_units, len(lengths), (ctypes.c_int * 8)(*lengths),
                          sum(lengths), forget_bias, attend_first, reverse)


class Kernels:
    """Arrays go to the GPU, results come back; all memory is poisoned before and guarded behind."""

    def __init__(self, library):
        self._library = ctypes.CDLL(library)
        self._library.Allocate.restype = ctypes.c_void_p
        self._library.Explain.restype = ctypes.c_char_p
        for name in ("GradientScratch", "NormScratch", "SearchScratch_float32", "SearchScratch_float64"):
            getattr(self._library, name).restype = ctypes.c_size_t

    def check(self, error):
        if error:
            raise RuntimeError("CUDA: " + self._library.Explain(error).decode())

    def call(self, name, *arguments):
        """Calls the function; an array is passed by its place on the GPU (see upload), a structure by reference."""
        self.check(getattr(self._library, name)(*[
            ctypes.byref(one) if isinstance(one, ctypes.Structure) else one for one in arguments]))

    def size(self, name, shape):
        return getattr(self._library, name)(ctypes.byref(shape))

    def allocate(self, size):
        pointer = self._library.Allocate(ctypes.c_size_t(size + GUARD))
        if not pointer:
            raise MemoryError(f"the GPU has no {size} bytes left")
        self.check(self._library.Fill(ctypes.c_void_p(pointer), POISON, ctypes.c_size_t(size + GUARD)))
        return ctypes.c_void_p(pointer)

    def upload(self, array):
        array = np.ascontiguousarray(array)
        pointer = self.allocate(array.nbytes)
        self.check(self._library.Upload(pointer, ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)))
        return pointer

    def download(self, pointer, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        content = np.empty(size + GUARD, np.uint8)
        self.check(self._library.Synchronize())
        self.check(self._library.Download(ctypes.c_void_p(content.ctypes.data), pointer,
                                          ctypes.c_size_t(content.nbytes)))
        assert (content[size:] == POISON).all(), "a kernel wrote behind the end of its result"
        return content[:size].view(dtype).reshape(shape)

    def free(self, pointers):
        for pointer in pointers:
            self.check(self._library.Free(pointer))

    def synchronize(self):
        self.check(self._library.Synchronize())

    def copy(self, to, source, size):
        self.check(self._library.Copy(to, source, ctypes.c_size_t(size)))


def run(kernels, function, dtype, shape, arrays, results, scratch=(), types=None):
    """Calls `function` with the shape, then the arrays, results (of given shapes) and scratch (bytes) -> results.
    They have the type `dtype`, or one each of `types`."""
    types = types or [dtype] * len(results)
    inputs = [kernels.upload(array) for array in arrays]
    sizes = [int(np.prod(size)) * np.dtype(kind).itemsize for size, kind in zip(results, types)]
    outputs = [kernels.allocate(size) for size in sizes]
    rest = [kernels.allocate(size) for size in scratch]
    kernels.call(f"{function}_{np.dtype(dtype).name}", shape, *(inputs + outputs + rest))
    arrays = [kernels.download(pointer, size, kind) for pointer, size, kind in zip(outputs, results, types)]
    kernels.free(inputs + outputs + rest)
    return arrays


def bilinear_sample(kernels, images, grid):
    shape = SampleShape(*(images.shape + grid.shape[1:2]))
    return run(kernels, "Sample", images.dtype, shape, [images, grid], [grid.shape[:2] + images.shape[3:]])[0]


def bilinear_sample_gradients(kernels, images, grid, d_samples):
    """-> gradients of the images and of the grid."""
    shape, dtype = SampleShape(*(images.shape + grid.shape[1:2])), images.dtype
    return (run(kernels, "SampleImageGradient", dtype, shape, [grid, d_samples], [images.shape])[0],
            run(kernels, "SampleGridGradient", dtype, shape, [images, grid, d_samples], [grid.shape])[0])


def spline_grid(kernels, points, inverse, lift):
    """points [B, K, 2], inverse [K, C], lift [C, P] -> grids [B, P, 2] of the GPU and of the CPU."""
    shape = SplineShape(len(points), *(inverse.shape + lift.shape[1:]))
    on_cpu = np.empty([len(points), lift.shape[1], 2], np.float32)
    kernels._library.SplineOnCpu(ctypes.byref(shape), *[ctypes.c_void_p(array.ctypes.data)
                                                        for array in (points, inverse, lift, on_cpu)])
    return run(kernels, "Spline", np.float32, shape, [points, inverse, lift], [on_cpu.shape])[0], on_cpu


def batch_norm(kernels, shape, x, scale, offset):
    """x [R, C], float32, or bfloat16 as uint16 -> y, mean, variance, inverse deviation."""
    own, others = x.shape, scale.shape
    return run(kernels, "Norm", x.dtype, shape, [x, scale, offset], [own, others, others, others],
               [4 * kernels.size("NormScratch", shape)], [x.dtype] + 3 * [np.float32])


def batch_norm_gradient(kernels, shape, d_y, x, *vectors):
    """vectors: scale, offset, mean, inverse deviation -> d_x, d_scale, d_offset."""
    others = vectors[0].shape
    return run(kernels, "NormGradient", x.dtype, shape, [d_y, x] + list(vectors), [x.shape, others, others],
               [4 * kernels.size("NormScratch", shape)], [x.dtype] + 2 * [np.float32])


def attention_lstm(kernels, shape, arrays):
    """inputs, state_kernel, keys, values, v -> h, c, gates, queries, alignments."""
    widths = [shape.units, shape.units, 4 * shape.units, shape.num_memories * shape.attention_units, shape.num_values]
    return run(kernels, "Lstm", arrays[0].dtype, shape, arrays,
               [(shape.batch, shape.steps, width) for width in widths])


def attention_lstm_gradient(kernels, shape, arrays):
    """state_kernel, keys, values, v, c, gates, queries, alignments, d_h -> d_projection, d_keys, d_v [B, N, A]."""
    kernel, keys = arrays[:2]
    size = kernel.dtype.itemsize
    return run(kernels, "LstmGradient", kernel.dtype, shape, arrays,
               [(shape.batch, shape.steps, kernel.shape[1]), keys.shape,
                (shape.batch, shape.num_memories, shape.attention_units)],
               [kernel.nbytes, kernels.size("GradientScratch", shape) * size])


def beam_search(kernels, shape, arrays, tree=(), pad_label=-1):
    """label_inputs, state_kernel, keys, values, v, dense_kernel, dense_bias; of a tree starts, labels and nodes, int32
    -> labels, lengths, scores, log_probs, alignments."""
    dtype = arrays[0].dtype
    batch, steps, num_values = shape.attention.batch, shape.attention.steps, shape.attention.num_values
    name, size = dtype.name, dtype.itemsize
    inputs = [kernels.upload(array) for array in arrays]
    found = [kernels.allocate(n) for n in (4 * batch, size * batch, 4 * batch * steps, size * batch * steps,
                                           size * batch * steps * num_values)]
    scratch = kernels.allocate(kernels.size("SearchScratch_" + name, shape))
    places = [kernels.upload(array) for array in tree]
    on_gpu = SearchTree(*places, most_edges=np.diff(tree[0]).max()) if tree else SearchTree()
    kernels.call("Search_" + name, shape, on_gpu, *(inputs + found + [scratch]))
    longest = ctypes.c_int()
    kernels.check(kernels._library.Longest(found[0], batch, ctypes.byref(longest)))
    steps = longest.value
    results = [((batch,), np.dtype(np.int32)), ((batch,), dtype), ((batch, steps), np.dtype(np.int32)),
               ((batch, steps), dtype), ((batch, steps, num_values), dtype)]
    trimmed = [kernels.allocate(int(np.prod(size)) * kind.itemsize) for size, kind in results]
    kernels.call("Trim_" + name, shape, steps, pad_label, *(found + trimmed))
    lengths, scores, labels, log_probs, alignments = [
        kernels.download(pointer, size, kind) for pointer, (size, kind) in zip(trimmed, results)]
    kernels.free(inputs + found + [scratch] + trimmed + places)
    return labels, lengths, scores, log_probs, alignments
