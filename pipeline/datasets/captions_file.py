"""Our own form of a set: captions.jsonl beside its videos, one caption a line, as `reelsift data` writes it."""

import os
from pathlib import Path
from typing import Any

from pipeline.datasets.annotation import checked_text, malformed, parse_json, read_lines, text_field
from pipeline.datasets.dataset import Annotations, Caption
from pipeline.storage import is_remote
from schemas.errors import InputError

CAPTIONS = "captions.jsonl"
PROTOCOL = "every line of captions.jsonl is a text; the splits are those it names"
# `video` only repeats `uri`; nested values and lists are not tags, since nothing can be grouped by them.
_OWN = frozenset(("uri", "video", "caption", "split", "group", "start_s", "end_s"))


def read(folder: Path, split: str) -> Annotations:
    """The captions of a split of FOLDER/captions.jsonl.

    A line is an object with `uri` (relative to the folder, absolute, or of an object store), `caption` and `split`;
    it may have `group`, `start_s` and `end_s`, and any further key with text or a number is a tag.

    Raises:
        InputError: the file cannot be read, a line is malformed, a video is in two splits, or the split is empty.
    """
    path = folder / CAPTIONS
    split_of: dict[str, str] = {}
    spelled: dict[str, str] = {}
    captions = []
    for number, line in read_lines(path):
        entry, place = parse_json(line, path, number), f"line {number}"
        caption, its_split = _caption(entry, path, place), text_field(entry, "split", path, place)
        if caption.key not in split_of:
            first = spelled.setdefault(_file_of(folder, caption.key), caption.key)
            if first != caption.key:
                malformed(path, place, f"{caption.key} is the file that was called {first} above: call it so here too")
        if split_of.setdefault(caption.key, its_split) != its_split:
            malformed(path, place, f"{caption.key} is of split {its_split!r} here and {split_of[caption.key]!r} above")
        if its_split == split:
            captions.append(caption)
    if not captions:
        known = ", ".join(sorted(set(split_of.values()))) or "none at all"
        raise InputError(f"{path} has no split {split!r}; it has {known}")
    return Annotations(tuple(captions), PROTOCOL)


def locate(folder: Path, key: str) -> str | None:
    """The absolute path of a line's `uri`; None where no file is there. One of an object store is taken as it is."""
    if is_remote(key):
        return key
    path = os.path.abspath(folder / key.removeprefix("file://"))
    return path if os.path.isfile(path) else None


def _file_of(folder: Path, key: str) -> str:
    """One name for each file, however it is spelled or linked: else it could be in two splits."""
    return key if is_remote(key) else os.path.realpath(folder / key.removeprefix("file://"))


def _caption(entry: Any, path: Path, place: str) -> Caption:
    text_field(entry, "uri", path, place)
    text, group = text_field(entry, "caption", path, place), entry.get("group")
    tags = {name: value for name, value in entry.items() if name not in _OWN and isinstance(value, str | int | float)}
    return Caption(
        key=entry["uri"],  # as it is written: blanks in a file's name count
        text=text,
        group=checked_text(group, "group", path, place) if group not in (None, "") else "",
        tags=tags,
        start_s=_seconds(entry, "start_s", path, place),
        end_s=_seconds(entry, "end_s", path, place),
    )


def _seconds(entry: dict[str, Any], name: str, path: Path, place: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        malformed(path, place, f"{name}={value!r} is no time in seconds")
    return float(value)
