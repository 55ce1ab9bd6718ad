"""What the two halves of an extraction reach alone: all cores decode, or all cores encode, and nothing else runs."""

import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

_FRAMES = 12
_LIMIT_S = 3600
# An encoder's pass; more at once is not faster on a core, whose cache it leaves.
_CLIPS_A_PASS = 4

Work = Callable[[list[str]], None]


def ceiling(kind: str, model: str, paths: list[str]) -> float:
    """Clips a second that all cores together decode, or encode from frames in memory; their start is not counted.

    Args:
        kind: "decode" or "encode".
        model: name or folder of what encodes, and so what decides the size of the pictures.
        paths: clips.
    """
    context = multiprocessing.get_context("spawn")
    cores = os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = "1"  # one thread each: the cores are shared out among processes
    barrier, counter, moments = context.Barrier(cores), context.Value("q", 0), context.Queue()
    arguments = (kind, model, paths, barrier, counter, moments)
    workers = [context.Process(target=_worker, args=arguments, daemon=True) for _ in range(cores)]
    for worker in workers:
        worker.start()
    found = [moments.get(timeout=_LIMIT_S) for _ in workers]
    for worker in workers:
        worker.join(60)
    return len(paths) / (max(end for _, end in found) - min(start for start, _ in found))


def _worker(kind: str, model: str, paths: list[str], barrier: Any, counter: Any, moments: Any) -> None:
    work = _decoding(model) if kind == "decode" else _encoding(model)
    work(paths[:1])  # loads libraries
    barrier.wait(_LIMIT_S)
    start = time.monotonic()
    while True:
        with counter.get_lock():
            begin = counter.value
            counter.value += _CLIPS_A_PASS
        if begin >= len(paths):
            break
        work(paths[begin : begin + _CLIPS_A_PASS])
    moments.put((start, time.monotonic()))


def _decoding(model: str) -> Work:
    from models.registry import load_model  # noqa: PLC0415  (a module of workers that decode is to import no torch)
    from pipeline.decode.records import Job  # noqa: PLC0415
    from pipeline.decode.video import decode_clips  # noqa: PLC0415

    config = load_model(model).config

    def work(paths: list[str]) -> None:
        for path in paths:
            job = Job(
                path=path,
                rule="whole",
                num_frames=config.num_frames,
                size=config.preprocess.image_size,
                interpolation=config.preprocess.interpolation,
                max_answer_bytes=1 << 30,
            )
            for _ in decode_clips(job):
                pass

    return work


def _encoding(model: str) -> Work:
    import torch  # noqa: PLC0415

    from models.registry import load_model  # noqa: PLC0415

    torch.set_num_threads(1)
    eercf = load_model(model)
    size = eercf.config.preprocess.image_size
    frames = np.random.default_rng(0).integers(0, 255, (_CLIPS_A_PASS, _FRAMES, size, size, 3), np.uint8)
    frames_BFHWC, mask_BF = torch.from_numpy(frames), torch.ones(_CLIPS_A_PASS, _FRAMES, dtype=torch.uint8)

    def work(paths: list[str]) -> None:
        eercf.encode_clips(frames_BFHWC[: len(paths)], mask_BF[: len(paths)])

    return work
