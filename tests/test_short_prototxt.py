"""A configuration in few lines means what the long one meant."""
import glob
import os

import pytest
from google.protobuf import text_format
from test_config import restated_defaults

from aster.config import is_repeated, read_config, walk
from aster.pretrained import ENGLISH
from aster.protos import pipeline_pb2
from aster.short_prototxt import short_prototxt

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def with_all_defaults(config):
    """Spells out every default of every message that a configuration has."""
    for _, message in list(walk(config)):
        for field in message.DESCRIPTOR.fields:
            if not (is_repeated(field) or field.message_type or field.containing_oneof or field.name == "seed"):
                setattr(message, field.name, getattr(message, field.name))
    return config


@pytest.mark.parametrize("folder", sorted(glob.glob(os.path.join(ROOT, "experiments", "*", ""))) + [ENGLISH])
def test_experiments_mean_the_same(folder, tmp_path):
    config = read_config(folder)
    text = short_prototxt(with_all_defaults(read_config(folder)))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "trainval.prototxt").write_text(text, encoding="utf-8")
    assert with_all_defaults(read_config(str(tmp_path))) == with_all_defaults(config)
    assert restated_defaults(text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())) == []
    assert text.count("\n") < 75 and max(map(len, text.splitlines())) <= 120


def test_what_only_looks_like_a_default_stays():
    config = text_format.Parse("""
        model { multi_predictors_recognition_model {
          feature_extractor { bidirectional_rnn { fw_bw_rnn_cell { lstm_cell { num_units: 8
            initializer { orthogonal_initializer { seed: 0 } } } } } }
          predictor { attention_predictor { label_map { character_set { text_file: "Straße.txt" } label_offset: 2 } } }
        } }
        eval_config {
          data_preprocessing_steps { string_filtering { include_charset { built_in_set: LOWERCASE } } }
          data_preprocessing_steps { string_filtering { lower_case: false } }
        }""", pipeline_pb2.TrainEvalPipelineConfig())
    text = short_prototxt(config)
    for kept in "seed: 0", "Straße.txt", "built_in_set: LOWERCASE", "string_filtering { }":
        assert kept in text
    for left_out in "label_offset", "lower_case":
        assert left_out not in text
