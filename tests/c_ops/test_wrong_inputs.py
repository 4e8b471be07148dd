"""What the ops refuse, and what they must not keep of an earlier call. tests/stress/fuzz_ops.py tries much more."""
import subprocess
import sys

import numpy as np
import pytest
import reference

from aster.c_ops import ops
from aster.compat import IS_TF1, tf
from aster.model.prefix_tree import prefix_tree

InvalidArgument = tf.errors.InvalidArgumentError
NUM_LABELS = 6
TREE = prefix_tree([[2, 3], [2, 4, 5], [3]])


def search_arrays(units=7, batch=3):
    random = np.random.RandomState(0)
    kernel, *arrays = reference.attention_lstm_arrays(np.float32, steps=1, batch=batch, units=units, attention_units=5,
                                                      lengths=(4,))[1:]
    return [random.normal(size=[NUM_LABELS, 4 * units]).astype("f"), kernel] + arrays + [
        random.normal(size=[units, NUM_LABELS]).astype("f"), random.normal(size=NUM_LABELS).astype("f")]


def search(arrays, tree, beam_width=3, max_num_steps=6, lengths=(4,)):
    return ops.beam_search(*arrays, lengths=list(lengths), beam_width=beam_width, max_num_steps=max_num_steps,
                           start_label=0, end_label=1, pad_label=-1, tree=tree)


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


def zeros(shape):
    """numpy 1.19 does not make an array without elements one of whose sizes is 2^40, but it reshapes one to that."""
    return np.zeros(0, "f").reshape(shape) if 0 in shape else np.zeros(shape, "f")


def int32(*numbers):
    return np.array(numbers, np.int32)


BAD_TREES = {
    "starts beyond the edges": TREE._replace(starts=TREE.starts + 1),
    "an end beyond the edges": TREE._replace(starts=changed(TREE.starts, -1, 10 ** 9)),
    "a start beyond the edges": TREE._replace(starts=changed(TREE.starts, 1, 10 ** 9)),
    "negative starts": TREE._replace(starts=changed(TREE.starts, 0, -5)),
    "the lowest start": TREE._replace(starts=changed(TREE.starts, 2, -2 ** 31)),
    "falling starts": TREE._replace(starts=TREE.starts[::-1].copy()),
    "a node without edges": TREE._replace(starts=changed(TREE.starts, 1, 0)),
    "edges left over": TREE._replace(starts=TREE.starts[:-1]),
    "no edges at all": TREE._replace(labels=TREE.labels[:0], nodes=TREE.nodes[:0]),
    "a label too high": TREE._replace(labels=changed(TREE.labels, 0, NUM_LABELS)),
    "a negative label": TREE._replace(labels=changed(TREE.labels, 0, -1)),
    "the lowest label": TREE._replace(labels=changed(TREE.labels, -1, -2 ** 31)),
    "a node too high": TREE._replace(nodes=changed(TREE.nodes, 0, len(TREE.starts) - 1)),
    "a negative node": TREE._replace(nodes=changed(TREE.nodes, 0, -1)),
    "no nodes": (int32(0), int32(), int32()),
    "no starts": (int32(), int32(1), int32(0)),
    "fewer nodes than labels": TREE._replace(nodes=TREE.nodes[:-1]),
    "starts of two dimensions": TREE._replace(starts=TREE.starts[:, None]),
}


@pytest.mark.parametrize("beam_width", [1, 3])
@pytest.mark.parametrize("kind", sorted(BAD_TREES))
def test_trees_that_are_none(session, kind, beam_width):
    with pytest.raises(InvalidArgument, match="tree"):
        session.run(search(search_arrays(), tuple(BAD_TREES[kind]), beam_width))


@pytest.mark.parametrize("beam_width", [1, 3])
def test_a_tree_with_a_cycle_is_searched_until_the_last_step(session, beam_width):
    labels, lengths = session.run(search(search_arrays(), (int32(0, 1), int32(2), int32(0)), beam_width))[:2]
    assert (labels == 2).all() and lengths.tolist() == [6, 6, 6]


@pytest.mark.parametrize("beam_width", [1, 3])
def test_a_tree_that_was_good_is_not_trusted_later(session, beam_width):
    """Fed arrays may lie where the tree of the call before lay, and the caller may have changed them in place."""
    fed = [tf.placeholder(tf.int32) for _ in TREE]
    found = search(search_arrays(), tuple(fed), beam_width)
    memory = [np.zeros(64 + array.size, np.int32) for array in TREE]  # TensorFlow takes aligned arrays as they are
    tree = [block[-block.ctypes.data % 64 // 4:][:array.size] for block, array in zip(memory, TREE)]
    for array, good in zip(tree, TREE):
        array[:] = good
    expected = session.run(found, dict(zip(fed, TREE)))
    for _ in range(2):
        for result, other in zip(session.run(found, dict(zip(fed, tree))), expected):
            np.testing.assert_array_equal(result, other)
        tree[1][0] = NUM_LABELS + 1000  # of an edge of the root, which every search looks at
        with pytest.raises(InvalidArgument, match="tree"):
            session.run(found, dict(zip(fed, tree)))
        tree[1][0] = TREE.labels[0]


@pytest.mark.parametrize("options", [
    dict(beam_width=1001), dict(beam_width=2 ** 31 - 1), dict(max_num_steps=10001), dict(max_num_steps=2 ** 31 - 1),
    dict(lengths=[])])
def test_searches_that_are_too_large_or_see_nothing(session, options):
    with pytest.raises(InvalidArgument, match="at most|lengths must"):
        session.run(search(search_arrays(), None, **options))


def test_the_widest_beam(session):
    assert session.run(search(search_arrays(), TREE, beam_width=1000))[0].shape[0] == 3


def run_child(code):
    return subprocess.run([sys.executable, "-c", code], universal_newlines=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)


@pytest.mark.parametrize("batch", [1, 4])
def test_memory_that_cannot_be_had_is_an_error(batch):
    """4 million labels times 1,000 hypotheses: 16 GB, of which the child may have 2."""
    done = run_child(f"""
import resource
import numpy as np
from aster.c_ops import ops
from aster.compat import tf
L = 2 ** 22
zeros = [np.zeros(shape, "f") for shape in ([1, 5], [{batch}, 1, 1], [{batch}, 1, 4], [1, 1], [1, L], [L])]
with tf.Graph().as_default(), tf.Session() as session:
    inputs = [tf.placeholder(tf.float32, array.shape) for array in zeros]
    found = ops.beam_search(tf.zeros([L, 4]), *inputs, lengths=[1], beam_width=1000, max_num_steps=5, start_label=0,
                            end_label=1, pad_label=-1)
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2 ** 31, size + 2 ** 31))
    try:
        session.run(found[0].op, dict(zip(inputs, zeros)))
    except tf.errors.ResourceExhaustedError as error:
        print(error.message)
""")
    assert "not enough memory" in done.stdout, done.stderr


def kernels_and_results(run):
    """-> the results of `run(kernel)` with several kernels in turn, and what they should be."""
    random = np.random.RandomState(0)
    inputs = random.normal(size=[2, 3, 28]).astype("f")
    no_memory = [np.zeros(shape, "f") for shape in ([2, 0, 1], [2, 0, 28], [0, 1])]
    kernels = [random.normal(size=[7, 28]).astype("f") for _ in range(3)]
    return [(run(inputs, kernel), reference.attention_lstm(inputs, kernel, *no_memory, lengths=[], forget_bias=1.0,
                                                           attend_first=True, reverse=False))
            for kernel in kernels + kernels[:1]]


@pytest.mark.skipif(IS_TF1, reason="TensorFlow 1.4 has no eager mode")
def test_each_kernel_gives_its_own_result_in_eager_mode():
    for result, expected in kernels_and_results(ops.lstm):
        np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=2e-6)


def test_each_kernel_that_is_fed_gives_its_own_result(session):
    """Also where a graph of version 0.1 calls the kernel constant."""
    inputs, kernel, values = (tf.placeholder(tf.float32) for _ in range(3))
    nothing = tf.placeholder_with_default(np.zeros([0, 1], "f"), [None, None])
    keys = tf.zeros(tf.stack([tf.shape(inputs)[0], 0, 1]))
    h = ops._ops.aster_attention_lstm(inputs, kernel, keys, values, nothing, lengths=[], forget_bias=1.0,
                                      attend_first=True, constant_kernels=True)[0]

    def run(array, fed_kernel):
        return session.run(h, {inputs: array, kernel: fed_kernel, values: array[:, :0]})
    for result, expected in kernels_and_results(run):
        np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6)
    assert run(np.ones([2, 3, 160], "f"), np.ones([40, 160], "f")).shape == (2, 3, 40)


@pytest.mark.parametrize("inputs, kernel", [
    ([0, 2 ** 40, 28], [7, 28]), ([2 ** 40, 0, 28], [7, 28]), ([2, 3, 0], [0, 0]), ([2, 3, 0], [2 ** 60, 0]),
    ([2, 3, 28], [7, 0])])
def test_sizes_of_an_lstm_that_cannot_be(session, inputs, kernel):
    fed = [tf.placeholder(tf.float32) for _ in range(5)]
    h = ops.attention_lstm(*fed, lengths=[])
    shapes = inputs, kernel, [inputs[0], 0, 1], [inputs[0], 0, inputs[2]], [0, 1]
    with pytest.raises(InvalidArgument, match="expected state_kernel"):
        session.run(h, dict(zip(fed, map(zeros, shapes))))


@pytest.mark.parametrize("points, coefficients", [(0, 7), (1, 4), (2, 5), (3, 6), (4, 0), (4, 1), (4, 3)])
def test_splines_of_too_few_points(session, points, coefficients):
    with pytest.raises(InvalidArgument, match="4 or more"):
        session.run(ops.spline_grid(np.ones([2, points, 2], "f"), np.ones([points, coefficients], "f"),
                                    np.ones([coefficients, 9], "f")))


def test_the_smallest_spline(session):
    random = np.random.RandomState(0)
    points, inverse, lift = (random.normal(size=shape).astype("f") for shape in ([2, 4, 2], [4, 4], [4, 9]))
    expected = np.einsum("kc,cp,bkx->bpx", inverse, lift, points)
    np.testing.assert_allclose(session.run(ops.spline_grid(points, inverse, lift)), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [1, 2])
def test_images_of_more_pixels_than_floats_can_count(session, axis, dtype):
    size = 2 ** 24 + 5
    fractions = np.array([0, 0.1, 0.5, 1 - 2 ** -24, 1, 2], dtype)
    at = np.clip(fractions.astype(np.float64) * size, 0, size - 2)
    first = np.floor(at).astype(int)
    weights = (first + 1 - at), at - first
    shape = [1, 1, 1, 1]
    shape[axis] = size
    values = (np.arange(size) % 251).astype(dtype)
    images, grid = tf.placeholder(dtype, shape), np.zeros([1, 6, 2], dtype)
    grid[0, :, 2 - axis] = fractions
    samples = ops.bilinear_sample(images, tf.constant(grid))
    gradient = tf.gradients(samples, images)[0]
    sampled, d_images = session.run([samples, gradient], {images: values.reshape(shape)})
    np.testing.assert_allclose(sampled[0, :, 0], weights[0] * values[first] + weights[1] * values[first + 1],
                               rtol=1e-6)
    expected = np.zeros(size)
    np.add.at(expected, first, weights[0])
    np.add.at(expected, first + 1, weights[1])
    np.testing.assert_allclose(d_images.reshape(-1), expected, atol=1e-6)
