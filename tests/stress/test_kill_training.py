import os
import subprocess
import sys


def test_a_training_survives_kills():
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kill_training.py")
    process = subprocess.run([sys.executable, script, "--kills", "5"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout.decode()
    assert process.returncode == 0, output
    assert "5 of 5 kills survived" in output
