"""The sets by name: `--data FOLDER` with a captions.jsonl, or `--data NAME:FOLDER`."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.datasets import activitynet, captions_file, didemo, lsmdc, msrvtt, msvd, vatex
from pipeline.datasets.dataset import Annotations, CaptionedVideos, first_names, join_files
from pipeline.datasets.video_files import VideoFiles
from pipeline.storage import canonical, is_remote
from schemas.errors import ConfigError, InputError

CAPTIONS = "captions"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Reader:
    """How a published set is read.

    Attributes:
        read: the annotations of a split (train, val or test) of a folder.
        names: names that a key's video file may have, with or without an ending, the likeliest first.
    """

    read: Callable[[Path, str], Annotations]
    names: Callable[[str], Sequence[str]]


def _own_name(key: str) -> tuple[str, ...]:
    return (key,)


PUBLISHED = {
    "msrvtt-1ka": Reader(msrvtt.read_1ka, _own_name),
    "msrvtt-full": Reader(msrvtt.read_full, _own_name),
    "msvd": Reader(msvd.read, _own_name),
    "vatex": Reader(vatex.read, _own_name),
    "activitynet": Reader(activitynet.read, activitynet.video_names),
    "didemo": Reader(didemo.read, _own_name),
    "lsmdc": Reader(lsmdc.read, _own_name),
}


@dataclass(frozen=True)
class DataSpec:
    """A `--data`, taken apart.

    Attributes:
        name: of the set.
        folder: absolute.
    """

    name: str
    folder: Path


def parse_spec(spec: str) -> DataSpec:
    """Take `FOLDER` or `NAME:FOLDER` apart.

    >>> parse_spec("captions:/data/clips")
    DataSpec(name='captions', folder=PosixPath('/data/clips'))

    Raises:
        ConfigError: there is no set of that name, no folder is given, or it is not local.
    """
    name, colon, folder = spec.partition(":")
    # A folder may have a colon in its name, so only a plain word before one is a set's name.
    named = bool(colon) and re.fullmatch(r"[A-Za-z0-9_-]+", name) is not None and not folder.startswith("//")
    if not named:
        name, folder = CAPTIONS, spec
    elif name != CAPTIONS and name not in PUBLISHED:
        raise ConfigError(f"--data {spec}: no set is named {name!r}; there are {', '.join((CAPTIONS, *PUBLISHED))}")
    if not folder:
        raise ConfigError(f"--data {spec!r}: give a folder, as FOLDER or {name}:FOLDER")
    if is_remote(folder):
        raise ConfigError(f"--data {spec}: give a local folder; copy the set out of the bucket first")
    return DataSpec(name, Path(canonical(folder)))


def check_spec(spec: str) -> DataSpec:
    """Whether a `--data` names a known set and a folder that is there, before anything is started.

    Raises:
        ConfigError: there is no set of that name, no folder is given, or it is not local.
        InputError: the folder does not exist, or lacks captions.jsonl where no set is named.
    """
    found = parse_spec(spec)
    if not os.path.isdir(found.folder):
        raise InputError(f"--data {spec}: there is no folder {found.folder}")
    if found.name == CAPTIONS and not os.path.isfile(found.folder / captions_file.CAPTIONS):
        raise InputError(
            f"--data {spec}: {found.folder} holds no {captions_file.CAPTIONS}; "
            f"for a published set write NAME:FOLDER with NAME of {', '.join(PUBLISHED)}"
        )
    return found


def open_dataset(spec: str, split: str) -> CaptionedVideos:
    """A split of a set, joined with the video files that are there.

    Args:
        spec: FOLDER with a captions.jsonl, or NAME:FOLDER; docs/datasets.md lists the names and their files.
        split: train, val or test; of a captions.jsonl, any that it names.

    Raises:
        ConfigError: there is no such set or split.
        InputError: an annotation file is missing or malformed, or no video of the split is there.
    """
    found = check_spec(spec)
    if found.name == CAPTIONS:
        annotations = captions_file.read(found.folder, split)
        return join_files(
            found.name, split, str(found.folder), annotations, lambda key: captions_file.locate(found.folder, key)
        )
    if split not in SPLITS:
        raise ConfigError(f"split {split!r}: {found.name} has {', '.join(SPLITS)}")
    reader = PUBLISHED[found.name]
    annotations = reader.read(found.folder, split)
    files = VideoFiles(found.folder)
    opened = join_files(
        found.name, split, str(found.folder), annotations, lambda key: files.find(tuple(reader.names(key)))
    )
    return replace(opened, notes=(*opened.notes, *_doubles_note(files)))


def _doubles_note(files: VideoFiles) -> tuple[str, ...]:
    if not files.doubles:
        return ()
    names = first_names(tuple(sorted(files.doubles)))
    return (f"{len(files.doubles)} names have more than one video file, and the first by path is taken: {names}",)
