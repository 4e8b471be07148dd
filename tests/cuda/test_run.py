"""run.py finds its tests where there is nothing but numpy and pytest."""
import run


def test_the_tests_are_found_without_tensorflow():
    assert run.run_tests("--collect-only") == 0
