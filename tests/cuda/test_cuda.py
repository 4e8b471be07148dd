"""The CUDA kernels against numpy: emulated on a CPU, and on a GPU where there is one."""
import functools
import subprocess

import kernels as cuda
import numpy as np
import pytest
import reference

DTYPES = [np.float32, np.float64]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The library that nvcc makes, for each GPU from sm_60 to sm_90 that this nvcc knows."""
    if not cuda.find_nvcc():
        pytest.skip("there is no nvcc")
    return cuda.build(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="module", params=["emulated", "gpu"])
def kernels(request, tmp_path_factory):
    if request.param == "emulated":
        return cuda.Kernels(cuda.build(tmp_path_factory.mktemp("emulated"), emulate=True))
    try:
        subprocess.run(["nvidia-smi"], check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no GPU")
    return cuda.Kernels(request.getfixturevalue("compiled"))


def test_nvcc_compiles_the_kernels(compiled):
    assert cuda.architectures(cuda.find_nvcc())


def tolerance(dtype):
    return 2e-5 if dtype == np.float32 else 1e-10


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, height, width, channels, points", [
    (2, 5, 7, 3, 50), (1, 1, 1, 1, 3), (3, 2, 9, 17, 301), (0, 4, 4, 3, 5)])
def test_bilinear_sample(kernels, dtype, batch, height, width, channels, points):
    random = np.random.RandomState(0)
    images = random.uniform(-1, 1, [batch, height, width, channels]).astype(dtype)
    grid = random.uniform(-0.2, 1.2, [batch, points, 2]).astype(dtype)
    samples = cuda.bilinear_sample(kernels, images, grid)
    np.testing.assert_allclose(samples, reference.bilinear_sample(images, grid), rtol=0, atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bilinear_sample_gradients(kernels, dtype):
    random = np.random.RandomState(0)
    images, grid = random.uniform(size=[2, 4, 5, 3]), random.uniform(0.1, 0.55, [2, 6, 2])
    grid[0, 0] = 1.3  # outside: it has none
    weights = random.normal(size=[2, 6, 3])
    results = cuda.bilinear_sample_gradients(kernels, *[array.astype(dtype) for array in (images, grid, weights)])

    def loss(images=images, grid=grid):
        return (reference.bilinear_sample(images, grid) * weights).sum()
    expected = [reference.numeric_gradient(lambda array: loss(images=array), images),
                reference.numeric_gradient(lambda array: loss(grid=array), grid)]
    for result, gradient in zip(results, expected):
        np.testing.assert_allclose(result, gradient, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-7)


def test_points_that_are_not_numbers(kernels):
    grid = np.float32([[[np.nan, 0.5], [np.inf, 0.5], [-np.inf, 0.5], [0.5, np.nan], [0.5, 0.5]]])
    samples = cuda.bilinear_sample(kernels, np.ones([1, 4, 4, 1], np.float32), grid)
    assert np.isnan(samples[0, :, 0]).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize("batch, num_points, coefficients, pixels", [
    (2, 20, 23, 3200), (3, 4, 7, 5), (1, 6, 9, 1026), (2, 5, 4, 3), (0, 6, 9, 10), (1, 1000, 1003, 2)])
def test_spline_grid_is_that_of_the_cpu(kernels, batch, num_points, coefficients, pixels):
    """To the last bit: large coefficients cancel, so that another order of the sums would show."""
    random = np.random.RandomState(pixels)
    points, inverse, lift = (random.normal(0, scale, size).astype(np.float32) for scale, size in (
        (1, [batch, num_points, 2]), (1e3, [num_points, coefficients]), (1, [coefficients, pixels])))
    grid, on_cpu = cuda.spline_grid(kernels, points, inverse, lift)
    np.testing.assert_array_equal(grid, on_cpu)
    exact = np.einsum("bka,kc,cp->bpa", *[array.astype(np.float64) for array in (points, inverse, lift)])
    np.testing.assert_allclose(grid, exact, rtol=1e-3, atol=0.2 * num_points ** 0.5)


def test_a_spline_of_too_many_coefficients_is_refused(kernels):
    points, inverse, lift = (np.ones(size, np.float32) for size in ([1, 4, 2], [4, 1025], [1025, 3]))
    with pytest.raises(RuntimeError, match="CUDA"):
        cuda.spline_grid(kernels, points, inverse, lift)


def to_bfloat16(array):
    """float32 -> the nearest bfloat16, as uint16."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bfloat16(array):
    return (array.astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("in_bfloat16", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("rows, channels", [(1, 1), (700, 8), (3, 1100), (1000, 48), (31, 5), (9000, 4)])
def test_batch_norm(kernels, rows, channels, relu, in_bfloat16):
    random = np.random.RandomState(rows)
    x = random.normal(random.uniform(-30, 30, channels), random.uniform(0.5, 2, channels), (rows, channels))
    scale, offset = (random.normal(1, 1, channels).astype(np.float32) for _ in range(2))
    d_y = random.normal(size=x.shape)
    stored = [to_bfloat16(array) if in_bfloat16 else array.astype(np.float32) for array in (x, d_y)]
    x, d_y = (from_bfloat16(array) if in_bfloat16 else array for array in stored)
    shape = cuda.NormShape(rows, channels, 1e-3, relu)
    results = cuda.batch_norm(kernels, shape, stored[0], scale, offset)
    gradients = cuda.batch_norm_gradient(kernels, shape, stored[1], stored[0], scale, offset, results[1], results[3])
    expected, expected_gradients = reference.batch_norm(x, scale, offset, d_y, epsilon=1e-3, relu=relu)
    for array, wanted in zip(list(results) + list(gradients), list(expected) + list(expected_gradients)):
        rounded = array.dtype == np.uint16
        np.testing.assert_allclose(from_bfloat16(array) if rounded else array, wanted, rtol=1e-2 if rounded else 1e-4,
                                   atol=2e-2 if rounded else 2e-4 * max(1.0, np.abs(wanted).max()))


def test_batch_norm_of_what_is_no_number(kernels):
    x = np.float32([[np.nan, 1], [0, 2]])
    ones = np.ones(2, np.float32)
    for array in cuda.batch_norm(kernels, cuda.NormShape(2, 2, 1e-3, True), x, ones, ones):
        assert np.isnan(array[..., 0]).all() and np.isfinite(array[..., 1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, units, attention_units, lengths, attend_first, reverse", [
    (5, 7, 5, (4, 2), True, False), (2, 7, 5, (4, 2), False, True), (1, 65, 33, (11,), True, False),
    (3, 70, 1, (), True, True)])
def test_attention_lstm(kernels, dtype, batch, units, attention_units, lengths, attend_first, reverse):
    arrays = reference.attention_lstm_arrays(dtype, steps=3, batch=batch, units=units,
                                             attention_units=attention_units, lengths=lengths)
    shape = cuda.attention_shape(3, batch, units, attention_units, lengths, 0.5, attend_first, reverse)
    h = cuda.attention_lstm(kernels, shape, arrays)[0]
    expected = reference.attention_lstm(*arrays, lengths=lengths, forget_bias=0.5, attend_first=attend_first,
                                        reverse=reverse)
    np.testing.assert_allclose(h, expected, rtol=0, atol=tolerance(dtype))


@pytest.mark.parametrize("units, lengths", [(244, ()), (230, (3, 2))], ids=["cells", "attention"])
def test_many_samples_are_multiplied_in_large_tiles(kernels, units, lengths):
    """The same samples one by one are in small tiles."""
    arrays = reference.attention_lstm_arrays(np.float32, steps=2, batch=260, units=units, attention_units=20,
                                             lengths=lengths)
    arrays[1] *= 0.1
    whole = cuda.attention_shape(2, 260, units, 20, lengths)
    together = cuda.attention_lstm(kernels, whole, arrays)
    d_h = np.random.RandomState(1).normal(size=(260, 2, units)).astype(np.float32)
    back = cuda.attention_lstm_gradient(kernels, whole, arrays[1:] + together[1:] + [d_h])
    for sample in 0, 131, 259:
        own = [array[sample:sample + 1] if i in (0, 2, 3) else array for i, array in enumerate(arrays)]
        shape = cuda.attention_shape(2, 1, units, 20, lengths)
        alone = cuda.attention_lstm(kernels, shape, own)
        for one, all_of_them in zip(alone, together):
            np.testing.assert_allclose(all_of_them[sample], one[0], rtol=0, atol=2e-5)
        gradients = cuda.attention_lstm_gradient(kernels, shape, own[1:] + alone[1:] + [d_h[sample:sample + 1]])
        for one, all_of_them in zip(gradients, back):
            np.testing.assert_allclose(all_of_them[sample], one[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths, attend_first, reverse", [
    ((4, 2), True, False), ((3,), False, True), ((), True, False), ((), True, True)])
def test_attention_lstm_gradient(kernels, dtype, lengths, attend_first, reverse):
    arrays = reference.attention_lstm_arrays(np.float64, steps=3, batch=2, units=5, attention_units=4,
                                             lengths=lengths)
    shape = cuda.attention_shape(3, 2, 5, 4, lengths, 0.5, attend_first, reverse)
    weights = np.random.RandomState(1).normal(size=(2, 3, 5))

    def loss(index, array):
        changed = arrays[:index] + [array] + arrays[index + 1:]
        return (reference.attention_lstm(*changed, lengths=lengths, forget_bias=0.5,
                                         attend_first=attend_first, reverse=reverse) * weights).sum()
    expected = [reference.numeric_gradient(functools.partial(loss, index), arrays[index]) for index in (0, 2, 4)]
    typed = [array.astype(dtype) for array in arrays]
    kept = cuda.attention_lstm(kernels, shape, typed)[1:]
    results = cuda.attention_lstm_gradient(kernels, shape, typed[1:] + kept + [weights.astype(dtype)])
    results = [results[0][:, :, :20], results[1], results[2].sum(0)]
    for result, gradient in zip(results, expected):
        np.testing.assert_allclose(result, gradient, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-7)


def search_arrays(dtype, batch, units, attention_units, lengths, num_labels, seed):
    random = np.random.RandomState(seed)
    arrays = reference.attention_lstm_arrays(dtype, steps=1, batch=batch, units=units,
                                             attention_units=attention_units, lengths=lengths)[1:]
    dense = [random.normal(0, 1.5, shape).astype(dtype) for shape in ((units, num_labels), (num_labels,))]
    return [random.normal(0, 1, (num_labels, 4 * units)).astype(dtype)] + arrays + dense


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beam_width, num_labels, batch, units, lengths", [
    (1, 6, 3, 5, (4,)), (5, 11, 4, 9, (4, 2)), (4, 3, 2, 7, (3,)), (3, 300, 1, 5, (6,))])
def test_beam_search(kernels, dtype, seed, beam_width, num_labels, batch, units, lengths):
    arrays = search_arrays(dtype, batch, units, 4, lengths, num_labels, seed)
    shape = cuda.SearchShape(cuda.attention_shape(7, batch, units, 4, lengths, 0.5), beam_width, num_labels, 0, 1)
    labels, sizes, scores, log_probs, alignments = cuda.beam_search(kernels, shape, arrays)
    expected = reference.beam_search(*[array.astype(np.float64) for array in arrays], lengths=lengths,
                                     beam_width=beam_width, max_num_steps=7, start_label=0, end_label=1,
                                     forget_bias=0.5)
    assert labels.shape[1] == max(len(one[1]) for one in expected)
    for b, (score, best, best_log_probs, best_alignments) in enumerate(expected):
        n = sizes[b]
        assert labels[b].tolist() == best + [-1] * (labels.shape[1] - n) and n == len(best)
        np.testing.assert_allclose(scores[b], score, rtol=0, atol=1e-4)
        np.testing.assert_allclose(log_probs[b, :n], best_log_probs, rtol=0, atol=1e-4)
        np.testing.assert_allclose(alignments[b, :n], best_alignments, rtol=0, atol=1e-4)
        assert (log_probs[b, n:] == 0).all() and (alignments[b, n:] == 0).all()


WORDS = [[2, 3, 1], [2, 4, 5, 1], [3, 1], [3, 3, 3, 3, 1], [5, 2, 1], [5, 2, 4, 1], [1]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beam_width, words", [(1, WORDS), (3, WORDS), (8, WORDS), (4, WORDS[:2]), (2, [[4, 4, 1]])])
def test_beam_search_in_a_tree(kernels, dtype, beam_width, words):
    tree = prefix_tree([word[:-1] for word in words])
    for seed in range(3):
        arrays = search_arrays(dtype, 3, 7, 4, (4, 2), 6, seed)
        shape = cuda.SearchShape(cuda.attention_shape(7, 3, 7, 4, (4, 2), 0.5), beam_width, 6, 0, 1)
        labels, sizes, scores, log_probs, alignments = cuda.beam_search(kernels, shape, arrays, tree)
        expected = reference.beam_search(*[array.astype(np.float64) for array in arrays], lengths=(4, 2),
                                         beam_width=beam_width, max_num_steps=7, start_label=0, end_label=1,
                                         forget_bias=0.5, words=words)
        for b, (score, best, best_log_probs, best_alignments) in enumerate(expected):
            n = sizes[b]
            assert labels[b, :n].tolist() == best and best[:best.index(1) + 1] in words
            np.testing.assert_allclose(scores[b], score, rtol=0, atol=1e-4)
            np.testing.assert_allclose(log_probs[b, :n], best_log_probs, rtol=0, atol=1e-4)
            np.testing.assert_allclose(alignments[b, :n], best_alignments, rtol=0, atol=1e-4)


def prefix_tree(texts):
    """starts, labels and nodes of aster.model.prefix_tree.PrefixTree, which needs TensorFlow."""
    children = [{}]
    for text in texts:
        node = 0
        for label in text:
            if label not in children[node]:
                children.append({})
                children[node][label] = len(children) - 1
            node = children[node][label]
        children[node][1] = 0  # the end leads anywhere
    edges = [edge for node in children for edge in sorted(node.items())]
    return [np.int32(array) for array in (np.cumsum([0] + [len(node) for node in children]), *zip(*edges))]


def test_beam_search_with_weights_that_are_not_numbers_ends(kernels):
    arrays = search_arrays(np.float32, 2, 5, 4, (4,), 6, 0)
    arrays[0][:] = np.nan
    shape = cuda.SearchShape(cuda.attention_shape(5, 2, 5, 4, (4,)), 3, 6, 0, 1)
    assert cuda.beam_search(kernels, shape, arrays)[1].max() <= 5
