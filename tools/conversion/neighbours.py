"""Finds the lists and the images of ICDAR 2013 and 2015, which come in different archives.

Another split of the set may be near, with images of the same names. So a folder is taken for the images of a list that
lies elsewhere only if the two have nearly the same names.
"""
import os
import re
import sys
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

from conversion.convert import Skipped, SourceError

from aster.errors import printable

_COMMON = 0.9  # the share of names in common; two splits of IC13 or IC15 have at most 77 %
_IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")


class Words(NamedTuple):
    """A list of word images."""
    path: str
    items: List[Any]  # what the list's reader gives
    folder: str  # of the images


def find_set(data_dir: str, names: Sequence[str], read: Callable[[str], List[Any]], *, task: Optional[str] = None
             ) -> Tuple[List[Tuple[str, str, str]], Optional[Words]]:
    """Finds photos with boxes or word images: in a folder and the folders in it, or else in those beside it.

    Args:
      data_dir: the folder of the set. It has the lists or the images, or both.
      names: the names that a list of word images may have, the best one first.
      read: reads such a list, and gives (image name, ...) or Skipped for each line.
      task: "1" finds photos only, "3" word images only.

    Returns:
      (path of a gt_img_N.txt, folder of its photo, name of its photo) of each photo, or else the Words.

    Raises:
      SourceError: there is no list, or it is not clear where its images are.
    """
    inside, near = [folder for folder, _, _ in os.walk(data_dir)], _beside(data_dir)
    for folders in inside, near:
        photos = [] if task == "3" else _find_photos(folders, inside, near)
        if photos:
            return photos, None
        words = None if task == "1" else _find_words(folders, names, read, inside=inside, near=near)
        if words:
            return [], words
    wanted = [["folder of gt_img_*.txt"] if task == "1" else [], list(names) if task == "3" else []]
    wanted = sum(wanted, []) or [*names, "folder of gt_img_*.txt"]
    raise SourceError(f"{data_dir} has no {' or '.join(wanted)} that fits its images, and the folders beside it have "
                      "none; --data_dir is the folder of the data set as it was unpacked")


def _beside(data_dir):
    """The folder that a folder is in, and the other folders there."""
    parent = os.path.dirname(os.path.realpath(data_dir))
    paths = [os.path.join(parent, name) for name in sorted(os.listdir(parent))] if os.access(parent, os.R_OK) else []
    return [parent] + [path for path in paths if os.path.isdir(path) and not os.path.samefile(path, data_dir)]


def _find_photos(folders, inside, near):
    photos = []
    for folder in folders:
        box_files = {name: name[len("gt_"):-len(".txt")] + ".jpg" for name in _names(folder)
                     if re.fullmatch(r"gt_img_.*\.txt", name)}
        images = _find_images(folder, list(box_files.values()), inside=inside, near=near)
        if images:
            photos += [(os.path.join(folder, name), images, photo) for name, photo in box_files.items()]
    return sorted(photos, key=lambda photo: (int(re.sub(r"[^0-9]", "", photo[2]) or 0), photo[0]))


def _find_words(folders, names, read, *, inside, near):
    found = []
    for folder in folders:
        path = next((path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)), None)
        if path is None:
            continue
        try:
            items = read(path)
        except SourceError:
            if folder in inside:
                raise
            continue  # a list of something else
        images = _find_images(folder, [item[0] for item in items if not isinstance(item, Skipped)], inside=inside,
                              near=near)
        if images:
            found.append(Words(path, items, images))
            if folder == inside[0]:
                break
    if len(found) > 1:
        raise SourceError(f"there are several lists: {', '.join(words.path for words in found)}; give --data_dir the "
                          "folder of one of them")
    return found[0] if found else None


def _find_images(folder, names, *, inside, near):
    """The folder of the images that a list in `folder` names. None if that list is none of this set, which has its
    list or its images in the folders `inside`."""
    if folder in inside and (not names or any(os.path.exists(os.path.join(folder, name)) for name in names)):
        return folder
    for candidates in [inside, near] if folder in inside else [inside]:
        same = [candidate for candidate in candidates if _has_same(candidate, set(names))]
        if len(same) > 1:
            raise SourceError(f"the images of {folder} may be those of {' or '.join(same)}; move the lists to their "
                              "images")
        if same:
            print(printable(f"the images of {folder} are those of {same[0]}"), file=sys.stderr)
            return same[0]
    if folder in inside:
        raise SourceError(f"{folder} has none of the {len(names)} images that its lists name, such as {names[0]}, and "
                          f"no folder in {inside[0]} or beside it has just these images; put them into {folder}")
    return None


def _has_same(folder, names):
    """Tells whether a folder has the images of a list: nearly all of them, and hardly any others."""
    if not any(os.path.exists(os.path.join(folder, name)) for name in names):
        return False
    images = {name for name in _names(folder) if name.lower().endswith(_IMAGES)}
    return len(images & names) >= _COMMON * len(images | names)


def _names(folder):
    return sorted(os.listdir(folder)) if os.access(folder, os.R_OK) else []
