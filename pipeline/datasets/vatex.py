"""VATEX: clips of ten seconds, ten English sentences each.

Files: vatex_training_v1.0.json and vatex_validation_v1.0.json of the authors (Wang et al., ICCV 2019), or the
ref_captions.json of Chen et al. (HGR, CVPR 2020). Sizes and split are HGR's: 25,991 clips to train on, and the 3,000
validation clips halved into val and test by the lists val_list.txt and test_list.txt. The authors' own test set is
another one, used for captioning, and not read.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.datasets.annotation import entries, find_file, maybe_blank, need_file, read_json, read_list, text_field
from pipeline.datasets.dataset import Annotations, Counts
from pipeline.datasets.protocol import annotate, refuse_overlap
from pipeline.datasets.video_files import stem

TRAINING, VALIDATION, HGR = "vatex_training_v1.0.json", "vatex_validation_v1.0.json", "ref_captions.json"
TEST_LIST = "test_list.txt"
COUNTS = {"train": Counts(25_991, 259_910), "val": Counts(1500, 15_000), "test": Counts(1500, 15_000)}


def read(folder: Path, split: str) -> Annotations:
    """The split of HGR; every English sentence of a clip is a text.

    train is train_list.txt, or without one all of vatex_training_v1.0.json; val is val_list.txt, or without one what
    test_list.txt leaves of vatex_validation_v1.0.json.

    Raises:
        InputError: a file is missing or malformed, or a clip is in this split and in test.
    """
    test_list = need_file(folder, TEST_LIST)
    test = _names(read_list(test_list))
    path = need_file(folder, TRAINING if split == "train" else VALIDATION, HGR)
    texts = _texts(read_json(path), path)
    if split == "test":
        keys, listing = test, test_list
    else:
        keys, listing = _keys_beside(folder, split, path, texts, test)
        refuse_overlap(keys, test, listing)
    protocol = f"every English sentence of a clip is a text; split by {listing.name}"
    return annotate(keys, texts, path, protocol, COUNTS[split])


def _keys_beside(
    folder: Path, split: str, path: Path, texts: dict[str, list[str]], test: tuple[str, ...]
) -> tuple[tuple[str, ...], Path]:
    """The clips of train or val, and the file that says so."""
    name = f"{split}_list.txt"
    # ref_captions.json holds all splits, so there only a list can tell them apart.
    listing = need_file(folder, name) if path.name == HGR else find_file(folder, name)
    if listing is not None:
        return _names(read_list(listing)), listing
    if split == "train":
        return tuple(texts), path
    named = frozenset(test)
    return tuple(key for key in texts if key not in named), path


def _names(listed: Iterable[str]) -> tuple[str, ...]:
    # Some copies of the lists name files instead of clips.
    return tuple(stem(name) for name in listed)


def _texts(data: Any, path: Path) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    if path.name == HGR:
        for key, sentences in entries(data, dict, path, "whole file").items():
            texts[key] = _sentences(sentences, path, f"entry {key!r}")
        return texts
    for number, entry in enumerate(entries(data, list, path, "whole file")):
        key = text_field(entry, "videoID", path, f"entry {number}")
        texts[key] = _sentences(entry.get("enCap"), path, f"entry {number} ({key}), 'enCap'")
    return texts


def _sentences(value: Any, path: Path, place: str) -> list[str]:
    return [maybe_blank(sentence, "caption", path, place) for sentence in entries(value, list, path, place)]
