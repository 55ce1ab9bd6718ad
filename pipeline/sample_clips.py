"""A folder of real clips out of packages, with captions.jsonl, ATTRIBUTION.txt and the licences' texts."""

import json
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import av

from pipeline.debian_packages import DebianPackages
from pipeline.sample_catalog import CATALOG, PYTHON_PACKAGE, PYTHON_REQUIREMENT, SampleClip
from pipeline.storage import Store, is_remote
from schemas.data_config import SamplesConfig
from schemas.errors import InputError, UsageError
from schemas.results import Result

ATTRIBUTION, CAPTIONS = "ATTRIBUTION.txt", "captions.jsonl"


class SamplesSummary(Result):
    """What a run of `reelsift data samples` did; `missing` maps the clips that are not there to the reason."""

    out: str
    captions: str
    clips: int
    made: int
    kept: int
    missing: dict[str, str]
    examples: list[str]


def copy_samples(config: SamplesConfig) -> SamplesSummary:
    """Copy the clips that are not there yet; those that cannot be had are named, not an error.

    Raises:
        UsageError: the folder holds other captions.
        InputError: not one clip can be had.
    """
    if is_remote(config.out):
        raise UsageError(f"--out {config.out}: give a local folder; copy it to the bucket when it is made")
    store = Store(config.out)
    if store.exists(CAPTIONS) and not store.exists(ATTRIBUTION):
        raise UsageError(f"--out {config.out} holds captions of other videos; give another folder")
    wanted = [clip for clip in CATALOG if clip.clear or config.unclear]
    absent = [clip for clip in wanted if not store.exists(_copy_name(clip))]
    missing = _copy(absent, store, DebianPackages(_cache_folder(config.cache), config.download_timeout_s))
    # All that is in the folder, so that also the clips of an earlier run with other settings keep their credit.
    present = [clip for clip in CATALOG if store.exists(_copy_name(clip))]
    if not present:
        raise InputError(f"no sample clip can be had: {'; '.join(sorted(set(missing.values())))}")
    _write_if_new(store, ATTRIBUTION, "".join(_credit(clip, store) for clip in present))
    queries = [_query(clip, store) for clip in present]
    _write_if_new(store, CAPTIONS, "".join(f"{json.dumps(query)}\n" for query in queries))
    made = len(absent) - len(missing)
    return SamplesSummary(
        out=store.root,
        captions=store.path(CAPTIONS),
        clips=len(present),
        made=made,
        kept=len(present) - made,
        missing=missing,
        examples=[clip.caption for clip in present[:2]],
    )


def _copy_name(clip: SampleClip) -> str:
    return f"videos/{clip.name}"


def _cache_folder(chosen: str | None) -> Path:
    if chosen is not None:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "reelsift"


def _copy(clips: Sequence[SampleClip], store: Store, debian: DebianPackages) -> dict[str, str]:
    """Copy each; the reason for each that could not be copied, each package being asked for once."""
    missing: dict[str, str] = {}
    refused: dict[str, str] = {}
    for clip in clips:
        try:
            if clip.package in refused:
                raise InputError(refused[clip.package])
            path = _find(clip, debian)
            _copy_licence(path, clip, store)
            store.upload(path, _copy_name(clip))
        except InputError as error:
            refused.setdefault(clip.package, str(error))
            missing[clip.name] = str(error)
    return missing


def _find(clip: SampleClip, debian: DebianPackages) -> Path:
    """The clip's file.

    Raises:
        InputError: the package cannot be had, or this version of it does not hold the clip.
    """
    if clip.package == PYTHON_PACKAGE:
        # Located, never imported: the package's own code needs an older numpy.
        try:
            path = Path(str(distribution(clip.package).locate_file(clip.path)))
        except PackageNotFoundError:
            raise InputError(
                f"{PYTHON_PACKAGE} is not installed (pip install --no-deps {PYTHON_REQUIREMENT})"
            ) from None
    else:
        path = debian.unpacked(clip.package) / clip.path
    if not path.is_file():
        raise InputError(f"this version of {clip.package} does not hold {Path(clip.path).name}")
    return path


def _copy_licence(path: Path, clip: SampleClip, store: Store) -> None:
    # BSD and others ask that their full text travels along; every Debian package carries it.
    text = path.parents[clip.path.count("/")] / "usr" / "share" / "doc" / clip.package / "copyright"
    if text.is_file() and not store.exists(_licence_name(clip)):
        store.upload(text, _licence_name(clip))


def _licence_name(clip: SampleClip) -> str:
    return f"licences/{clip.package}.txt"


def _credit(clip: SampleClip, store: Store) -> str:
    lines = [clip.name, f"  origin   {clip.origin}", f"  licence  {clip.licence}"]
    if store.exists(_licence_name(clip)):
        lines.append(f"  text     {_licence_name(clip)}")
    lines.append(f"  from     {clip.package}: {clip.path}, unchanged")
    if not clip.clear:
        lines.append("  note     origin unknown: do not pass this file on")
    return "\n".join(lines) + "\n\n"


def _query(clip: SampleClip, store: Store) -> dict[str, Any]:
    """A line of captions.jsonl, with the keys of a synthetic set's lines."""
    name = _copy_name(clip)
    return {
        "video": name,
        "uri": name,
        "caption": clip.caption,
        "group": "gist",
        "start_s": 0.0,
        "end_s": _duration_s(Path(store.path(name))),
        "split": "test",
        "attributes": {"licence": clip.licence, "origin": clip.origin},
    }


def _duration_s(path: Path) -> float:
    try:
        with av.open(str(path)) as container:
            return round((container.duration or 0) / av.time_base, 3)
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"{path} is no video; delete it and run the same again ({error})") from error


def _write_if_new(store: Store, name: str, text: str) -> None:
    data = text.encode()
    if not store.exists(name) or store.read(name) != data:
        store.write(name, data)
