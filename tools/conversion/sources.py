"""Reads the files that data sets are made of: images and XML."""
import functools
import io
import os
from typing import Iterable, Iterator, List
from xml.etree.ElementTree import Element

from conversion.convert import SourceError
from conversion.geometry import Box
from PIL import Image


def inside(data_dir: str, name: str) -> str:
    """Finds a file that a list names.

    Args:
      data_dir: the folder of the data set.
      name: the file's name as the list has it, with / or \\ between folders.

    Returns:
      The path of the file.

    Raises:
      ValueError: the name leads out of data_dir.
    """
    folder, base = os.path.split(name.replace("\\", "/"))
    path = os.path.join(_folder_inside(data_dir, folder), base)
    if os.path.islink(path) or base in ("", ".", ".."):
        _folder_inside(data_dir, os.path.join(folder, base))
    return path


@functools.lru_cache(maxsize=1024)  # some folders have millions of files
def _folder_inside(data_dir, folder):
    root = os.path.realpath(data_dir).rstrip(os.sep)
    path = os.path.realpath(os.path.join(root, folder))
    if path != root and not path.startswith(root + os.sep):
        raise ValueError("names a file outside of --data_dir; names must lead to files in this folder")
    return path


def read_file(data_dir: str, name: str) -> bytes:
    """Reads a file that a list names.

    Args:
      data_dir: the folder of the data set.
      name: the file's name as the list has it.

    Returns:
      The content.

    Raises:
      ValueError: the name leads out of data_dir, or is that of a folder or a pipe, or there is no such file.
      OSError: the file can't be read.
    """
    path = inside(data_dir, name)
    if not os.path.exists(path):
        raise ValueError(f"No such file in {data_dir}")
    return read_bytes(path)


def read_bytes(path: str) -> bytes:
    """Reads a file.

    Args:
      path: the file.

    Returns:
      The content.

    Raises:
      ValueError: it is a folder, a pipe or a device. A pipe may never end.
      OSError: the file can't be read.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("it is a folder, a pipe or a device; expected a file")
    with open(path, "rb") as stream:
        return stream.read()


def find(data_dir: str, *names: str) -> str:
    """Finds the file that a data set is known by.

    Args:
      data_dir: the folder of the data set.
      *names: the names that the file may have, the best one first.

    Returns:
      The path of the first one that exists.

    Raises:
      SourceError: there is none of them.
    """
    for name in names:
        if os.path.exists(os.path.join(data_dir, name)):
            return os.path.join(data_dir, name)
    raise SourceError(f"{data_dir} has no {' or '.join(names)}; --data_dir is the folder of the data set as it was "
                      "unpacked")


def find_list(data_dir: str, path: str) -> str:
    """Finds the file that --list names.

    Args:
      data_dir: the folder of the data set.
      path: the path, from the working directory or from data_dir.

    Returns:
      The path of the file.

    Raises:
      SourceError: neither folder has it.
    """
    return path if os.path.exists(path) else find(data_dir, path)


def read_xml(path: str) -> Element:
    """Reads an XML file. Entities are refused, because with them a few bytes can fill the memory.

    Args:
      path: the file.

    Returns:
      The root.

    Raises:
      SourceError: the file is damaged or has entities.
    """
    import defusedxml
    from defusedxml import ElementTree
    try:
        return ElementTree.fromstring(read_bytes(path))
    except defusedxml.DefusedXmlException as error:
        raise SourceError(f"{path} defines entities or refers to other files ({error}); it is not opened") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two for encodings
        raise SourceError(f"{path} is no XML: {error}") from error


def alphabetical(words: Iterable[str]) -> List[str]:
    """Sorts a lexicon, so that nothing in its order tells which word is the right one.

    Args:
      words: the words. Published sets often have the right one first.

    Returns:
      The words in alphabetical order, case ignored.
    """
    return sorted(words, key=lambda word: (word.lower(), word))


def tagged_images(path: str) -> List[tuple]:
    """Reads the XML file of SVT or IC03.

    Args:
      path: the file.

    Returns:
      (file name, lexicon, [(x, y, width, height, text)]) of each photo, in pixels. A side that is not a number is nan.

    Raises:
      SourceError: the file is damaged or has entities.
    """
    images = []
    for node in read_xml(path).iter("image"):
        words = []
        for rectangle in node.iter("taggedRectangle"):
            sides = []
            for side in ("x", "y", "width", "height"):
                try:
                    sides.append(float(rectangle.get(side)))
                except (TypeError, ValueError):
                    sides.append(float("nan"))
            words.append(tuple(sides) + ((rectangle.findtext("tag") or "").strip(),))
        lexicon = alphabetical(word for word in (node.findtext("lex") or "").split(",") if word)
        images.append(((node.findtext("imageName") or "").strip(), lexicon, words))
    return images


def open_image(data_dir: str, name: str) -> Image.Image:
    """Opens and decodes an image that a list names.

    Args:
      data_dir: the folder of the data set.
      name: the file's name as the list has it.

    Returns:
      The image.

    Raises:
      ValueError: the image is damaged, its name leads out of data_dir, or there is no such file.
      OSError: the file can't be read.
    """
    from aster.data import image
    return image.open_image(read_file(data_dir, name))


def crop_to_jpeg(image: Image.Image, box: Box) -> bytes:
    """Crops a word.

    Args:
      image: the photo.
      box: the part of it.

    Returns:
      A JPEG file of Pillow's default quality, as published. It is opaque, see `pixels.to_rgb`.
    """
    from aster.data.pixels import has_transparency, to_rgb
    word = image.crop(box)
    if word.mode not in ("L", "RGB", "CMYK") or has_transparency(word):
        word = to_rgb(word)
    stream = io.BytesIO()
    word.save(stream, "JPEG")
    return stream.getvalue()


def read_word_image(folder: str, item: tuple) -> Iterator:
    """Reads an image that is a word. Its bytes are kept as they are.

    Args:
      folder: the folder of the data set.
      item: (name, text), (name, text, lexicon) or (name, text, lexicon, keypoints).

    Yields:
      The Sample.

    Raises:
      ValueError: the name leads out of the folder, or there is no such file.
      OSError: the file can't be read.
    """
    from aster.data.example import Sample
    yield Sample(read_file(folder, item[0]), item[1], *item[2:], filename=item[0])
