"""Many reads at known places of open files, at once: what is in memory first, the rest from disk in parallel.

A read that must not wait (RWF_NOWAIT) tells what the page cache holds, at no cost beside the copy; all of them are one
compiled loop without the GIL, which a service's other threads would else fight for at each read. What is lacking is
announced to the kernel (WILLNEED), so that the disk gets all of it at once, and then read by a few threads: while one
waits or copies, others do. Both help: file systems over a network may ignore the announcement.

Files are read and not mapped: a mapped file that is cut, or whose disk fails, would end the process and not the query.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np

# Beside an announcement, 4 to 16 threads are about as quick (tried on ext4, records of 24 KiB and 0.6 MB).
_THREADS = 8
_ALIGN = 64
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


def fill(data_NX: np.ndarray, file_N: np.ndarray, offset_N: np.ndarray) -> dict[int, int | OSError]:
    """Read a row of `data_NX` from each place.

    Args:
        data_NX: uint8, C order; overwritten.
        file_N: int32, descriptors.
        offset_N: int64, bytes.

    Returns:
        what went wrong, by row: the number of bytes that came, where its file ends too early, or why it failed.
    """
    got_N = np.empty(len(data_NX), np.int64)
    _in_memory(data_NX, file_N, offset_N, got_N)
    if (got_N == data_NX.shape[1]).all():
        return {}
    done: list[int | OSError] = list(got_N.tolist())
    missing = np.flatnonzero(got_N != data_NX.shape[1])
    order = missing[np.lexsort((offset_N[missing], file_N[missing]))].tolist()
    _read_missing(order, data_NX, file_N.tolist(), offset_N.tolist(), done)
    return {n: got for n, got in enumerate(done) if got != data_NX.shape[1]}


@numba.njit(cache=True, nogil=True)
def _in_memory(data_NX: np.ndarray, file_N: np.ndarray, offset_N: np.ndarray, got_N: np.ndarray) -> None:
    # struct iovec: where, and how many.
    vector = np.empty(2, np.int64)
    size = data_NX.shape[1]
    for n in range(len(data_NX)):
        vector[0] = data_NX.ctypes.data + n * size
        vector[1] = size
        # Below 0: it is not there, or the file system cannot tell; if it is worse, the read that waits says so.
        got_N[n] = max(0, _preadv2(file_N[n], vector.ctypes.data, 1, offset_N[n], os.RWF_NOWAIT))


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
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="fine-read")


# A child of fork has the object but not its threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)
