"""What is looked at before any training or evaluation: that there is data, and that it suits the model."""
import collections
import logging
from typing import Any, Callable, Counter, List, Optional, Sequence, Set

from aster.data import example, records
from aster.data.charset import Charset
from aster.data.filtering import list_counts, report_filtering
from aster.data.image import decode_image
from aster.data.preprocess import text_preprocessor
from aster.data.readers import OpenFile, find_files, named_readers

_log = logging.getLogger(__name__)
_MAX_TEXTS = 5000  # of each reader; reading them takes a second or so
_OPEN_FILES = 16  # at a time, so that the texts come from many files


def check_inputs(readers: Sequence[Any], steps: Sequence[Any] = (), charsets: Sequence[Charset] = (), *,
                 base_dir: Optional[str] = None, field: str = "train_input_reader", is_training: bool = True,
                 max_characters: Optional[int] = None, ctc_characters: Optional[int] = None,
                 needs_keypoints: bool = False) -> Counter[str]:
    """Looks at the data, and logs which characters are filtered out or unknown, and how many texts are too long.

    It reads the texts of the first records of each reader, and goes on until one of them has an image that can be
    decoded.

    Args:
      readers: InputReader messages.
      steps: PreprocessingStep messages. Texts are looked at as these leave them.
      charsets: the Charset of each decoder.
      base_dir: the experiment folder, in which relative paths are looked up first.
      field: the configuration's name of the readers, for messages.
      is_training: True logs what string_filtering takes out, and counts every character that a charset lacks. False
        counts only letters and digits that a charset has neither in upper nor in lower case, because evaluation
        compares nothing else.
      max_characters: length of the longest text that the model can learn; None: any.
      ctc_characters: length of the longest text from which CTC learns; None: there is no CTC.
      needs_keypoints: True logs how many records have no key points, which keypoint_supervision needs.

    Returns:
      For each character that some charset lacks, how often it was seen.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file is empty or no TFRecord file, or no record of a reader can be used, or all texts are too long
        for CTC.
    """
    preprocess_text = text_preprocessor(steps, base_dir)
    unknown: Counter[str] = collections.Counter()
    lengths: List[int] = []
    for name, reader in named_readers(readers, field):
        samples = _first_samples(find_files(reader, base_dir, name), name)
        if is_training:
            report_filtering(name, [sample.text for sample in samples], steps, base_dir=base_dir,
                             is_sample=len(samples) >= _MAX_TEXTS)
        texts = [preprocess_text(sample.text) for sample in samples]
        if needs_keypoints:
            _report_missing_keypoints(name, samples)
        if max_characters:
            _report_long_texts(name, texts, max_characters, is_training)
        if ctc_characters is not None:
            _report_unlearnt_texts(name, texts, ctc_characters)
        lengths += [len(text) for text in texts if text]
        # Decoders usually share one charset, which is reported once.
        distinct = {(charset.characters, charset.drop_unknown): charset for charset in charsets}
        for charset in distinct.values():
            unknown |= _report_unknown_characters(name, texts, charset, is_training)
    if ctc_characters is not None and min(lengths, default=0) > ctc_characters:
        raise ValueError(f"{field}: all {len(lengths)} texts looked at are longer than max_characters {ctc_characters} "
                         "of a ctc_predictor, which would learn nothing; raise max_characters")
    return unknown


def _first_samples(files: List[OpenFile], name: str) -> List[example.Sample]:
    """The first records, without their images, and more until one is usable; ValueError if none is."""
    samples, problems, usable = [], [], False
    for i, record in enumerate(records.interleave((open_file() for open_file in files), _OPEN_FILES)):
        if usable and i >= _MAX_TEXTS:
            break
        try:
            if record.payload is None:
                raise ValueError(record.error)
            sample = example.parse(record.payload)
            if not usable:  # decoding all images would take too long
                decode_image(sample.encoded)
            usable = True
            samples.append(sample._replace(encoded=b""))
        except ValueError as error:
            problems.append(f"{record.where}: {error}")
    if not usable:
        raise ValueError(f"{name}: none of the {len(problems)} records can be used; the first: {problems[0]}")
    return samples


def _report_missing_keypoints(name: str, samples: List[example.Sample]) -> None:
    count = sum(sample.keypoints is None for sample in samples)
    if count:
        _log.warning("%s: %d of the %d records looked at have no key points; keypoint_supervision has no effect on "
                     "them", name, count, len(samples))


def _report_long_texts(name: str, texts: List[str], max_characters: int, is_training: bool) -> None:
    count = sum(len(text) > max_characters for text in texts)
    if count:
        _log.warning("%s: %d of the %d texts looked at are longer than the %d characters that a decoder has room for "
                     "(max_num_steps, or max_characters of CTC); %s", name, count, len(texts), max_characters,
                     "their ends are not learnt" if is_training else "they can't be read to their end")


def _report_unlearnt_texts(name: str, texts: List[str], ctc_characters: int) -> None:
    count = sum(len(text) > ctc_characters for text in texts)
    if count:
        _log.warning("%s: %d of the %d texts looked at are longer than max_characters %d of a ctc_predictor, which "
                     "learns nothing from them", name, count, len(texts), ctc_characters)


def _report_unknown_characters(name: str, texts: List[str], charset: Charset, is_training: bool) -> Counter[str]:
    """Logs and returns the characters that the charset lacks, with the number of texts that have each."""
    lacking: Callable[[Charset, str], Set[str]] = Charset.unknown if is_training else _unreadable
    characters = [lacking(charset, text) for text in texts]
    counts = collections.Counter(character for of_text in characters for character in of_text)
    if counts:
        if not is_training:
            consequence = "the model can't read them"
        elif charset.drop_unknown:
            consequence = "samples with such characters are left out of training"
        else:
            consequence = (f"they become {charset.decode([charset.unk_label])!r}; label_map.unknown_characters: "
                           "DROP_SAMPLE leaves such samples out")
        _log.warning("%s: %d of the %d texts looked at have characters outside the character set: %s; %s",
                     name, sum(map(bool, characters)), len(texts), list_counts(counts), consequence)
    return counts


def _unreadable(charset: Charset, text: str) -> Set[str]:
    """The letters and digits of a text that the charset has neither in upper nor in lower case."""
    return {character for character in charset.unknown(text)
            if character.isalnum() and charset.unknown(character.lower()) and charset.unknown(character.upper())}
