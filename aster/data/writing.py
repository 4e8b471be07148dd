"""What all converters of data sets do: the rules for a word, its record, and the names of the files."""
import unicodedata
from typing import List

from aster.data import example, image


def shard_paths(path: str, num_shards: int) -> List[str]:
    """Names the files of an output.

    Args:
      path: what --output_path says.
      num_shards: the number of files.

    Returns:
      The path itself for one shard, else PATH-00000-of-0000N and so on.
    """
    if num_shards == 1:
        return [path]
    return [f"{path}-{i:05d}-of-{num_shards:05d}" for i in range(num_shards)]


def make_record(sample: example.Sample, lower_case: bool = False) -> bytes:
    """Makes the record of a word, if it can be trained on.

    Args:
      sample: the Sample.
      lower_case: whether its text and lexicon are converted to lower case.

    Returns:
      The bytes of a tf.train.Example.

    Raises:
      ValueError: the image can't be decoded, or the text is empty or has what nobody can see in an image.
    """
    width, height = image.check_image(sample.encoded)
    _check_texts(sample)
    if lower_case:
        sample = sample._replace(text=sample.text.lower(), lexicon=[word.lower() for word in sample.lexicon])
    return example.serialize(sample, width, height)


def _check_texts(sample: example.Sample) -> None:
    if all(character.isspace() or unicodedata.category(character) == "Cf" for character in sample.text):
        raise ValueError("its text is empty" + ", but for characters that can't be seen" * bool(sample.text))
    for character in sample.text:
        if character != "\t" and unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise ValueError(f"its text has the control character U+{ord(character):04X}")
    if any("\t" in word for word in sample.lexicon):
        raise ValueError("a word of its lexicon has a tab")
