"""The op library: checksums, threads, and how it loads."""
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import reference

from aster.c_ops import ops
from aster.compat import tf


@pytest.mark.parametrize("data, crc", [
    (b"", 0), (b"a", 0xC1D04330), (b"123456789", 0xE3069283), (b"\0" * 32, 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43), (bytes(bytearray(range(32))), 0x46DD794E)])
def test_masked_crc32c_of_known_vectors(data, crc):
    assert ops.masked_crc32c(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2 ** 32


@pytest.mark.parametrize("size", list(range(20)) + [4096, 100003])
def test_masked_crc32c_is_that_of_tfrecords(tmp_path, size):
    path = str(tmp_path / "one.tfrecord")
    payload = os.urandom(size)
    with tf.python_io.TFRecordWriter(path) as writer:
        writer.write(payload)
    with open(path, "rb") as stream:
        content = stream.read()
    assert ops.masked_crc32c(content[:8]) == int.from_bytes(content[8:12], "little")
    assert ops.masked_crc32c(payload) == int.from_bytes(content[-4:], "little")


def test_ops_run_in_threads(session):
    """The same values as alone: nothing is shared between calls."""
    random = np.random.RandomState(0)
    grid = ops.spline_grid(*[tf.constant(random.randn(*shape).astype(np.float32))
                             for shape in ([2, 4, 2], [4, 7], [7, 60])])
    samples = ops.bilinear_sample(random.rand(2, 5, 6, 3).astype(np.float32), grid)
    expected = session.run([grid, samples])
    results = []
    threads = [threading.Thread(target=lambda: results.append(session.run([grid, samples])))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        np.testing.assert_array_equal(result[0], expected[0])
        np.testing.assert_array_equal(result[1], expected[1])


def run_python(code, folder):
    return subprocess.run([sys.executable, "-c", code], cwd=str(folder), universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_import_from_many_threads_loads_once(pytestconfig):
    code = """
import threading
found = []
def load():
    from aster.c_ops import ops
    found.append(ops.masked_crc32c(b"a"))
threads = [threading.Thread(target=load) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(len(found), len(set(found)))
"""
    done = run_python(code, pytestconfig.rootdir)
    assert done.stdout.split() == ["8", "1"], done.stderr


@pytest.mark.parametrize("library, problem", [(None, "is not built"), (b"junk", "does not load")])
def test_library_that_does_not_load_says_how_to_build_it(tmp_path, pytestconfig, library, problem):
    shutil.copytree(str(pytestconfig.rootdir / "aster"), str(tmp_path / "aster"),
                    ignore=shutil.ignore_patterns("*.so"))
    if library:
        (tmp_path / "aster" / "c_ops" / os.path.basename(ops.PATH)).write_bytes(library)
    done = run_python("from aster.c_ops import ops", tmp_path)
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError") and problem in message
    assert message.endswith("run: python setup.py build_ext --inplace")


def test_the_session_of_these_tests_computes_nothing_ahead(session):
    """Otherwise they would test the kernels for CPUs also where there is a GPU."""
    arrays = reference.attention_lstm_arrays(np.float32, steps=3, batch=2, units=5, attention_units=4, lengths=(4,))
    h = ops.attention_lstm(*[tf.constant(array) for array in arrays], lengths=[4])
    options, metadata = tf.RunOptions(output_partition_graphs=True), tf.RunMetadata()
    session.run(h, options=options, run_metadata=metadata)
    assert "AsterAttentionLstm" in {node.op for graph in metadata.partition_graphs for node in graph.node}
