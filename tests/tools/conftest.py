"""A folder for a data set, and a converter that runs on it."""
import importlib
import os

import pytest
from conversion_helpers import read


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


@pytest.fixture
def convert(data_dir, capfd):
    """convert(name, *options, status=0): runs a converter on data_dir -> (Samples, output: that of stderr first)."""
    def run(name, *options, **expect):
        out = str(data_dir / ".." / "out.tfrecord")
        status = 0
        try:
            importlib.import_module(f"create_{name}_tfrecord").main(
                ["--data_dir", str(data_dir), "--output_path", out, "--num_workers", "1"] + list(options))
        except SystemExit as stopped:
            status = 1
            print(stopped.code)
        output = "".join(reversed(capfd.readouterr()))
        assert status == expect.get("status", 0), output
        folder = os.path.dirname(out)
        assert not [name for name in os.listdir(folder) if ".part" in name]
        return read(out) if os.path.exists(out) else [], output
    return run
