"""Calls the ops with inputs that are wrong in one way or several, and counts what comes of it.

    python tests/stress/fuzz_ops.py [--calls N] [--seed S]

An op must give a value or refuse its inputs with an error. The calls are made in a child process. A crash, a call that
takes a minute, or any other error is a fault: it is printed, and the next call goes on in a new child. The same seed
makes the same calls. With faults the status is 1.
"""
import argparse
import collections
import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from typing import Any, Dict, List, Tuple

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

TIME_LIMIT = 60  # seconds
HUGE = (2 ** 17 + 1, 2 ** 30, 2 ** 31, 2 ** 40, 2 ** 62)
WHOLE_NUMBERS = (-2 ** 31, -2, -1, 0, 1, 2, 3, 7, 1000, 10001, 2 ** 31 - 1, 2 ** 31, 2 ** 40)
NUMBERS = (np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-42, 0.0)
DTYPES = ("float32", "float64", "float16", "int32", "int64", "bool", "str")
ATTRIBUTES = ("lengths", "beam_width", "max_num_steps", "start_label", "end_label", "pad_label", "forget_bias")

# The shapes of the ops' inputs, a letter for each size; see _choose_sizes.
_ATTENTION = dict(state_kernel="UZ", keys="BTA", values="BTG", v="NA")
_STEPS = dict(c="BSU", gates="BSG", queries="BSQ", alignments="BST", d_h="BSU")
SHAPES: Dict[str, Dict[str, str]] = {
    "spline_grid": dict(points="BK2", inverse="KC", lift="CP"),
    "bilinear_sample": dict(images="BHWD", grid="BP2"),
    "aster_bilinear_sample_grid_grad": dict(images="BHWD", grid="BP2", d_samples="BPD"),
    "aster_bilinear_sample_image_grad": dict(images="BHWD", grid="BP2", d_samples="BPD"),
    "lstm": dict(inputs="BSG", state_kernel="UG"),
    "attention_lstm": dict(_ATTENTION, inputs="BSG"),
    "aster_attention_lstm_grad": dict(_ATTENTION, **_STEPS),
    "beam_search": dict(_ATTENTION, label_inputs="LG", dense_kernel="UL", dense_bias="L"),
}
MOST_VALUES = 10 ** 7  # of a right input


class Call:
    """An op, what it gets (arrays and attributes), and in which ways that is wrong."""

    def __init__(self, name: str, inputs: Dict[str, Any], mistakes: List[str]):
        self.name, self.inputs, self.mistakes = name, inputs, mistakes

    def arrays(self) -> List[str]:
        return sorted(name for name, value in self.inputs.items() if isinstance(value, np.ndarray))

    def __str__(self) -> str:
        shown = {name: f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else value
                 for name, value in sorted(self.inputs.items())}
        return f"{self.name} {shown}: {', '.join(self.mistakes) or 'right'}"


def make_call(random: np.random.RandomState) -> Call:
    """Makes a right call, or in nine of ten cases one with up to three mistakes."""
    name = random.choice(sorted(SHAPES) + ["beam_search"] * 4)
    is_right = random.rand() < 0.1
    sizes, lengths = _choose_sizes(random)
    mistakes = [] if is_right or random.rand() < 0.7 else _spoil_sizes(name, sizes, lengths, random)
    dtype = "float32" if name == "spline_grid" else random.choice(["float32", "float64"])
    inputs: Dict[str, Any] = {key: _array([sizes.get(letter, 2) for letter in shape], dtype, random)
                              for key, shape in SHAPES[name].items()}
    inputs.update(_attributes(name, lengths, sizes, random))
    call = Call(name, inputs, mistakes)
    if not is_right and not (mistakes and random.rand() < 0.5):
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            with contextlib.suppress(MemoryError, ValueError):  # numpy can't make such an array
                _make_mistake(call, random)
    return call


def _choose_sizes(random):
    """-> {letter: size}, and the length of each memory."""
    lengths = [random.randint(1, 6) for _ in range(random.randint(1, 4))]
    sizes = {letter: random.randint(1, most) for letter, most in dict(B=5, S=6, U=20, A=9, H=7, W=7, D=5, P=90).items()}
    sizes.update(N=len(lengths), T=sum(lengths), L=random.randint(3, 12), K=random.randint(4, 9),
                 C=random.randint(4, 12))
    _derive(sizes)
    return sizes, lengths


def _derive(sizes):
    """Adds the sizes that others give: gates, queries, and both together."""
    sizes.update(G=4 * sizes["U"], Q=sizes["N"] * sizes["A"])
    sizes["Z"] = sizes["G"] + sizes["Q"]


def _spoil_sizes(name, sizes, lengths, random):
    """Makes one size 0, and perhaps others huge, in all inputs of an op alike -> what was done."""
    letters = sorted(set("".join(SHAPES[name].values())) & set("BSUATNKCPHWDL"))
    zero = random.choice(letters)
    sizes[zero] = 0
    if zero in "TN":
        sizes["N"], sizes["T"], lengths[:] = 0, 0, []
    huge = [letter for letter in random.choice(letters, random.randint(3)) if letter not in (zero, "N")]
    sizes.update((letter, int(random.choice(HUGE))) for letter in huge)
    _derive(sizes)
    return [f"{zero} is 0"] + [f"{letter} is {sizes[letter]}" for letter in huge]


def _array(shape, dtype, random):
    """Random numbers. Where there would be too many, there are none: a size of the shape is 0 then."""
    if np.prod([float(size) for size in shape]) > MOST_VALUES:
        shape = [0 if size == max(shape) else size for size in shape]
    try:
        return random.normal(size=shape).astype(dtype) if 0 not in shape else np.zeros(0, dtype).reshape(shape)
    except ValueError:  # numpy has no array of such sizes, even an empty one
        return np.zeros([min(size, 2) for size in shape], dtype)


def _attributes(name, lengths, sizes, random):
    """-> what an op gets besides its arrays of floats."""
    if "lstm" not in name and name != "beam_search":
        return {}
    found: Dict[str, Any] = {} if name == "lstm" else dict(lengths=lengths, forget_bias=1.0)
    if "attention" in name:
        found.update(attend_first=bool(random.randint(2)), reverse=bool(random.randint(2)))
    if name == "beam_search":
        found.update(beam_width=random.randint(1, 5), max_num_steps=random.randint(1, 9), start_label=0, end_label=1,
                     pad_label=-1)
        if random.rand() < 0.7:
            found.update(zip(("tree_starts", "tree_labels", "tree_nodes"), _tree(random, min(sizes["L"], 12))))
    return found


def _tree(random, num_labels):
    from aster.model.prefix_tree import prefix_tree
    return prefix_tree([random.randint(2, max(3, num_labels), random.randint(1, 5)).tolist()
                        for _ in range(random.randint(1, 6))])


def _operation(call, inputs):
    """The op's outputs. A gradient has no public name."""
    from aster.c_ops import ops
    inputs = dict(inputs)
    if call.name == "beam_search":
        tree = [inputs.pop(name) for name in ("tree_starts", "tree_labels", "tree_nodes") if name in inputs]
        return ops.beam_search(tree=tree or None, **inputs)
    return getattr(ops._ops if call.name.startswith("aster_") else ops, call.name)(**inputs)


def _make_mistake(call, random):
    """Changes an input of the call in a way of its own."""
    attributes = [name for name in ATTRIBUTES if name in call.inputs]
    trees = [name for name in call.arrays() if name.startswith("tree_")]
    kinds = [_reshape, _resize, _resize, _empty, _fill, _retype]
    if attributes:
        kinds += [lambda call, name, random: _set_attribute(call, random.choice(attributes), random)] * 3
    if trees:
        kinds += [lambda call, name, random: _spoil_tree(call, random.choice(trees), random)] * 10
    kinds[random.randint(len(kinds))](call, random.choice(call.arrays()), random)


def _replace(call, name, array, mistake):
    call.inputs[name] = array
    call.mistakes.append(f"{name} {mistake}")


def _reshape(call, name, random):
    array = call.inputs[name]
    shapes = [(1,) + array.shape, array.shape + (1,), array.shape[::-1], (array.size,)]
    shapes += [()] if array.size == 1 else []
    _replace(call, name, array.reshape(shapes[random.randint(len(shapes))]), "of another shape")


def _resize(call, name, random):
    array = call.inputs[name]
    if array.ndim and array.size:
        axis = random.randint(array.ndim)
        size = max(0, array.shape[axis] + random.choice([-array.shape[axis], -2, -1, 1, 2, 50]))
        _replace(call, name, np.take(array, np.arange(size) % array.shape[axis], axis), f"of another size {size}")


def _empty(call, name, random):
    shape = list(call.inputs[name].shape)
    if shape:
        shape[random.randint(len(shape))] = 0
        _replace(call, name, np.zeros(shape, call.inputs[name].dtype), f"empty {shape}")


def _fill(call, name, random):
    array = call.inputs[name].copy()
    if array.dtype.kind == "f" and array.size:
        number = NUMBERS[random.randint(len(NUMBERS))]
        with np.errstate(over="ignore"):
            array.reshape(-1)[random.randint(array.size, size=random.randint(1, array.size + 1))] = number
        _replace(call, name, array, f"with {number}")


def _retype(call, name, random):
    dtype = random.choice(DTYPES)
    with np.errstate(all="ignore"):
        _replace(call, name, call.inputs[name].astype(dtype), f"as {dtype}")


def _set_attribute(call, name, random):
    value = int(random.choice(WHOLE_NUMBERS))
    if name == "lengths":
        call.inputs[name] = [[], [0], [value], [1, value], [0, 0], [2 ** 31 - 1] * 3][random.randint(6)]
    else:
        call.inputs[name] = random.choice(NUMBERS) if name == "forget_bias" else value
    call.mistakes.append(f"{name} {call.inputs[name]}")


def _spoil_tree(call, name, random):
    array = call.inputs[name].copy()
    if array.dtype != np.int32 or array.ndim != 1 or not array.size:
        return
    at = random.randint(array.size)
    kinds = {"of one element": lambda: array[:1], "empty": lambda: array[:0], "backwards": lambda: array[::-1],
             "zeros": lambda: array * 0, "all alike": lambda: array * 0 + array[at],
             "shifted": lambda: array + random.choice([-1, 1, 2, 1000])}
    kind = random.choice(sorted(kinds) + ["a number"] * 6)
    if kind == "a number":
        array[at] = random.choice([-2 ** 31, -1, 0, 1, array[at] + 1, 1000, 2 ** 31 - 1])
        _replace(call, name, array, f"with {array[at]} at {at}")
    else:
        _replace(call, name, kinds[kind](), kind)


def make(call: Call, random: np.random.RandomState) -> str:
    """Makes a call.

    Args:
      call: which one.
      random: decides whether the inputs are constants, so that TensorFlow checks the shapes, or are fed.

    Returns:
      "a value", or the name of the error that refused it.

    Raises:
      Exception: of another kind than an op or TensorFlow may refuse inputs with; or a right call was refused.
    """
    from aster.compat import tf
    errors = tf.errors
    refusals = (errors.InvalidArgumentError, errors.ResourceExhaustedError, ValueError, TypeError, OverflowError,
                MemoryError)  # of numpy, which copies what is fed
    fed = {}
    inputs = dict(call.inputs)
    is_fed = random.rand() < 0.7
    try:
        with tf.Graph().as_default(), tf.Session() as session:
            for name in call.arrays() if is_fed else ():
                inputs[name] = tf.placeholder(tf.as_dtype(call.inputs[name].dtype))
                fed[inputs[name]] = call.inputs[name]
            outputs = _operation(call, inputs)
            session.run((outputs if isinstance(outputs, (list, tuple)) else [outputs])[0].op, fed)
    except refusals as error:
        if not call.mistakes:
            raise AssertionError(f"a right call is refused: {error}") from error
        return type(error).__name__
    return "a value"


def run_calls(seed: int, first: int, last: int) -> None:
    """Makes the calls [first, last) and prints a line before and after each: the child process."""
    warnings.simplefilter("ignore")
    for number in range(first, last):
        random = np.random.RandomState([seed, number])
        call = make_call(random)
        print(call, flush=True)
        try:
            outcome = make(call, random)
        except Exception as error:
            outcome = f"FAULT {type(error).__name__}: {error}"
        print(" ".join(outcome.split()), flush=True)


def watch_calls(seed: int, count: int) -> Tuple[Dict[str, int], List[str]]:
    """Runs all calls in children.

    Args:
      seed: of the calls.
      count: how many.

    Returns:
      {outcome: how often}, and a text for each fault.
    """
    outcomes: Dict[str, int] = collections.Counter()
    faults = []
    number = 0
    while number < count:
        command = [sys.executable, os.path.abspath(__file__), "--seed", str(seed), "--child", str(number), str(count)]
        with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, universal_newlines=True, bufsize=1) as child:
            lines: Any = queue.Queue()
            threading.Thread(target=_pass_on, args=(child.stdout, lines)).start()
            while number < count:
                call, outcome = _next(lines), _next(lines)
                if outcome is None:
                    child.kill()
                    outcome = f"FAULT {_ending(child.wait())}"
                outcomes["fault" if outcome.startswith("FAULT") else outcome] += 1
                if outcome.startswith("FAULT"):
                    errors.seek(0)
                    log = "".join(errors.readlines()[-40:]) if child.poll() is not None else ""
                    faults.append(f"call {number}: {call}\n  {outcome}\n{log}")
                    print(faults[-1], file=sys.stderr, flush=True)
                number += 1
                if child.poll() is not None and outcome.startswith("FAULT"):
                    break
    return outcomes, faults


def _pass_on(stream, lines):
    """Puts the lines of a child into a queue, and None when it ends: a thread, since a stream has no time limit."""
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def _next(lines):
    """-> a line, or None if the child has ended or takes too long."""
    try:
        return lines.get(timeout=TIME_LIMIT)
    except queue.Empty:
        return None


def _ending(status):
    if status == -signal.SIGKILL:
        return f"no answer in {TIME_LIMIT} s, or killed"
    return f"the process ended by {signal.Signals(-status).name if status < 0 else f'status {status}'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_calls(arguments.seed, *arguments.child)
        return 0
    outcomes, faults = watch_calls(arguments.seed, arguments.calls)
    counts = ", ".join(f"{outcomes[name]} {name}" for name in sorted(outcomes))
    print(f"{arguments.calls} calls, {len(faults)} faults: {counts}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
