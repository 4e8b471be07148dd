"""Reads or converts many images: python -m aster.beam recognize|convert --input PATTERN ..."""
import argparse
import glob
import json
import logging
import os
import sys
import zlib
from typing import Any, Dict, List, Sequence, Tuple

from aster import command, pretrained
from aster.beam import lists, quiet
from aster.beam.installed import beam
from aster.beam.recognize import Recognize, Text
from aster.beam.records import WriteTFRecord
from aster.beam.running import run
from aster.beam.shards import WriteShards, delete_file
from aster.beam.words import Broken, ReadWords, check_pattern, encodable, folder_of
from aster.data.writing import shard_paths

_log = logging.getLogger(__name__)
_EPILOG = "All other options are Beam's, such as --runner and --direct_num_workers."


def main() -> None:
    """Parses the arguments, runs the pipeline, and prints what it has counted."""
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    arguments, options = _parse_arguments()
    check_pattern(arguments.input)
    arguments.run(arguments, options)


def _parse_arguments() -> Tuple[argparse.Namespace, Any]:
    parser = command.ArgumentParser(prog="python -m aster.beam", description=(
        "Read or convert any number of images with Apache Beam, by several processes or machines. docs/beam.md "
        "explains it."))
    commands = parser.add_subparsers(dest="command", metavar="recognize|convert")
    commands.required = True
    common = command.ArgumentParser(add_help=False)
    common.add_argument("--input", required=True, metavar="PATTERN", help=(
        "image files, as a pattern in quotes such as 'images/*' or 'gs://bucket/**', or a folder"))
    common.add_argument("--num_shards", type=int, default=1, metavar="N", help="write N files (default: 1)")
    recognize = commands.add_parser("recognize", parents=[common], allow_abbrev=False, epilog=_EPILOG, help=(
        "write the texts of images"))
    recognize.add_argument("--output", required=True, metavar="PREFIX", help=(
        "write PREFIX-00000-of-0000N.jsonl and so on, and PREFIX.broken.jsonl for images that can't be read"))
    models = recognize.add_mutually_exclusive_group()
    models.add_argument("--exp_dir", help=f"experiment folder (default: the pretrained model {pretrained.DEFAULT})")
    models.add_argument("--model", default=pretrained.DEFAULT, metavar="NAME", help=command.model_help())
    recognize.add_argument("--batch_size", type=int, default=32, metavar="N", help=(
        "images that are read together (default: 32)"))
    recognize.add_argument("--num_threads", type=int, metavar="N", help=(
        "threads of each worker process (default: local processes share the cores; on a cluster 1)"))
    command.add_trust(recognize)
    recognize.set_defaults(run=_recognize)
    convert = commands.add_parser("convert", parents=[common], allow_abbrev=False, epilog=_EPILOG, help=(
        "write TFRecord files to train on"))
    convert.add_argument("--list", required=True, metavar="FILE", help=(
        "names and texts of the images, in any form that tools/create_folder_tfrecord.py reads; names start at the "
        "folder of PATTERN"))
    lists.conversion("lists").encoding_option(convert)
    convert.add_argument("--output_path", required=True, metavar="FILE", help=(
        "the TFRecord file to write; with several shards FILE-00000-of-0000N and so on"))
    convert.set_defaults(run=_convert)
    arguments, others = parser.parse_known_args()
    for name, value in vars(arguments).items():
        if name in ("num_shards", "batch_size", "num_threads") and value is not None and value < 1:
            parser.error(f"--{name} must be 1 or more")
        if isinstance(value, str) and value != encodable(value):
            parser.error(f"--{name} {encodable(value)} is not UTF-8, which Apache Beam needs; rename it")
    return arguments, _pipeline_options(parser, others)


def _pipeline_options(parser: argparse.ArgumentParser, others: Sequence[str]) -> Any:
    """The options of Beam. On this machine, workers are processes: one process with many threads has one Python."""
    names = beam.options.pipeline_options
    options = names.PipelineOptions(list(others))
    standard, local = options.view_as(names.StandardOptions), options.view_as(names.DirectOptions)
    runner = standard.runner or "DirectRunner"
    if runner in names.StandardOptions.LOCAL_RUNNERS:  # others may know more than Beam does
        _refuse_unknown(parser, others)
        if (local.direct_num_workers or 0) < 0:
            parser.error("--direct_num_workers must be 1 or more, or 0 for one a core")
    if runner == "DirectRunner":
        # where it can, this runner downloads another one, Prism, which starts no processes
        standard.runner = "FnApiRunner"
        if not any(word.startswith("--direct_running_mode") for word in others):
            local.direct_running_mode = "multi_processing"
    return options


def _refuse_unknown(parser: argparse.ArgumentParser, others: Sequence[str]) -> None:
    """Ends the command where Beam would pass over an argument with a warning."""
    options = beam.options.pipeline_options.PipelineOptions
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for kind in options.__subclasses__():
        if "_add_argparse_args" in vars(kind):
            kind._add_argparse_args(known)
    _, unknown = known.parse_known_args(list(others))
    if unknown and not unknown[0].startswith("-"):
        parser.error(f"what is {unknown[0]}? Put the pattern of --input in quotes")
    if unknown:
        parser.error(f"neither this command nor Apache Beam has the option {unknown[0]}")


def _recognize(arguments: argparse.Namespace, options: Any) -> None:
    # --model has taken folders, too, before there was --exp_dir
    model = os.path.abspath(arguments.exp_dir) if arguments.exp_dir else arguments.model
    exp_dir = arguments.exp_dir or pretrained.find(model)
    command.read_experiment(exp_dir, trust=arguments.trust)
    quiet.import_tensorflow()
    command.find_checkpoint(exp_dir)
    broken_path = arguments.output + ".broken.jsonl"
    paths = [f"{arguments.output}-{i:05d}-of-{arguments.num_shards:05d}.jsonl" for i in range(arguments.num_shards)]
    _check_outputs(paths + [broken_path], arguments.output, ".jsonl")
    for path in paths + [broken_path]:
        if "://" not in path:
            command.check_writable(path)

    def build(pipeline, temporary):
        read = (pipeline | beam.Create([arguments.input]) | "ReadWords" >> ReadWords()
                | "Recognize" >> Recognize(model, arguments.batch_size, arguments.num_threads))
        _ = (read.texts | "Lines" >> beam.Map(_text_line, arguments.num_shards)
             | "WriteTexts" >> WriteShards(paths, f"{temporary}/texts"))
        _write_broken(read.broken, broken_path, temporary)
    counts = run(build, options, arguments.output)
    _say_passed_over(counts, "files: names that end like no image that can be read here")
    if not counts["read"] + counts["broken"]:
        raise ValueError(f"{arguments.input}: no image there")
    if not counts["read"]:  # WriteShards leaves old files where there are no new ones
        for path in paths:
            delete_file(path)
    command.say(f"{counts['read']} images read, {counts['broken']} broken{_where(counts, broken_path)}")
    if counts["broken"]:
        sys.exit(1)


def _convert(arguments: argparse.Namespace, options: Any) -> None:
    broken_path = arguments.output_path + ".broken.jsonl"
    paths = shard_paths(arguments.output_path, arguments.num_shards)
    output = lists.conversion("output")
    try:
        output.check_replaceable(paths)
    except output.OutputError as error:
        raise ValueError(str(error)) from error
    _check_outputs(paths, arguments.output_path)
    if "://" not in arguments.output_path:
        command.check_writable(os.path.dirname(os.path.abspath(arguments.output_path)), is_folder=True)
        command.check_writable(broken_path)
    if "://" not in arguments.list and not os.path.isfile(arguments.list):
        raise ValueError(f"--list {arguments.list}: no such file")

    def build(pipeline, temporary):
        written = (pipeline | beam.Create([arguments.input])
                   | "ReadWords" >> ReadWords(arguments.list, arguments.encoding)
                   | "WriteTFRecord" >> WriteTFRecord(arguments.output_path, arguments.num_shards,
                                                      f"{temporary}/records"))
        _write_broken(written.broken, broken_path, temporary)
    counts = run(build, options, arguments.output_path)
    _say_passed_over(counts, f"entries of {arguments.list}: names that --input does not match")
    where = _where(counts, broken_path)
    if not counts["written"]:
        raise ValueError(f"no entry of {arguments.list} gave a word, {counts['broken']} broken{where}; names start at "
                         f"{folder_of(check_pattern(arguments.input)) or os.curdir}. {arguments.output_path} is not "
                         "written")
    command.say(f"{arguments.output_path}: {counts['written']} words written, {counts['broken']} broken{where}")


def _check_outputs(paths: List[str], prefix: str, ending: str = "") -> None:
    """Raises ValueError if the results would lie beside those of a run with another number of shards."""
    numbers = "-?????-of-?????" + ending
    folder = "" if folder_of(prefix) else os.path.join(os.curdir, "")  # without one, Beam would look nowhere
    match, = beam.io.filesystems.FileSystems.match([folder + glob.escape(prefix) + numbers])
    strange = sorted({file.path[len(folder):] for file in match.metadata_list} - set(paths))
    if strange:
        raise ValueError(f"{strange[0]}: it exists, and is of a run with another --num_shards; remove what matches "
                         f"{prefix}{numbers}, or name another output")


def _write_broken(broken: Any, path: str, temporary: str) -> None:
    _ = broken | "BrokenLines" >> beam.Map(_broken_line) | "WriteBroken" >> WriteShards([path], f"{temporary}/broken")


def _text_line(text: Text, num_shards: int) -> Tuple[int, bytes]:
    """The fields are those of `aster.demo --json`."""
    values = {"path": text.name, **text._asdict()}
    del values["name"]
    return zlib.crc32(text.name.encode("utf-8", "surrogateescape")) % num_shards, _line(values)


def _broken_line(image: Broken) -> Tuple[int, bytes]:
    return 0, _line({"path": image.name, "error": image.reason})


def _line(values: Dict[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _say_passed_over(counts: Dict[str, int], what: str) -> None:
    if counts["passed_over"]:
        _log.warning("passed over %d of the %s", counts["passed_over"], what)


def _where(counts: Dict[str, int], path: str) -> str:
    """Where the broken images are named. What an earlier run has named is deleted if there are none now."""
    if counts["broken"]:
        return f": {path}"
    delete_file(path)
    return ""
