"""What compat.py asks of the machine."""
import ctypes
import types

import pytest

from aster import compat


@pytest.fixture
def cuda(monkeypatch):
    """-> a function that puts a made-up libcuda in place: the status of cuInit, and the card's compute capability."""
    def put(status, major):
        def get_attribute(pointer, attribute, device):
            assert attribute == 75 and device.value == 3
            pointer._obj.value = major
            return status

        def get_device(pointer, number):
            assert number == 0
            pointer._obj.value = 3
            return status
        library = types.SimpleNamespace(cuInit=lambda flags: status, cuDeviceGet=get_device,
                                        cuDeviceGetAttribute=get_attribute)
        monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    compat.is_tensor_core_gpu.cache_clear()
    yield put
    compat.is_tensor_core_gpu.cache_clear()


@pytest.mark.parametrize("status, major, expected", [(0, 9, True), (0, 8, True), (0, 7, False), (100, 9, False)])
def test_tensor_cores(cuda, status, major, expected):
    cuda(status, major)
    assert compat.is_tensor_core_gpu() == expected
    rewrite = compat.session_config().graph_options.rewrite_options
    assert compat.IS_TF1 or (rewrite.layout_optimizer == rewrite.OFF) == expected


def test_without_a_driver_there_are_none(cuda, monkeypatch):
    def fail(name):
        raise OSError(name)
    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert not compat.is_tensor_core_gpu()
