"""Pipelines in this process, for the tests of aster.beam."""
import os

import pytest

beam = pytest.importorskip("apache_beam")

from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402
from apache_beam.testing.test_pipeline import TestPipeline  # noqa: E402

from aster.beam.words import NAMESPACE  # noqa: E402
from aster.pretrained import SAMPLES  # noqa: E402


def pipeline(*options):
    """Beam's DirectRunner would look for Prism on GitHub first."""
    return TestPipeline(runner="FnApiRunner", options=PipelineOptions(list(options)))


def counts(made):
    """{name: value} of the counters of a pipeline that has run."""
    found = made.result.metrics().query(beam.metrics.MetricsFilter().with_namespace(NAMESPACE))["counters"]
    return {counter.key.metric.name: counter.result for counter in found}


def sample(name):
    """The bytes of a sample image."""
    with open(os.path.join(SAMPLES, name), "rb") as stream:
        return stream.read()
