"""docs/configuration.md is what protos/ says today."""
import os
import sys

from aster.protos import convnet_pb2

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import write_config_reference as tool  # noqa: E402


def test_the_reference_is_up_to_date():
    with open(tool.OUTPUT, encoding="utf-8") as stream:
        assert stream.read() == tool.reference(), "run: python tools/write_config_reference.py"


def test_every_field_is_there():
    text = tool.reference()
    for message in convnet_pb2.DESCRIPTOR.message_types_by_name.values():
        section = text[text.index(f"### {message.name}\n"):].split("\n### ")[0]
        for field in message.fields:
            assert f"`{field.name}`" in section
    assert "| `num_attention_units` | int32, default 128 |" in text
    assert "### CrnnNet.NetType" in text and "| `TWO_BRANCHES` |" in text
