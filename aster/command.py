"""What the commands share: options, a quiet start of TensorFlow, files of results, one line in place of a traceback.

Only the standard library is imported here, so that a Python without the packages gets its one line, too.
"""
import argparse
import codecs
import contextlib
import errno
import glob
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterable, Iterator, NoReturn, Optional, Sequence, TextIO

from aster import pretrained
from aster.errors import PrintableFormatter, cause, describe, printable, safe_for_terminal
from aster.files import errors_name, written_whole
from aster.training import TrainingStopped

_log = logging.getLogger(__name__)
_NEVER_RESULTS = ("checkpoint", "evaluations.jsonl", "best.json", "progress.csv", "lock")  # files of a training

# What TensorFlow 2 prints before its log level counts. It is the same on every machine.
_START_UP_NOISE = (r"^WARNING: All log messages before absl::InitializeLog\(\)"
                   r"|^I0000 .*(oneDNN custom operations are on|Could not find cuda drivers)"
                   r"|grpc epoll fd: ")
_NO_GPU_NOISE = r"|^E0000 .*failed call to cuInit"  # an error only where there is a driver


# Arguments that may be empty: they name no single file or folder, and what is wrong with them is said elsewhere.
_MAY_BE_EMPTY = "overrides", "input_image", "charset"


class ArgumentParser(argparse.ArgumentParser):
    """Refuses empty arguments, as of a variable of the shell that is not set: they would mean the working directory, or
    nothing. Names wrong arguments without their control characters: a pattern of the shell gives names of files."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses arguments, by default those of the process; parse_args does it by this method, too."""
        parsed, others = super().parse_known_args(args, namespace)
        for name, value in vars(parsed).items():
            if name not in _MAY_BE_EMPTY and (value == "" or isinstance(value, list) and "" in value):
                usage = " ".join(self.format_usage().split())  # in one line
                option = f"--{name}" if f"--{name} " in usage else name
                self.error(f"{option} is empty; name a file or folder")
        return parsed, others

    def error(self, message: str) -> NoReturn:
        """Ends the command with the usage, a message and status 2."""
        super().error(printable(message))


def add_exp_dir(parser: argparse.ArgumentParser, default: Optional[str] = None) -> None:
    """Adds `--exp_dir FOLDER` and `--model NAME`. One of them may be given; either sets `exp_dir` to a folder.

    Args:
      parser: the parser.
      default: the name of the pretrained model that is used if neither is given; None: exp_dir is None then.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--exp_dir", default=default and os.path.join(pretrained.FOLDER, default), help=(
        f"experiment folder (default: the pretrained model {default})" if default else "experiment folder"))
    group.add_argument("--model", dest="exp_dir", type=_pretrained_folder, metavar="NAME", help=model_help())


def model_help() -> str:
    """Describes the option `--model`."""
    return f"a pretrained model, in place of --exp_dir: {', '.join(pretrained.list())}"


def _pretrained_folder(name: str) -> str:
    try:
        return pretrained.path(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}. An experiment folder is named by --exp_dir") from error


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Adds `--set TEXT`, which may be repeated; the parsed arguments have the texts as the list `overrides`."""
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="TEXT", help=(
        "change fields of the configuration for this run, e.g. --set 'train_config { num_steps: 100 }'. Give --set as "
        "often as you like; a later one wins. A list that you name, such as batch_size, replaces the file's"))


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Adds `--trust`, which the parsed arguments have as `trust`."""
    parser.add_argument("--trust", action="store_true", help=(
        "run the Python code that the configuration names, wherever it is. Without --trust, code that is not in an "
        "experiment folder of the working directory runs only if you agree on the terminal"))


def read_experiment(exp_dir: str, overrides: Sequence[str] = (), num_clones: int = 1, *, trust: bool = False) -> Any:
    """Reads and checks the configuration of an experiment folder. The log names fields that have no effect.

    If the configuration names foreign code (aster/trust.py), asks on the terminal whether it may run.

    Args:
      exp_dir: the experiment folder, which holds config/trainval.prototxt.
      overrides: texts of --set, each a piece of configuration that is merged into the file's.
      num_clones: the number of clones that share each batch.
      trust: whether foreign code may run without a question.

    Returns:
      A TrainEvalPipelineConfig.

    Raises:
      ConfigError: the folder is missing or the configuration can't be used. The message names file, line and field.
        Or foreign code may not run.
    """
    from aster.config import ConfigError, check_clones, read_config, unused_fields
    if not os.path.isdir(exp_dir):
        hint = f"; for the pretrained model of that name: --model {exp_dir}" if exp_dir in pretrained.list() else ""
        raise ConfigError(f"{exp_dir}: no such experiment folder{hint}")
    config = read_config(exp_dir, overrides)
    check_clones(config, num_clones, exp_dir)
    unused = unused_fields(config)
    if unused:
        _log.info("these fields have no effect: %s", ", ".join(unused))
    if not trust:
        _check_trust(config, exp_dir)
    return config


def _check_trust(config: Any, exp_dir: str) -> None:
    """Asks before foreign code runs. Where nobody can answer, or the answer is no, raises ConfigError."""
    from aster.config import ConfigError
    from aster.trust import foreign_functions
    functions = foreign_functions(config, exp_dir)
    if not functions:
        return
    what = (f"{exp_dir}: this configuration runs Python code that is not in an experiment folder of the working "
            f"directory: {', '.join(functions)}")
    if sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty():
        print(printable(f"{what}\nRun it? [y/N] "), end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise ConfigError(f"{what}. It has not run. If you trust it, repeat the command with --trust")


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds `--checkpoint`, which the parsed arguments have as `checkpoint`; `find_checkpoint` takes it."""
    parser.add_argument("--checkpoint", metavar="STEP|best|latest|PATH", help=(
        "the checkpoint to use: the one of a step of EXP_DIR/log, the best one (EXP_DIR/log/best), the latest one, or "
        "the path of any other (default: latest)"))


def find_checkpoint(exp_dir: str, choice: Optional[str] = None) -> str:
    """Finds a checkpoint of an experiment folder.

    Args:
      exp_dir: the experiment folder.
      choice: what `--checkpoint` names: a step, "best", "latest", or a path; None: the latest.

    Returns:
      The checkpoint's path.

    Raises:
      CheckpointError: there is none. The message tells which there are.
    """
    from aster import checkpoint
    log_dir = os.path.join(exp_dir, "log")
    paths = checkpoint.list_checkpoints(log_dir)
    if choice == "best":
        if not checkpoint.list_checkpoints(os.path.join(log_dir, checkpoint.BEST)):
            raise checkpoint.CheckpointError(
                f"{log_dir}: no best checkpoint. Training keeps one where train_config.eval_num_examples is set")
        return checkpoint.find_checkpoint(os.path.join(log_dir, checkpoint.BEST))
    if choice and choice.isdecimal():
        of_step = [path for path in paths if checkpoint.step_of(path) == int(choice)]
        if not of_step:
            steps = ", ".join(str(checkpoint.step_of(path)) for path in paths) or "none"
            raise checkpoint.CheckpointError(f"{log_dir}: no checkpoint of step {int(choice)}; there are: {steps}")
        return of_step[-1]
    if choice and choice != "latest":
        return checkpoint.find_checkpoint(choice)
    if not paths:
        raise checkpoint.CheckpointError(
            f"{log_dir}: no checkpoint. Train the experiment first: python -m aster.train --exp_dir {exp_dir}, "
            f"or copy a checkpoint into {log_dir}. The pretrained model needs no --exp_dir")
    return checkpoint.find_checkpoint(log_dir)


def start_tensorflow() -> None:
    """Imports TensorFlow and makes its devices, without the lines that it prints on every machine."""
    if "tensorflow" in sys.modules:
        return
    with start_up_noise_hidden():
        from aster.compat import num_gpus
        num_gpus()  # complains of a missing driver once, here


@contextlib.contextmanager
def start_up_noise_hidden(also: str = "") -> Iterator[None]:
    """Keeps TensorFlow's start-up lines off stderr, and lets all others through.

    TensorFlow writes them to file descriptor 2 itself, whatever its log level. A process of its own filters them, so
    that nothing is lost if this one crashes.

    Args:
      also: an extended regular expression of more lines to hide.

    Yields:
      Nothing.
    """
    grep = shutil.which("grep")
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        stderr = -1
    if not grep or stderr < 0:
        yield
        return
    has_driver = bool(glob.glob("/dev/nvidia*")) or os.path.exists("/dev/dxg")  # the second: Windows' Linux
    pattern = _START_UP_NOISE + ("" if has_driver else _NO_GPU_NOISE) + (f"|{also}" if also else "")
    # in a session of its own, since Ctrl-C is for the command: the filter ends when all has passed through it
    noise_filter = subprocess.Popen([grep, "--text", "--line-buffered", "--invert-match", "--extended-regexp", pattern],
                                    stdin=subprocess.PIPE, stdout=stderr, start_new_session=True)
    assert noise_filter.stdin is not None
    os.dup2(noise_filter.stdin.fileno(), 2)
    noise_filter.stdin.close()
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        noise_filter.wait()


def say(text: str) -> None:
    """Prints a result to stdout: without control characters, and with escapes for what its encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), flush=True)


def write_json(path: str, value: Any) -> None:
    """Writes a value to a file as JSON. See `write_text`."""
    write_text(path, lambda stream: stream.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n"))


def write_text(path: str, write: Callable[[TextIO], Any]) -> None:
    """Writes a text file whole or not at all.

    A failure leaves the old file as it was; see `files.written_whole`. Devices and pipes are written to directly. Names
    of files that are not UTF-8 are written with escapes, which JSON reads back.

    Args:
      path: the file.
      write: a function that writes the text to the stream that it is given.

    Raises:
      OSError: it can't be written. The error names the file.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with errors_name(path), _open_for_text(path) as stream:
            write(stream)
        return
    with written_whole(path) as temporary, _open_for_text(temporary) as stream:
        write(stream)


def _open_for_text(path: str) -> TextIO:
    return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="")


def check_writable(path: str, is_folder: bool = False) -> None:
    """Raises OSError before long work whose result could not be written to `path`. It leaves nothing behind."""
    folder = os.path.abspath(path) if is_folder else os.path.dirname(os.path.realpath(path))
    try:
        if not is_folder:
            if os.path.isdir(path) or path.endswith(os.sep):
                raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file")
            if os.path.exists(path) and not os.path.isfile(path):
                return
            _check_replaceable(path)
        while not os.path.exists(folder):  # the missing ones are made with the result
            folder = os.path.dirname(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"can't be written: {error.strerror}", path) from error


def _check_replaceable(path: str) -> None:
    """Raises ValueError if a result would replace a file that is none: a checkpoint, records, an image, a file of an
    experiment."""
    if not os.path.isfile(path):
        return
    with open(path, "rb") as stream:
        start = stream.read(4096)
    try:  # the last character may be cut off here, which this decoder allows
        is_text = "\0" not in codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        is_text = False
    name = os.path.basename(os.path.realpath(path))
    if not is_text or name in _NEVER_RESULTS or name.endswith((".characters.json", ".prototxt")):
        raise ValueError(f"{path}: it exists and is no result of this command, and would be overwritten; name another "
                         "file")


def check_no_input(path: str, inputs: Iterable[str]) -> None:
    """Raises ValueError if a file to write is one of those to read, by whatever name."""
    for other in inputs:
        if os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other) and os.path.isfile(path):
            raise ValueError(f"{path}: it is also read, and would be overwritten; name another file")


@safe_for_terminal()
def run(main: Callable[[], None]) -> None:
    """Runs a command's main function. An error that the user can repair ends it with one line and status 1."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.captureWarnings(True)
    for noisy in ("tensorflow", "absl", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        importlib.import_module("aster.config")  # says at once, before any argument, what is missing or not built
        main()
    except KeyboardInterrupt:
        _log.error("interrupted")
        sys.exit(130)
    except TrainingStopped as stopped:
        _log.error("%s", stopped)
        sys.exit(stopped.status)
    except ModuleNotFoundError as error:
        missing = (error.name or str(error)).split(".")[0]
        if missing == "aster":  # a mistake of ours: the traceback is needed
            raise
        package = {"google": "protobuf", "PIL": "pillow"}.get(missing, missing)
        sys.exit(f"error: the package {package} is missing in {sys.executable}; "
                 "run: source .venv-tf2/bin/activate, or see Install in README.md")
    except OSError as error:
        sys.exit(f"error: {describe(error)}")
    except ValueError as error:
        sys.exit(f"error: {error}")
    except ImportError as error:
        sys.exit(f"error: {cause(error)}")
    except MemoryError as error:
        sys.exit(f"error: out of memory: {cause(error)}")
    except Exception as error:
        if "tensorflow" not in type(error).__module__:  # a mistake of ours: the traceback is needed
            raise
        _log.debug("in TensorFlow", exc_info=True)
        sys.exit(f"error: TensorFlow failed: {cause(error)}")
