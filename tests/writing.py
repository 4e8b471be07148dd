"""Writes the files that tests read."""
import os


def put(folder, name, content):
    """Writes bytes, or text as UTF-8, to a file, whose folder it makes -> its path."""
    path = os.path.join(str(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path
