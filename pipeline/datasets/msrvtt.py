"""MSR-VTT: 10,000 clips, 20 sentences each.

Sizes: Xu et al., CVPR 2016 (full: 6,513 / 497 / 2,990 clips); Yu et al. (JSFusion), ECCV 2018, for the 1,000 test pairs
of 1k-A; Gabeur et al. (MMT), ECCV 2020, for its 9,000 training clips. MSRVTT_data.json, MSRVTT_train.9k.csv and
MSRVTT_JSFUSION_test.csv are the files that CLIP4Clip gives out (msrvtt_data.zip of its release v0.0);
train_val_videodatainfo.json and test_videodatainfo.json of the MSR-VTT challenge have the same form.
"""

from pathlib import Path
from typing import Any

from pipeline.datasets.annotation import (
    entries,
    find_file,
    malformed,
    maybe_blank,
    need_file,
    read_csv,
    read_json,
    text_field,
)
from pipeline.datasets.dataset import Annotations, Counts
from pipeline.datasets.protocol import HELD_OUT_RULE, annotate, refuse_overlap, train_or_val

DATA, CHALLENGE = "MSRVTT_data.json", ("train_val_videodatainfo.json", "test_videodatainfo.json")
TRAIN_9K, JSFUSION = "MSRVTT_train.9k.csv", "MSRVTT_JSFUSION_test.csv"
_SPLITS = {"train": "train", "val": "validate", "test": "test"}
COUNTS_FULL = {"train": Counts(6513, 130_260), "val": Counts(497, 9940), "test": Counts(2990, 59_800)}
COUNTS_1KA = {"train": Counts(8500, 170_000), "val": Counts(500, 10_000), "test": Counts(1000, 1000)}


def read_full(folder: Path, split: str) -> Annotations:
    """The split that MSR-VTT was published with; all 20 sentences of a clip are texts.

    Raises:
        InputError: a file is missing or malformed, or the split is empty.
    """
    paths = _data_files(folder)
    keys = [key for key, its_split in _split_of(paths).items() if its_split == _SPLITS[split]]
    protocol = "every sentence of a clip is a text; the published splits"
    return annotate(keys, _texts(paths), paths[0], protocol, COUNTS_FULL[split])


def read_1ka(folder: Path, split: str) -> Annotations:
    """9k/1k-A: test is the 1,000 pairs of JSFusion, one sentence a clip; train and val come from the other 9,000 clips.

    Raises:
        InputError: a file is missing or malformed, a clip is in train and test, or the split is empty.
    """
    path = need_file(folder, JSFUSION)
    test: dict[str, list[str]] = {}
    for line, row in read_csv(path, ("video_id", "sentence")):
        key = text_field(row, "video_id", path, f"line {line}")
        test.setdefault(key, []).append(maybe_blank(row["sentence"], "sentence", path, f"line {line}"))
    if split == "test":
        return annotate(
            test, test, path, f"the one sentence a clip that {JSFUSION} gives is its text", COUNTS_1KA["test"]
        )
    listing = need_file(folder, TRAIN_9K)
    listed = [text_field(row, "video_id", listing, f"line {line}") for line, row in read_csv(listing, ("video_id",))]
    refuse_overlap(listed, test, listing)
    paths = _data_files(folder)
    protocol = f"every sentence of a clip is a text; {HELD_OUT_RULE}"
    return annotate(train_or_val(listed, split), _texts(paths), paths[0], protocol, COUNTS_1KA[split])


def _data_files(folder: Path) -> list[Path]:
    """MSRVTT_data.json, or the two files of the challenge."""
    if find_file(folder, DATA) is None and find_file(folder, *CHALLENGE) is not None:
        return [need_file(folder, name) for name in CHALLENGE]
    return [need_file(folder, DATA)]


def _part(path: Path, name: str) -> list[Any]:
    data = entries(read_json(path), dict, path, "whole file")
    return entries(data.get(name), list, path, f"{name!r}")


def _split_of(paths: list[Path]) -> dict[str, str]:
    found = {}
    for path in paths:
        for number, video in enumerate(_part(path, "videos")):
            place = f"videos[{number}]"
            key, split = text_field(video, "video_id", path, place), text_field(video, "split", path, place)
            if split not in _SPLITS.values():
                malformed(path, place, f"split {split!r} is none of {', '.join(_SPLITS.values())}")
            found[key] = split
    return found


def _texts(paths: list[Path]) -> dict[str, list[str]]:
    """The sentences of every clip, in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for number, sentence in enumerate(_part(path, "sentences")):
            place = f"sentences[{number}]"
            key = text_field(sentence, "video_id", path, place)
            found.setdefault(key, []).append(maybe_blank(sentence.get("caption"), "caption", path, place))
    return found
