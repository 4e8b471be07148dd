"""A short fuzz of the ops; `make test-asan` makes a longer one with sanitizers."""
import os
import subprocess
import sys


def test_no_call_of_an_op_ends_the_process():
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fuzz_ops.py")
    done = subprocess.run([sys.executable, script, "--calls", "150"], universal_newlines=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("150 calls, 0 faults: ")
