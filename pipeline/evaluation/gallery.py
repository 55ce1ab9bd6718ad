"""The clips that are searched: tokens out of the tables into one file of float16 that is read in blocks.

Shapes: B clips, F frames, P patches a frame, N = F * P, D channels.
"""

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models.scoring import FineTokens
from pipeline.storage import Store
from pipeline.tables import iter_clips, read_videos
from schemas.errors import InputError, StorageError
from schemas.tables import DONE, TokenShape


@dataclass(frozen=True)
class ClipFile:
    """Where a clip's pictures come from.

    Attributes:
        key: of the video in its set.
        uri: of the file.
        etag: of the file, as it was decoded.
        frame_times_s: when each sampled frame is shown.
    """

    key: str
    uri: str
    etag: str
    frame_times_s: tuple[float, ...]


@dataclass(frozen=True)
class ClipGallery:
    """B clips. Fine tokens stay float16, in a file without a name that the system keeps in memory while there is room.

    Attributes:
        clips: in the order of the rows.
        coarse_BD: g, float32.
        frames_BFD: n(f), float16.
        temporal_BFD: n(H), float16.
        patches_BND: n(p), float16.
        mask_BF: uint8, 1 for a real frame.
    """

    clips: tuple[ClipFile, ...]
    coarse_BD: Tensor
    frames_BFD: Tensor
    temporal_BFD: Tensor
    patches_BND: Tensor
    mask_BF: Tensor

    @property
    def shape(self) -> TokenShape:
        """F, P and D."""
        _, frames, dim = self.frames_BFD.shape
        return TokenShape(frames=frames, patches=self.patches_BND.shape[1] // frames, dim=dim)

    def tokens(self, rows: slice | Tensor) -> FineTokens:
        """Fine tokens of some clips, float16; a slice is a view, a list of rows a copy."""
        return FineTokens(self.frames_BFD[rows], self.temporal_BFD[rows], self.patches_BND[rows], self.mask_BF[rows])

    def blocks(self, clips: int) -> Iterator[slice]:
        """All rows, `clips` at a time."""
        for start in range(0, len(self.clips), clips):
            yield slice(start, min(start + clips, len(self.clips)))


def empty_gallery(clips: int, shape: TokenShape, folder: Path) -> ClipGallery:
    """A gallery to be filled; its file lies in `folder` and goes with the process.

    Raises:
        StorageError: the folder has no room for it.
    """
    f, p, d = shape.frames, shape.patches, shape.dim
    return ClipGallery(
        clips=(ClipFile("", "", "", ()),) * clips,
        coarse_BD=torch.zeros(clips, d),
        frames_BFD=_in_file((clips, f, d), folder),
        temporal_BFD=_in_file((clips, f, d), folder),
        patches_BND=_in_file((clips, f * p, d), folder),
        mask_BF=torch.zeros(clips, f, dtype=torch.uint8),
    )


def _in_file(shape: tuple[int, ...], folder: Path) -> Tensor:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # Reserved first: a write into a mapping that the disk has no room for would end the process with SIGBUS.
            os.posix_fallocate(file.fileno(), 0, 2 * math.prod(shape))
            return torch.from_numpy(np.memmap(file, np.float16, "r+", shape=shape))
    except OSError as error:
        raise StorageError(f"cannot keep the tokens in {folder}: {error.strerror}") from None


def read_gallery(
    store: Store, model_id: str, shape: TokenShape, videos: Sequence[tuple[str, str]], folder: Path
) -> tuple[ClipGallery, dict[str, str]]:
    """The clips of these videos.

    Args:
        store: tables that hold a whole video as one clip.
        model_id: of the tables.
        shape: of the tables.
        videos: (key, canonical URI), in the order that the rows will have.
        folder: for the file of tokens.

    Returns:
        The gallery, and for each video without a clip its key and the reason.

    Raises:
        InputError: no video has a clip.
        StorageError: the tables cannot be read.
    """
    status = {row["uri"]: row for row in read_videos(store).select(["uri", "etag", "status", "reason"]).to_pylist()}
    refused = {key: _why(status.get(uri)) for key, uri in videos if _why(status.get(uri))}
    there = [(key, uri) for key, uri in videos if key not in refused]
    if not there:
        raise InputError(f"none of the {len(videos)} videos could be decoded: {_count(refused)}")
    gallery = empty_gallery(len(there), shape, folder)
    rows_of: dict[str, list[int]] = {}
    for row, (_, uri) in enumerate(there):
        rows_of.setdefault(uri, []).append(row)
    clips: dict[int, ClipFile] = {}
    for table in iter_clips(store, model_id):
        for clip in range(len(table)):
            uri = table["uri"][clip].as_py()
            for row in rows_of.get(uri, ()):
                _fill(gallery, row, table, clip)
                clips[row] = ClipFile(
                    there[row][0], uri, status[uri]["etag"], tuple(table["frame_times_s"][clip].as_py())
                )
    if len(clips) < len(there):
        lost = next(key for row, (key, _) in enumerate(there) if row not in clips)
        raise StorageError(f"{store.root} says that {lost!r} is done but holds no clip of it: remove it and run again")
    ordered = tuple(clips[row] for row in range(len(there)))
    return ClipGallery(**{**vars(gallery), "clips": ordered}), refused


def _why(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "missing"
    return "" if row["status"] == DONE else str(row["reason"] or row["status"])


def _count(reasons: Mapping[str, str]) -> str:
    values = list(reasons.values())
    return ", ".join(f"{values.count(reason)} {reason}" for reason in sorted(set(values)))


def _fill(gallery: ClipGallery, row: int, table: pa.Table, clip: int) -> None:
    for name, into_BXD in (
        ("frames", gallery.frames_BFD),
        ("temporal_frames", gallery.temporal_BFD),
        ("patches", gallery.patches_BND),
    ):
        data = bytearray(table[name][clip].as_buffer())  # torch warns of memory that it may not write to
        into_BXD[row] = torch.frombuffer(data, dtype=torch.float16).view(into_BXD.shape[1:])
    gallery.coarse_BD[row] = torch.tensor(table["coarse"][clip].as_py())
    gallery.mask_BF[row] = torch.tensor(table["mask"][clip].as_py(), dtype=torch.uint8)
