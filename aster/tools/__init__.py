"""The converters, the word renderer and the other tools, where the library is installed: python -m aster.tools NAME.

In a checkout they are the scripts in tools/.
"""
import glob
import os
from typing import List

from aster import command
from aster.files import shipped_folder

FOLDER = shipped_folder(os.path.join("tools", "scripts"), "tools")


def names() -> List[str]:
    """Returns the names of the tools that a user runs, sorted."""
    return sorted(name for name in (os.path.splitext(os.path.basename(path))[0]
                                    for path in glob.glob(os.path.join(glob.escape(FOLDER), "*.py")))
                  if name.startswith(("create_", "extract_", "inspect_", "pack_")))


def main() -> None:
    """Runs the tool that the first argument names, with the others."""
    import runpy
    import sys
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("", "-h", "--help"):
        command.say("usage: python -m aster.tools NAME [options]\n\n" + "\n".join("  " + name for name in names())
                    + "\n\npython -m aster.tools NAME --help explains one.")
        return
    if name not in names():
        sys.exit(f"aster.tools: there is no {name!r}; expected one of: {', '.join(names())}")
    sys.argv = sys.argv[1:]
    sys.path.insert(0, FOLDER)  # a script's own folder comes first
    runpy.run_path(os.path.join(FOLDER, name + ".py"), run_name="__main__")
