"""docs/configuration.md is what protos/ says today."""
import os
import re
import sys

import pytest

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
    assert "| `static` | bool, default true, deprecated | This field has no effect" in text


def test_types_are_links_to_headings_that_exist():
    text = tool.reference()
    headings = {line[4:].lower().replace(".", "") for line in text.split("\n") if line.startswith("### ")}
    links = re.findall(r"\]\(#(\w+)\)", text)
    assert "| `net_type` | [CrnnNet.NetType](#crnnnetnettype), default SINGLE_BRANCH |" in text
    assert len(links) > 50 and headings.issuperset(links)


def test_no_cell_is_empty_and_a_field_without_a_comment_is_an_error(tmp_path):
    assert not re.search(r"\| *\|", tool.reference())
    (tmp_path / "x.proto").write_text("// Something.\nmessage X {\n  optional int32 y = 1;\n}\n")
    with pytest.raises(ValueError, match="x.proto:3: write a comment"):
        tool.reference(str(tmp_path))
