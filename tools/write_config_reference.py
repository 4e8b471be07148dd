#!/usr/bin/env python
"""Writes docs/configuration.md from the comments in protos/.

    python tools/write_config_reference.py

Run it after every change in protos/. A test compares the two, so that the reference stays true.
"""
import glob
import os
import re
from typing import Dict, Iterator, List, Set

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUTPUT = os.path.join(ROOT, "docs", "configuration.md")
_HEAD = """# Configuration

A configuration is a `TrainEvalPipelineConfig` in protobuf's text format: `config/trainval.prototxt` in an experiment
folder. `experiments/` has examples to start from.

- **Fields.** `tools/write_config_reference.py` makes the tables below from the comments in `protos/`. A field that a
  configuration leaves out has its default. Of the fields marked *one of*, a message has at most one. Fields whose
  number in `protos/` is 101 or more are this library's own; the others are those of the published system.
- **Deprecated fields.** They have no effect. Configurations of the published system may keep them; every command that
  reads one names them at start.
- **Ranges.** Each number has a range, which `aster/config_ranges.py` lists. A number outside it is an error that names
  file, line and field.
- **Paths.** A relative path is looked up in the experiment folder first, then in the working directory.
- **Characters.** Name them once, in the `character_set` of the model. Label maps and text filters use it unless they
  name their own. A `text_file` has one character in each line, or all of them in one line; dictionaries of PaddleOCR
  and MMOCR work. Texts and characters are compared in NFC. Characters that are equal in NFC are one character, and the
  log names them.
- **Characters of a checkpoint.** Beside each checkpoint, `model.ckpt-N.characters.json` has the characters of each
  predictor, in the order of their labels. Every command compares them with the configuration's, and stops if they
  differ. Checkpoints of version 0.1 and of the published system have no such file and are not compared. If you know
  their characters, you can write the file: `{"Forward": "0123...", "Backward": "0123..."}`.
- **Changes on the command line.** `--set 'train_config { num_steps: 100 }'` changes the fields that it names, for
  train, eval, demo and export. You may give `--set` as often as you like; a later one wins. A repeated field that it
  names, such as `batch_size`, `predictor` or `data_augmentation_options`, replaces the whole list of the file. Of
  fields marked *one of*, the one that it names replaces the one of the file.
"""
_FIELD = re.compile(r"(?:(optional|repeated)\s+)?([\w.]+)\s+(\w+)\s*=\s*\d+\s*(?:\[(.*)\])?;")
_DEFAULT = re.compile(r"default\s*=\s*(\"[^\"]*\"|[^,\s]+)")
_ORDER = ("pipeline", "model", "spatial_transformer", "feature_extractor", "convnet", "bidirectional_rnn", "rnn_cell",
          "predictor", "label_map", "loss", "hyperparams", "train", "optimizer", "eval", "input_reader", "preprocessor",
          "custom")
_HEADERS = {"message": ["| field | type and default | what it means |", "|---|---|---|"],
            "enum": ["| value | what it means |", "|---|---|"]}


def reference(folder: str = os.path.join(ROOT, "protos")) -> str:
    """Makes the text of docs/configuration.md.

    Args:
      folder: where the .proto files are.

    Returns:
      Markdown: a section for each file, a table for each message and enum, a row for each field or value.

    Raises:
      ValueError: a message, a field or a value has no comment.
    """
    files = {}
    for path in glob.glob(os.path.join(folder, "*.proto")):
        with open(path, encoding="utf-8") as stream:
            name = os.path.basename(path)[:-len(".proto")]
            files[name] = _tables(f"protos/{name}.proto", stream.read())
    titles = {title for tables in files.values() for title in tables}
    sections = [_HEAD]
    for name in sorted(files, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        tables = ["\n".join(_link_type(row, title, titles) for row in rows) for title, rows in files[name].items()]
        sections.append(f"## {name}.proto\n\n" + "\n\n".join(tables) + "\n")
    return "\n".join(sections)


def _tables(path: str, text: str) -> Dict[str, List[str]]:
    """{title of a message or enum: lines of its Markdown}. A nested one stands after the one that it is in."""
    comment: List[str] = []
    tables: Dict[str, List[str]] = {}
    scopes: List[str] = []  # titles of the messages and enums that are open; a oneof has that of its message
    oneofs = 0  # that are open
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        if line.startswith("//"):
            comment.append(line[2:].strip())
            continue
        opened = re.match(r"(message|enum|oneof)\s+(\w+)\s*\{(\s*\})?", line)
        if opened and opened.group(1) == "oneof":
            scopes.append(scopes[-1])
            oneofs += 1
        elif opened:
            scopes.append(".".join(scopes[-1:] + [opened.group(2)]))
            tables[scopes[-1]] = [f"### {scopes[-1]}", "", _sentences(comment, f"{path}:{number}"), ""]
            tables[scopes[-1]] += _HEADERS[opened.group(1)]
        elif scopes:
            tables[scopes[-1]].extend(_rows(line, comment, f"{path}:{number}", in_oneof=bool(oneofs)))
        if scopes and (line == "}" or opened and opened.group(3)):
            oneofs -= scopes[-1:] == scopes[-2:-1]
            scopes.pop()
        comment = []
    return {title: lines if len(lines) > 6 else lines[:3] for title, lines in tables.items()}  # no table without rows


def _rows(line: str, comment: List[str], where: str, in_oneof: bool) -> Iterator[str]:
    """The row of a field or of a value of an enum, or nothing."""
    field, value = _FIELD.match(line), re.match(r"(\w+)\s*=\s*\d+;", line)
    if field:
        label, kind, name, options = field.groups(default="")
        notes = ["repeated"] * (label == "repeated") + ["one of"] * in_oneof
        notes += [f"default {default}" for default in _DEFAULT.findall(options)]
        notes += ["deprecated"] * ("deprecated" in options)
        yield f"| `{name}` | {', '.join([kind] + notes)} | {_sentences(comment, where)} |"
    elif value:
        yield f"| `{value.group(1)}` | {_sentences(comment, where)} |"


def _sentences(comment: List[str], where: str) -> str:
    if not comment:
        raise ValueError(f"{where}: write a comment that says what this means")
    return " ".join(comment)


def _link_type(row: str, title: str, titles: Set[str]) -> str:
    """A row with its type as a link to the table of that type, if it has one."""
    match = re.match(r"(\| `\w+` \| )(\w+)", row)
    for name in [f"{title}.{match.group(2)}", match.group(2)] if match else []:
        if match and name in titles:
            anchor = name.lower().replace(".", "")
            return f"{match.group(1)}[{name}](#{anchor}){row[match.end():]}"
    return row


if __name__ == "__main__":
    text = reference()  # first, so that an error leaves the old file
    with open(OUTPUT, "w", encoding="utf-8") as output:
        output.write(text)
