"""The rules of ARCHITECTURE.md and CONTRIBUTING.md that a machine can check, by looking at the source."""
import ast
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def library_files():
    """Paths of the library's Python files, from the root of the checkout."""
    for folder, _, names in os.walk(os.path.join(ROOT, "aster")):
        for name in sorted(names):
            if name.endswith(".py") and not name.endswith("_pb2.py"):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def parse(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as stream:
        return ast.parse(stream.read(), path)


def layers():
    """{name: number of its layer, 0 at the top} of ARCHITECTURE.md's section "Layers", which has a line a layer."""
    with open(os.path.join(ROOT, "ARCHITECTURE.md"), encoding="utf-8") as stream:
        section = re.search(r"^## Layers$(.*?)(?=^## |\Z)", stream.read(), re.MULTILINE | re.DOTALL).group(1)
    lines = re.findall(r"^(?:[-\d.]+ +)?(\w+(?:, *\w+)*)$", section.replace("`", ""), re.MULTILINE)
    return {name: number for number, line in enumerate(lines) for name in re.split(", *", line)}


def part(path):
    """The name by which a layer knows a file: that of its folder in aster/, or its own."""
    return path.split(os.sep)[1].partition(".")[0]


def imported_parts(tree):
    """Yields (line, name in aster/) of each import of a file, also of those inside functions."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("aster."):
                yield node.lineno, name.split(".")[1]


def test_every_file_has_a_layer():
    parts = {part(path) for path in library_files()} - {"__init__"}
    assert parts == set(layers())


@pytest.mark.parametrize("path", library_files())
def test_a_file_imports_from_its_own_layer_or_a_lower_one(path):
    if part(path) == "__init__":
        return  # the library's public names
    number = layers()
    upward = [f"{path}:{line} imports {name}" for line, name in imported_parts(parse(path))
              if number[name] < number[part(path)]]
    assert not upward


def public_functions(body):
    """Yields the functions and methods that a file or class offers, __init__ included."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)
        elif isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            yield node


@pytest.mark.parametrize("path", library_files())
def test_public_functions_have_annotations_and_a_docstring(path):
    for function in public_functions(parse(path).body):
        where = f"{path}:{function.lineno} {function.name}"
        arguments = [argument for argument in function.args.args + function.args.kwonlyargs
                     if argument.arg not in ("self", "cls")]
        assert all(argument.annotation for argument in arguments), where
        if function.name != "__init__":  # the class may describe its arguments
            assert function.returns is not None and ast.get_docstring(function), where


def version_questions(path):
    """Yields (name, line) where a file asks which TensorFlow or Python this is."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(getattr(node, "ctx", None), ast.Load):
            names = [getattr(node, "attr", None) or getattr(node, "id", None)]
        else:
            continue
        for name in {"IS_TF1", "__version__", "version_info"}.intersection(names):
            yield name, node.lineno


def test_only_compat_asks_for_a_version():
    """doctor.py also asks which Python this is, since it runs where TensorFlow, and so compat.py, can't be imported."""
    found = {(os.path.basename(path), name) for path in library_files() for name, _ in version_questions(path)}
    assert found == {("compat.py", "IS_TF1"), ("compat.py", "__version__"), ("doctor.py", "version_info")}


@pytest.mark.parametrize("name", ["train", "launch", "eval", "demo", "export", "new", "doctor"])
def test_a_command_has_its_console_script(name):
    """setup.py makes the script aster-NAME of the function cli."""
    functions = [node.name for node in parse(os.path.join("aster", name + ".py")).body
                 if isinstance(node, ast.FunctionDef)]
    assert {"main", "cli"} <= set(functions)


def test_every_session_has_the_shared_configuration():
    """Otherwise it would wait forever in a process that was forked after TensorFlow was used; see compat.was_forked."""
    files = list(library_files()) + [os.path.join("tools", name) for name in os.listdir(os.path.join(ROOT, "tools"))
                                     if name.endswith(".py")]
    calls = [(path, node) for path in files for node in ast.walk(parse(path))
             if isinstance(node, ast.Call) and getattr(node.func, "attr", "").endswith("Session")]
    without = [f"{path}:{call.lineno}" for path, call in calls
               if not any(keyword.arg == "config" for keyword in call.keywords)]
    assert len(calls) > 5 and not without
