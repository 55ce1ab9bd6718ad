"""Which files of some tables are the same, and which clips nearly are: equal hashes, and coarse vectors of high cosine.

Every pair of clips is compared, block by block: exact, and N x N / 2 products for N clips. The vectors lie in a
temporary file, so that memory holds two blocks and what is known of a clip without its vector, four bytes.
"""

import tempfile
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import Store
from pipeline.tables import (
    clip_objects,
    clips_names,
    current_videos,
    read_columns,
    read_commit,
    read_videos,
    require_info,
)
from schemas.config import DuplicatesConfig
from schemas.duplicates import DuplicateClip, DuplicatePair, Duplicates
from schemas.tables import FILTERED

_BLOCK: Final = 4096
# Of a product of unit vectors in float32.
_ROUNDING: Final = 1e-6

# blocks compared, blocks in all
Progress = Callable[[int, int], None]


def find_duplicates(
    config: DuplicatesConfig, progress: Progress = lambda done, total: None, block: int = _BLOCK
) -> Duplicates:
    """Compare all current clips with each other.

    Args:
        config: what counts as nearly equal, and how many pairs are told.
        progress: told after each block.
        block: clips compared at once with as many others.

    Raises:
        StorageError: there are no tables, or they cannot be read.
    """
    store = Store(config.tables)
    info = require_info(store)
    objects = list(_objects(store))
    with tempfile.TemporaryFile(prefix="reelsift-") as file:
        owners: list[np.ndarray] = []
        numbers: dict[str, int] = {}
        for name, videos in objects:
            table = _current(read_columns(store, name, ["video_id", "coarse"]), videos)
            file.write(_vectors(table, info.token_shape.dim).tobytes())
            owners.append(
                np.array([numbers.setdefault(v, len(numbers)) for v in table["video_id"].to_pylist()], np.int32)
            )
        file.flush()
        owner_N = np.concatenate(owners) if owners else np.zeros(0, np.int32)
        shape = (len(owner_N), info.token_shape.dim)
        coarse_ND = np.memmap(file, np.float32, "r", shape=shape) if len(owner_N) else np.zeros(shape, np.float32)
        best = _Best(config.threshold - _ROUNDING, config.pairs)
        for done, total in _compare(coarse_ND, None if config.within_videos else owner_N, best, block):
            progress(done, total)
        del coarse_ND
    return Duplicates(
        videos=len(numbers),
        clips=len(owner_N),
        threshold=config.threshold,
        same_content=same_content(read_videos(store)),
        pairs_found=best.found,
        pairs=_named(store, objects, best),
    )


def _objects(store: Store) -> Iterator[tuple[str, list[str]]]:
    """Each object with current clips, and the videos whose clips are."""
    for task, videos in sorted(current_videos(store).items()):
        for name in clips_names(task, clip_objects(read_commit(store, task))):
            yield name, videos


def _current(table: pa.Table, videos: list[str]) -> pa.Table:
    return table.filter(pc.is_in(table["video_id"], pa.array(videos, pa.string())))


def _vectors(table: pa.Table, dim: int) -> np.ndarray:
    flat = table["coarse"].combine_chunks().flatten()
    return np.asarray(flat, np.float32).reshape(-1, dim)


class _Best:
    """The pairs of highest cosine so far, and how many were above the threshold."""

    def __init__(self, threshold: float, most: int) -> None:
        self.found = 0
        self._least = threshold
        self._most = most
        self.similarity_P = np.zeros(0, np.float32)
        self.rows_P2 = np.zeros((0, 2), np.int64)
        self._threshold = threshold

    def add(self, similarity_AB: np.ndarray, first: int, second: int) -> None:
        """Take the pairs of two blocks; what is no pair has a similarity of -2."""
        self.found += int(np.count_nonzero(similarity_AB >= self._threshold))
        a, b = np.nonzero(similarity_AB >= self._least)
        values = np.concatenate([self.similarity_P, similarity_AB[a, b]])
        rows = np.concatenate([self.rows_P2, np.stack([a + first, b + second], axis=1)])
        # Of equal ones the first, so that the answer does not depend on the size of a block.
        order = np.lexsort((rows[:, 1], rows[:, 0], -values))[: self._most]
        self.similarity_P, self.rows_P2 = values[order], rows[order]
        if len(order) == self._most:
            self._least = max(self._least, float(self.similarity_P[-1]))


def _compare(coarse_ND: np.ndarray, owner_N: np.ndarray | None, best: _Best, block: int) -> Iterator[tuple[int, int]]:
    """Compare each block with itself and those behind it; clips of one owner are no pair."""
    starts = range(0, len(coarse_ND), block)
    total, done = len(starts) * (len(starts) + 1) // 2, 0
    for first in starts:
        a_AD = np.array(coarse_ND[first : first + block])
        for second in range(first, len(coarse_ND), block):
            similarity_AB = a_AD @ coarse_ND[second : second + block].T
            if owner_N is not None:
                same = owner_N[first : first + block, None] == owner_N[None, second : second + block]
                similarity_AB[same] = -2.0
            if first == second:
                similarity_AB[np.tril_indices(len(similarity_AB))] = -2.0
            best.add(similarity_AB, first, second)
            done += 1
            yield done, total


def _named(store: Store, objects: list[tuple[str, list[str]]], best: _Best) -> list[DuplicatePair]:
    """The best pairs with their clips, whose names are read only now."""
    wanted = np.unique(best.rows_P2)
    clips: dict[int, DuplicateClip] = {}
    first = 0
    for name, videos in objects if len(wanted) else []:
        columns = ["clip_id", "video_id", "uri", "start_s", "end_s"]
        table = _current(read_columns(store, name, columns), videos)
        here = wanted[(wanted >= first) & (wanted < first + len(table))]
        for row, clip in zip(here.tolist(), table.take(pa.array(here - first)).to_pylist(), strict=True):
            clips[row] = DuplicateClip(**clip)
        first += len(table)
    pairs = zip(best.similarity_P.tolist(), best.rows_P2.tolist(), strict=True)
    return [DuplicatePair(similarity=round(cosine, 6), a=clips[a], b=clips[b]) for cosine, (a, b) in pairs]


def same_content(videos: pa.Table) -> list[list[str]]:
    """URIs of files that have one hash, largest group first; tables that know files by their URI have no hashes.

    Args:
        videos: rows of VIDEOS_SCHEMA.
    """
    groups: dict[str, list[str]] = {}
    for row in videos.select(["uri", "status", "content_sha256"]).to_pylist():
        if row["content_sha256"] and row["status"] != FILTERED:
            groups.setdefault(row["content_sha256"], []).append(row["uri"])
    return sorted(
        (sorted(group) for group in groups.values() if len(group) > 1), key=lambda group: (-len(group), group)
    )
