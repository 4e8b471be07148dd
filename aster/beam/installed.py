"""Apache Beam, or the sentence that says how to get it."""
try:
    import apache_beam as beam  # noqa: F401 - for the other files
except ImportError as error:
    raise ImportError("aster.beam needs Apache Beam, which needs Python 3.10 or newer with TensorFlow 2, and `import "
                      f"apache_beam` fails here ({error}); see Install in docs/beam.md") from error
