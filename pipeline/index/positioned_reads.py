"""Many reads at known places of open files, at once: what is in memory first, the rest from disk in parallel.

A read that must not wait (RWF_NOWAIT) tells what the page cache holds, at no cost beside the copy; all of them are one
compiled loop without the GIL, which a service's other threads would else fight for at each read. Large reads are shared
with one more thread, since one core cannot use all of the memory's pace. What is lacking is announced to the kernel
(WILLNEED), so that the disk gets all of it at once, and then read by a few threads: while one waits or copies, others
do. Both help: file systems over a network may ignore the announcement.

Files are read and not mapped: a mapped file that is cut, or whose disk fails, would end the process and not the query.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np

# Beside an announcement, 4 to 16 threads are about as quick (tried on ext4, records of 24 KiB and 0.6 MB).
_THREADS = 8
_ALIGN = 64
# From so many bytes on two cores copy from the page cache, a portion at a time; below, waking the other costs as much.
_SHARED_BYTES = 4 << 20
_PORTION_BYTES = 2 << 20
_SIZE = numba.types.intp
_preadv2: Any = numba.types.ExternalFunction(
    "preadv2", _SIZE(numba.types.int32, _SIZE, numba.types.int32, numba.types.int64, numba.types.int32)
)


def aligned_rows(rows: int, size: int) -> np.ndarray:
    """Uninitialised bytes, rows x size, that begin at a multiple of 64.

    Large arrays begin 16 bytes behind a page's start otherwise, and copying from a page to there takes a processor
    three times as long (a store is mistaken for one that the next load needs).
    """
    data = np.empty(rows * size + _ALIGN, np.uint8)
    first = -data.ctypes.data % _ALIGN
    return data[first : first + rows * size].reshape(rows, size)


@dataclass(frozen=True)
class Filled:
    """What came of many reads.

    Attributes:
        failures: what went wrong, by row: the number of bytes that came, where its file ends too early, or why it
            failed.
        from_disk: rows that the page cache did not hold whole.
    """

    failures: dict[int, int | OSError]
    from_disk: int


def fill(data_NX: np.ndarray, file_N: np.ndarray, offset_N: np.ndarray) -> Filled:
    """Read a row of `data_NX` from each place.

    Args:
        data_NX: uint8, C order; overwritten.
        file_N: int32, descriptors.
        offset_N: int64, bytes.
    """
    got_N = np.empty(len(data_NX), np.int64)
    if not _take_from_memory(data_NX, file_N, offset_N, got_N):
        return Filled({}, 0)
    done: list[int | OSError] = list(got_N.tolist())
    missing = np.flatnonzero(got_N != data_NX.shape[1])
    order = missing[np.lexsort((offset_N[missing], file_N[missing]))].tolist()
    _read_missing(order, data_NX, file_N.tolist(), offset_N.tolist(), done)
    return Filled({n: got for n, got in enumerate(done) if got != data_NX.shape[1]}, len(order))


def _take_from_memory(data_NX: np.ndarray, file_N: np.ndarray, offset_N: np.ndarray, got_N: np.ndarray) -> int:
    """Read what the page cache holds, `got_N` bytes a row; how many rows are not whole."""
    rows = len(data_NX)
    if data_NX.nbytes < _SHARED_BYTES or _cores() == 1:
        return int(_in_memory(data_NX, file_N, offset_N, got_N, 0, rows))
    # Taking the next one from a range is one step of the interpreter, so no row is read twice or left out.
    step = max(1, _PORTION_BYTES // data_NX.shape[1])
    portions = iter(range(0, rows, step))

    def work() -> int:
        return sum(int(_in_memory(data_NX, file_N, offset_N, got_N, n, min(n + step, rows))) for n in portions)

    other = _helper().submit(work)
    short = work()
    # On a busy machine the helper may not have begun by now: then there is nothing left to wait for.
    return short if other.cancel() else short + other.result()


@numba.njit(cache=True, nogil=True)
def _in_memory(
    data_NX: np.ndarray, file_N: np.ndarray, offset_N: np.ndarray, got_N: np.ndarray, first: int, end: int
) -> int:
    # struct iovec: where, and how many.
    vector = np.empty(2, np.int64)
    size = data_NX.shape[1]
    vector[1] = size
    short = 0
    for n in range(first, end):
        vector[0] = data_NX.ctypes.data + n * size
        # Below 0: it is not there, or the file system cannot tell; if it is worse, the read that waits says so.
        got_N[n] = max(0, _preadv2(file_N[n], vector.ctypes.data, 1, offset_N[n], os.RWF_NOWAIT))
        short += got_N[n] != size
    return short


def _read_missing(
    order: Sequence[int], data_NX: np.ndarray, files: list[int], offsets: list[int], done: list[int | OSError]
) -> None:
    def run(part: Sequence[int]) -> None:
        for n in part:
            done[n] = _from_disk(files[n], offsets[n], memoryview(data_NX[n]), done[n])

    for n in order:
        _announce(files[n], offsets[n], data_NX.shape[1])
    parts = [order[first::_THREADS] for first in range(min(_THREADS, len(order)))]
    for _ in _pool().map(run, parts):
        pass


def _announce(file: int, offset: int, size: int) -> None:
    try:
        os.posix_fadvise(file, offset, size, os.POSIX_FADV_WILLNEED)
    except OSError:
        # Advice. What is wrong with the file is told by the read.
        return


def _from_disk(file: int, offset: int, target: memoryview, got: int | OSError) -> int | OSError:
    have = got if isinstance(got, int) else 0
    try:
        while have < len(target) and (more := os.preadv(file, [target[have:]], offset + have)):
            have += more
    except OSError as error:
        return error
    return have


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="fine-read")


@cache
def _helper() -> ThreadPoolExecutor:
    # Not one of the pool: behind eight reads that wait for a disk, none from memory should stand.
    return ThreadPoolExecutor(1, thread_name_prefix="fine-copy")


# A child of fork has the objects but not their threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)
os.register_at_fork(after_in_child=_helper.cache_clear)
