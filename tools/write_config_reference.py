#!/usr/bin/env python
"""Writes docs/configuration.md from the comments in protos/: python tools/write_config_reference.py

A test compares the two, so that the reference can't go stale.
"""
import glob
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUTPUT = os.path.join(ROOT, "docs", "configuration.md")
_HEAD = """# Configuration

Made from the comments in `protos/` by `tools/write_config_reference.py`. A configuration is a `TrainEvalPipelineConfig`
in protobuf's text format. Fields whose number is 101 or more are this library's own; the others are the published
system's.
"""
_FIELD = re.compile(r"(optional|repeated|required)?\s*([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[default\s*=\s*(.*?)\])?;")
_ORDER = ("pipeline", "model", "spatial_transformer", "feature_extractor", "convnet", "bidirectional_rnn", "rnn_cell",
          "predictor", "label_map", "loss", "hyperparams", "train", "optimizer", "eval", "input_reader", "preprocessor",
          "custom")


def reference(folder=os.path.join(ROOT, "protos")):
    """The whole text."""
    paths = {os.path.basename(path)[:-len(".proto")]: path for path in glob.glob(os.path.join(folder, "*.proto"))}
    parts = [_HEAD]
    for name in sorted(paths, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        with open(paths[name], encoding="utf-8") as stream:
            parts.append(_describe(name, stream.read()))
    return "\n".join(parts)


def _describe(name, text):
    """One file's messages as Markdown. A nested message or enum stands after the one that it is in."""
    comment, scopes, done = [], [], []  # scopes: (title or None for a oneof, lines)
    for line in map(str.strip, text.split("\n")):
        opened = re.match(r"(message|enum|oneof)\s+(\w+)\s*\{(\s*\})?", line)
        if line.startswith("//"):
            comment.append(line[2:].strip())
            continue
        if opened and opened.group(1) == "oneof":
            scopes.append((None, scopes[-1][1]))
        elif opened:
            title = ".".join([scope for scope, _ in scopes if scope] + [opened.group(2)])
            lines = [f"### {title}", "", " ".join(comment), "", "| %s | | |" % (
                "field" if opened.group(1) == "message" else "value"), "|---|---|---|"]
            done.append(lines)
            scopes.append((opened.group(2), lines))
        elif scopes:
            scopes[-1][1].extend(_row(line, comment, in_oneof=scopes[-1][0] is None))
        if scopes and (line == "}" or opened and opened.group(3)):
            scopes.pop()
        comment = []
    parts = [f"## {name}.proto"] + ["\n".join(lines) for lines in done]
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)) + "\n"


def _row(line, comment, in_oneof):
    """The row of a field or of a value, or nothing."""
    field, value = _FIELD.match(line), re.match(r"(\w+)\s*=\s*\d+;", line)
    if field:
        label, kind, name, _, default = field.groups()
        kind += (", repeated" if label == "repeated" else "") + (", one of" if in_oneof else "")
        kind += f", default {default}" if default else ""
        yield "| `{}` | {} | {} |".format(name, kind, " ".join(comment))
    elif value:
        yield "| `{}` | | {} |".format(value.group(1), " ".join(comment))


if __name__ == "__main__":
    with open(OUTPUT, "w", encoding="utf-8") as output:
        output.write(reference())
