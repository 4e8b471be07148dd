"""What the commands share: logging, and one clear line in place of a traceback."""
import contextlib
import errno
import json
import logging
import os
import sys
import tempfile

from aster.config import ConfigError, check_clones, read_config, unused_fields
from aster.errors import cause
from aster.training import TrainingStopped


def read_experiment(exp_dir, num_clones=1):
    """The checked configuration of an experiment folder; fields without effect are named in the log."""
    if not os.path.isdir(exp_dir):
        raise ConfigError(f"{exp_dir}: no such experiment folder")
    config = read_config(exp_dir)
    check_clones(config, num_clones, exp_dir)
    unused = unused_fields(config)
    if unused:
        logging.getLogger(__name__).info("these fields have no effect: %s", ", ".join(unused))
    return config


def write_json(path, value):
    write_text(path, lambda stream: stream.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n"))


def write_text(path, write):
    """write(stream) beside the file, then renames, so that a failure leaves the old one whole. Links are followed;
    devices and pipes are written to. Names of files that are not UTF-8 get escapes, which JSON reads back."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            return write(stream)
    path = os.path.realpath(path)
    try:
        with open(path + ".tmp", "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            write(stream)
        os.rename(path + ".tmp", path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(path + ".tmp")


def check_writable(path, is_folder=False):
    """Raises OSError before long work whose result could not be written to `path`."""
    folder = path if is_folder else os.path.dirname(os.path.realpath(path))
    try:
        if is_folder:
            os.makedirs(folder, exist_ok=True)
        elif os.path.isdir(path) or path.endswith(os.sep):
            raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file")
        elif os.path.exists(path) and not os.path.isfile(path):
            return
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"can't be written: {error.strerror}", path)


def run(main):
    """Runs a command's main function; errors that a user can mend end it with one line and status 1."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    for noisy in ("tensorflow", "absl"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        main()
    except KeyboardInterrupt:
        logging.getLogger(__name__).error("interrupted")
        sys.exit(130)
    except TrainingStopped as stopped:
        logging.getLogger(__name__).error("%s", stopped)
        sys.exit(stopped.status)
    except (OSError, ValueError, ImportError) as error:
        named = isinstance(error, EnvironmentError) and error.filename and error.strerror
        sys.exit("error: %s" % (f"{error.filename}: {error.strerror}" if named else error))
    except Exception as error:
        if "tensorflow" not in type(error).__module__:  # a mistake of ours: the traceback is needed
            raise
        logging.getLogger(__name__).debug("in TensorFlow", exc_info=True)
        sys.exit(f"error: TensorFlow failed: {cause(error)}")
