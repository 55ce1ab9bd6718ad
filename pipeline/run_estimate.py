"""What an extraction would take, from a sample: lists the inputs, decodes and encodes a few, and writes nothing."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import psutil
import torch

from models.eercf import EercfModel
from models.registry import load_model
from pipeline.decode.isolated import IsolatedDecoder
from pipeline.decode.records import ClipRange, DecodedVideo, TooManyClipsError
from pipeline.run_sizes import model_cost
from pipeline.sampling import require_detector
from pipeline.sources import Source, list_sources
from pipeline.stages.fetch import local_copy
from pipeline.stages.plan import task_sizes
from pipeline.storage import is_remote
from schemas.errors import BadVideoError, InputError
from schemas.run_estimate import PlanConfig, RunEstimate

_HOUR_S: Final = 3600.0
_LIST_PAGE: Final = 1000  # keys of a LIST answer
_READS_A_SOURCE: Final = 2  # is it still the one that was planned; its bytes
_WRITES_A_TASK: Final = 2  # clips, videos
_WRITES_A_RUN: Final = 4  # extract.json, a part of the plan, the lease made and removed
# A clip's row beside its tokens: ids, URI, span, frame times.
_ROW_BYTES: Final = 400
# A source once in the listing and once in the plan: rows of Python objects, then Arrow columns.
_PLAN_COPIES: Final = 3
_ENCODED_AT_ONCE: Final = 4
_ENCODED_MOST: Final = 32
_LONG_CLIPS: Final = 64
# All clips of one video; above it some stand for all.
_ANSWER_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class Sampled:
    """What one video of the sample took; all but its size is 0 for a bad one."""

    size_bytes: int
    duration_s: float
    clips: int
    decode_s: float
    bad: bool


def choose_sample(sources: Sequence[Source], count: int) -> list[Source]:
    """Videos spread evenly over the sizes, so that few large ones are neither missed nor alone.

    >>> [s.uri for s in choose_sample([Source(str(n), n, "") for n in (5, 1, 9, 3)], 2)]
    ['3', '9']
    """
    media = sorted((source for source in sources if not source.filter_reason), key=lambda s: (s.size_bytes, s.uri))
    if len(media) <= count:
        return media
    return [media[(2 * i + 1) * len(media) // (2 * count)] for i in range(count)]


def scaled(value: float, sample: Sequence[Sampled], total_bytes: int, total_files: int) -> float:
    """A sum over the sample as one over all: by bytes, or by number where no size is known.

    >>> scaled(10.0, [Sampled(100, 0, 0, 0, False)], 1000, 3)
    100.0
    """
    known = sum(one.size_bytes for one in sample)
    if known > 0 and total_bytes > 0:
        return value * total_bytes / known
    return value * total_files / max(1, len(sample))


def listing_bytes(sources: Sequence[Source]) -> int:
    """Memory of a listing and of the plan made from it, reckoned from a thousand of its entries."""
    part = sources[:: max(1, len(sources) // 1000)]
    if not part:
        return 0
    one = sum(
        sys.getsizeof(source)
        + sum(sys.getsizeof(value) for value in vars(source).values())
        + sum(sys.getsizeof(key) + sys.getsizeof(value) for key, value in source.metadata.items())
        for source in part
    )
    return round(one / len(part) * len(sources) * (1 + _PLAN_COPIES))


def estimate_run(config: PlanConfig, note: Callable[[str], None] = lambda _: None) -> RunEstimate:
    """List, measure, scale.

    Args:
        config: the settings.
        note: told in a line what is being done.

    Raises:
        InputError: an input cannot be listed, or not one of the sample can be decoded.
        UsageError: the clip rule's library is missing, or there is no such model.
    """
    require_detector(config.clips)
    sources = list_sources(config.input)
    chosen = choose_sample(sources, config.sample)
    if not chosen:
        raise InputError("nothing among the inputs looks like a video")
    model = load_model(config.model, "cuda" if torch.cuda.is_available() else "cpu")
    note(f"{len(sources)} sources listed; measuring {len(chosen)} of them with {model.model_id}")
    sample, pictures = _decode_sample(config, chosen, model)
    if not pictures:
        raise InputError(
            f"none of the {len(chosen)} sampled videos can be decoded; 'reelsift extract' tells the reasons"
        )
    encode_s = _encode_seconds(model, pictures)
    return _extrapolate(config, sources, sample, encode_s, model)


def _decode_sample(
    config: PlanConfig, chosen: Sequence[Source], model: EercfModel
) -> tuple[list[Sampled], list[np.ndarray]]:
    """What each took, and the frames of some clips."""
    sample: list[Sampled] = []
    pictures: list[np.ndarray] = []
    with IsolatedDecoder(config.decode_timeout_s, max_answer_bytes=_ANSWER_BYTES) as decoder:
        decoder.start()
        for source in chosen:
            start = time.monotonic()
            size = max(0, source.size_bytes)
            try:
                video, clips, spent = _measured(config, source, model, decoder)
            except BadVideoError:
                sample.append(Sampled(size, 0.0, 0, time.monotonic() - start, True))
                continue
            sample.append(Sampled(size, video.duration_s, clips, max(0.0, spent), False))
            room = _ENCODED_MOST - len(pictures)
            pictures += [clip.frames_NHWC for clip in video.clips[: min(room, _ENCODED_AT_ONCE)]]
    return sample, pictures


def _measured(
    config: PlanConfig, source: Source, model: EercfModel, decoder: IsolatedDecoder
) -> tuple[DecodedVideo, int, float]:
    """A video, how many clips it has, and processor seconds for all of them; of a long one some stand for all.

    Raises:
        BadVideoError: it cannot be used.
    """
    before = _cpu_seconds(decoder.pid)
    try:
        video = _decode(config, source, model, decoder)
    except TooManyClipsError as error:
        between = _cpu_seconds(decoder.pid)
        some = min(error.clips, _LONG_CLIPS)
        edges = None if error.edges is None else tuple(error.edges[: some + 1])
        video = _decode(config, source, model, decoder, ClipRange(first=0, last=some, edges=edges))
        rest = (_cpu_seconds(decoder.pid) - between) * error.clips / some
        return video, error.clips, between - before + rest
    return video, len(video.clips), _cpu_seconds(decoder.pid) - before


def _decode(
    config: PlanConfig,
    source: Source,
    model: EercfModel,
    decoder: IsolatedDecoder,
    part: ClipRange | None = None,
) -> DecodedVideo:
    preprocess = model.config.preprocess
    with local_copy(source.uri, source.etag, config.max_source_bytes) as path:
        return decoder.decode(
            path,
            rule=config.clips,
            num_frames=model.config.num_frames,
            size=preprocess.image_size,
            interpolation=preprocess.interpolation,
            fast=config.sampling == "fast",
            part=part,
        )


def _cpu_seconds(pid: int | None) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _encode_seconds(model: EercfModel, pictures: Sequence[np.ndarray]) -> float:
    """Seconds a clip: of the GPU where there is one, else of a core."""
    num_frames, size = model.config.num_frames, model.config.preprocess.image_size
    frames_BFHWC = np.zeros((len(pictures), num_frames, size, size, 3), np.uint8)
    mask_BF = np.zeros((len(pictures), num_frames), np.uint8)
    for row, frames_NHWC in enumerate(pictures):
        frames_BFHWC[row, : len(frames_NHWC)], mask_BF[row, : len(frames_NHWC)] = frames_NHWC, 1
    clock = time.perf_counter if model.device.type == "cuda" else time.process_time

    def encode(count: int) -> float:
        start = clock()
        model.encode_clips(
            torch.from_numpy(frames_BFHWC[:count]), torch.from_numpy(mask_BF[:count]), 96
        ).coarse_BD.cpu()
        return clock() - start

    encode(1)  # the first pass loads kernels
    return encode(len(pictures)) / len(pictures)


def _extrapolate(
    config: PlanConfig, sources: Sequence[Source], sample: Sequence[Sampled], encode_s: float, model: EercfModel
) -> RunEstimate:
    media = [source for source in sources if not source.filter_reason]
    total_bytes = sum(max(0, source.size_bytes) for source in media)

    def total(value: float) -> float:
        return scaled(value, sample, total_bytes, len(media))

    clips = round(total(sum(one.clips for one in sample)))
    tasks = len(task_sizes(len(sources), config.videos_per_task))
    remote = sum(is_remote(source.uri) for source in media)
    return RunEstimate(
        sources=len(sources),
        filtered=len(sources) - len(media),
        source_bytes=total_bytes,
        sampled=len(sample),
        quarantined_share=round(sum(one.bad for one in sample) / len(sample), 4),
        video_hours=round(total(sum(one.duration_s for one in sample)) / _HOUR_S, 4),
        clips=clips,
        decode_core_hours=round(total(sum(one.decode_s for one in sample)) / _HOUR_S, 4),
        encode_hours=round(clips * encode_s / _HOUR_S, 4),
        encode_device=model.device.type,
        table_bytes=clips * (model_cost(model).clip_bytes + _ROW_BYTES),
        reads=_READS_A_SOURCE * remote,
        writes=_WRITES_A_TASK * tasks + _WRITES_A_RUN,
        lists=-(-sum(is_remote(source.uri) for source in sources) // _LIST_PAGE),
        listing_bytes=listing_bytes(sources),
        tasks=tasks,
        model_id=model.model_id,
    )
