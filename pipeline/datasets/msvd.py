"""MSVD: 1,970 clips of YouTube, about 40 sentences each.

The lists train_list.txt, val_list.txt and test_list.txt (1,200, 100 and 670 clips) go back to Venugopalan et al., ICCV
2015, and come with the project collaborative-experts. So does raw-captions.pkl, the sentences most retrieval papers
use; AllVideoDescriptions.txt is the form of the authors (Chen and Dolan, ACL 2011). Which one was read stands in the
protocol, and only the number of clips is compared with the published one.

A pickle may run any code when it is opened. Ours is opened by a reader that knows no classes and no functions, only
dicts, lists, tuples, strings and numbers, which is all that raw-captions.pkl needs.
"""

import pickle
import re
from pathlib import Path
from typing import Any, NoReturn

from pipeline.datasets.annotation import (
    checked_text,
    entries,
    fold,
    malformed,
    maybe_blank,
    need_file,
    read_lines,
    read_list,
)
from pipeline.datasets.dataset import Annotations, Counts
from pipeline.datasets.protocol import annotate, refuse_overlap
from pipeline.storage import explain
from schemas.errors import InputError

PICKLE, PLAIN = "raw-captions.pkl", "AllVideoDescriptions.txt"
COUNTS = {"train": Counts(1200), "val": Counts(100), "test": Counts(670)}
_KEY = re.compile(r"\S+_\d+_\d+")


def read(folder: Path, split: str) -> Annotations:
    """The split of the lists; every sentence of a clip is a text.

    Raises:
        InputError: a file is missing or malformed, or a clip is in this split and in test.
    """
    listing = need_file(folder, f"{split}_list.txt")
    keys = read_list(listing)
    if split != "test":
        refuse_overlap(keys, read_list(need_file(folder, "test_list.txt")), listing)
    path = need_file(folder, PICKLE, PLAIN)
    texts = _from_pickle(path) if path.name == PICKLE else _from_plain(path)
    protocol = f"every sentence of a clip in {path.name} is a text; the splits of {listing.name} and its like"
    return annotate(keys, texts, path, protocol, COUNTS[split])


def _from_plain(path: Path) -> dict[str, list[str]]:
    """Lines `<video>_<start>_<end> <sentence>`, below a heading of lines with a #."""
    texts: dict[str, list[str]] = {}
    for number, line in read_lines(path):
        if line.startswith("#"):
            continue
        key, _, text = line.partition(" ")
        if not _KEY.fullmatch(key):
            malformed(path, f"line {number}", f"{key!r} is no <video>_<start>_<end>")
        texts.setdefault(key, []).append(fold(text))
    return texts


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it wants {module_name}.{global_name}")


def _from_pickle(path: Path) -> dict[str, list[str]]:
    """A dict of lists of sentences, a sentence being a list of words or one string."""
    try:
        with path.open("rb") as file:
            loaded = _PlainUnpickler(file, encoding="utf-8").load()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - a broken pickle fails with whatever its bytes stumble over
        raise InputError(
            f"{path} is no pickle of plain lists and words ({explain(error)}), and is not opened; give {PLAIN} instead"
        ) from None
    texts: dict[str, list[str]] = {}
    for key, sentences in entries(loaded, dict, path, "whole file").items():
        place = f"entry {key!r}"
        listed = entries(sentences, list, path, place)
        texts[checked_text(key, "key", path, place)] = [_sentence(sentence, path, place) for sentence in listed]
    return texts


def _sentence(value: Any, path: Path, place: str) -> str:
    words = value if isinstance(value, list | tuple) else [value]
    return fold(" ".join(maybe_blank(word, "sentence", path, place) for word in words))
