"""Sentence protocols and held-out videos: from the texts of each video to the texts of a split."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.datasets.annotation import malformed
from pipeline.datasets.dataset import Annotations, Caption, Counts, first_names
from schemas.errors import InputError

HELD_OUT = 500
# A tenth at most, so that a part of a set keeps nearly all of its training videos.
_LEAST_SHARE = 10
HELD_OUT_RULE = (
    f"the set has no validation split, so val is the {HELD_OUT} training videos (a tenth, of less than "
    f"{HELD_OUT * _LEAST_SHARE}) whose names have the smallest SHA-256, and train is the rest"
)


def held_out(keys: Sequence[str], count: int = HELD_OUT) -> frozenset[str]:
    """Training videos to validate on: the same ones everywhere, whatever the order and whichever files are there.

    >>> sorted(held_out([f"video{i}" for i in range(30)]))
    ['video12', 'video20', 'video8']

    Args:
        keys: all videos of the published training split.
        count: of videos to hold out; never more than a tenth.
    """
    ranked = sorted(set(keys), key=lambda key: hashlib.sha256(key.encode()).digest())
    return frozenset(ranked[: min(count, len(ranked) // _LEAST_SHARE)])


def train_or_val(keys: Sequence[str], split: str) -> tuple[str, ...]:
    """The videos of "train" or "val" out of a training split that has no validation split beside it."""
    held = held_out(keys)
    return tuple(key for key in keys if (key in held) == (split == "val"))


def paragraph(sentences: Iterable[str]) -> str:
    """All sentences of a video as one text.

    >>> paragraph([" A man runs. ", "", "He falls."])
    'A man runs. He falls.'
    """
    return " ".join(" ".join(sentences).split())


def annotate(
    keys: Iterable[str], texts: Mapping[str, Sequence[str]], path: Path, protocol: str, official: Counts | None
) -> Annotations:
    """The texts of the listed videos, in order; what is left out stands in the notes.

    Args:
        keys: the videos of the split.
        texts: of each video; those of others are passed over.
        path: the file of the texts.
        protocol: what one text is, and how the split was made.
        official: the published size.

    Raises:
        InputError: no text is left.
    """
    silent, captions, blank = [], [], 0
    for key in dict.fromkeys(keys):
        spoken = [text for text in texts.get(key, ()) if text]
        blank += len(texts.get(key, ())) - len(spoken)
        captions += [Caption(key, text) for text in spoken]
        if not spoken:
            silent.append(key)
    if not captions:
        why = f"{path} has no text for any of its {len(silent)} videos" if silent else "too few videos to hold any out"
        raise InputError(f"this split is empty: {why}")
    notes = []
    if silent:
        notes.append(f"{len(silent)} listed videos have no text in {path.name}: {first_names(tuple(silent))}")
    if blank:
        notes.append(f"{blank} blank texts of {path.name} are left out")
    return Annotations(tuple(captions), protocol, official, tuple(notes))


def refuse_overlap(keys: Iterable[str], test: Iterable[str], path: Path) -> None:
    """Refuse a list of training or validation videos with test videos in it.

    Raises:
        InputError: some are.
    """
    both = tuple(sorted(set(keys) & set(test)))
    if both:
        malformed(path, "its list", f"{len(both)} of its videos are in the test split: {first_names(both)}")
