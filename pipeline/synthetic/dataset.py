"""A folder of captioned videos: dataset.json, videos/*.mp4 and, when all of them are there, captions.jsonl."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from pipeline.local_folder import open_folder
from pipeline.storage import Store, explain
from pipeline.synthetic.plan import VideoPlan, plan_videos
from pipeline.synthetic.write_video import write_video
from schemas.data_config import DataConfig
from schemas.errors import ReelsiftError, StorageError, UsageError
from schemas.results import Result

CAPTIONS, SETTINGS = "captions.jsonl", "dataset.json"
# Raise it when the same seed begins to give other pictures or captions: two generators must not share a folder.
_GENERATOR = 1
_FEW = 32  # below this, starting processes takes longer than it saves
_MAX_WORKERS = 8
_CHUNK = 4


class DataSummary(Result):
    """What a run of `reelsift data make` did; `made` + `kept` = `videos`."""

    out: str
    captions: str
    videos: int
    queries: int
    made: int
    kept: int
    seconds: float
    examples: list[str]


def make_dataset(config: DataConfig) -> DataSummary:
    """Make the videos that are still missing, then the captions; the same settings again change nothing.

    Raises:
        UsageError: the folder holds something else, or the set of other settings, or another run is at work in it.
        StorageError: it cannot be written.
    """
    start = time.monotonic()
    out = open_folder(config.out)
    with _alone_in(out):
        _claim(out, config)
        _prepare_videos(out / "videos")
        plans = list(plan_videos(config))
        missing = [plan for plan in plans if not (out / plan.name).is_file()]
        _write_all(missing, out, config)
        queries = [query for plan in plans for query in plan.queries()]
        _write_captions(out, queries)
    return DataSummary(
        out=str(out),
        captions=str(out / CAPTIONS),
        videos=len(plans),
        queries=len(queries),
        made=len(missing),
        kept=len(plans) - len(missing),
        seconds=round(time.monotonic() - start, 3),
        examples=[query["caption"] for query in queries[:2]],
    )


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Hold the folder itself locked: the lock ends with the process, and leaves no file behind."""
    try:
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"cannot open the folder {out}: {explain(error)}") from error
    try:
        _lock(handle, out)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, out: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"--out {out}: another run is writing there; wait for it or give another folder") from None


def _claim(out: Path, config: DataConfig) -> None:
    """Write the settings first, so that even a broken-off run is known by them; refuse a folder of others."""
    wanted = _settings(config)
    if not (out / SETTINGS).is_file():
        others = sorted(path.name for path in out.iterdir())
        if others:
            raise UsageError(f"--out {out} holds {others[0]!r} but no {SETTINGS}; give an empty or a new folder")
        Store(str(out)).write(SETTINGS, f"{json.dumps(wanted, indent=2)}\n".encode())
        return
    try:
        found = dict(json.loads((out / SETTINGS).read_bytes()))
    except (ValueError, TypeError):
        raise UsageError(f"{out / SETTINGS} is not readable; give an empty or a new folder") from None
    for name, value in wanted.items():
        if found.get(name) != value:
            raise UsageError(
                f"--out {out} holds a set made with {name}={found.get(name)}, not {name}={value}; "
                "give another folder, or the same settings"
            )


def _prepare_videos(folder: Path) -> None:
    """Make the folder, and clear it of what a killed run left half written."""
    try:
        folder.mkdir(exist_ok=True)
        for leftover in folder.glob(".*.part"):
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {explain(error)}") from error


def _settings(config: DataConfig) -> dict[str, Any]:
    chosen = config.model_dump(mode="json", exclude={"out", "workers"})
    return {"generator": _GENERATOR, **chosen}


def _write_captions(out: Path, queries: Sequence[dict[str, Any]]) -> None:
    """Write them where they are not yet what they should be: an older release wrote fewer keys."""
    data = "".join(f"{json.dumps(query, ensure_ascii=False)}\n" for query in queries).encode()
    path = out / CAPTIONS
    if not path.is_file() or path.read_bytes() != data:
        Store(str(out)).write(CAPTIONS, data)


def _write_all(plans: Sequence[VideoPlan], out: Path, config: DataConfig) -> None:
    jobs = [(plan, out / plan.name, config.size_px) for plan in plans]
    cores = min(len(os.sched_getaffinity(0)), _MAX_WORKERS) if len(jobs) >= _FEW else 1
    workers = config.workers or cores
    if workers == 1 or not jobs:
        for job in jobs:
            _write_one(job)
        return
    # Spawned, not forked: the caller may run threads (Ray, pytest), and a forked copy of their locks can hang.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        for _ in pool.map(_write_one, jobs, chunksize=_CHUNK):
            pass
    except BrokenProcessPool:
        raise ReelsiftError("a process that writes videos died (out of memory?); run the same again to go on") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _write_one(job: tuple[VideoPlan, Path, int]) -> None:
    plan, path, size_px = job
    write_video(path, plan.frames(size_px), plan.timeline.fps)


def _end_with_parent() -> None:
    """Watch the parent: when it is killed, its workers would otherwise wait for work for ever."""
    parent = parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
