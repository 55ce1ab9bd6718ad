"""A file to its clips: probe, plan, decode with the chosen decoder, fall back where decord refuses.

This runs inside the process that calls it. A file may make a decoder hang or crash: callers that must go on use
`pipeline.decode.isolated`.
"""

import bisect
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.decode.choose import DECORD, PYAV, TORCHCODEC, choose_decoder
from pipeline.decode.decord_frames import decord_pictures
from pipeline.decode.picture import fit
from pipeline.decode.probe import probe
from pipeline.decode.progress import SILENT, Alive
from pipeline.decode.pyav_frames import MAX_BROKEN_SHARE, pyav_pictures
from pipeline.decode.records import DecodedClip, Facts, Job, Picture, Probe, TooManyClipsError
from pipeline.decode.scenes import scene_starts
from pipeline.decode.torchcodec_frames import torchcodec_pictures
from pipeline.decode.unfit import DecoderUnfitError
from pipeline.sampling import (
    clip_spans,
    count_clips,
    frames_in_span,
    near_keys,
    scene_spans,
    scene_threshold,
    uniform_indices,
)
from schemas.errors import BadVideoError

# A day at fixed:1 has 86,400. A file of few frames can claim years, and each thousand clips cost objects of their own.
MAX_CLIPS_A_FILE = 100_000
# They decode all that is wanted at once, or refuse; PyAV then takes their place.
_BY_OTHERS = {DECORD: decord_pictures, TORCHCODEC: torchcodec_pictures}
# The last file that was probed for a part of it: the other parts are asked for one after the other.
_probed: dict[tuple[object, ...], Probe] = {}


@dataclass(frozen=True)
class _Plan:
    """A clip and the positions of its frames."""

    start_s: float
    end_s: float
    indices: tuple[int, ...]


def decode_clips(
    job: Job, announce: Callable[[str], None] = lambda _: None, alive: Alive = SILENT
) -> Iterator[DecodedClip | Facts]:
    """Decode a file clip by clip; memory holds one clip, or all pictures of a batch that decord gives.

    Args:
        job: what is asked.
        announce: called with a decoder's name just before it is used.
        alive: called once in a while, see `pipeline.decode.progress`.

    Yields:
        The clips in order of time, then once the facts.

    Raises:
        TooManyClipsError: together they are above the limit; `Job.first` and `Job.last` ask for some of them.
        BadVideoError: the file cannot be used; clips given before are void.
    """
    seen = _probe(job, alive)
    _check_whole(seen)
    plans = _plan(seen, job, alive)
    wanted = [index for plan in plans for index in plan.indices]
    avoid = job.avoid or ("fast sampling" if job.fast else "") or ("a part of a file" if job.last else "")
    decoder, why = (PYAV, avoid) if avoid else choose_decoder(seen, len(wanted), job.decoder)

    def fitter(image: Any) -> np.ndarray:
        return fit(image, job.size, job.interpolation, (seen.width, seen.height))

    pictures: Iterable[Picture] = ()
    if decoder != PYAV:
        announce(decoder)
        try:
            pictures = _BY_OTHERS[decoder](job.path, seen, wanted, fitter)
        except DecoderUnfitError as error:
            decoder, why = PYAV, str(error)
    if decoder == PYAV:
        announce(PYAV)
        size = job.size if job.fast else 0
        pictures = pyav_pictures(job.path, seen, wanted, fitter, fast_size=size, alive=alive)
    num_given = 0
    for clip in _clips(seen, plans, pictures):
        num_given += len(clip.frame_times_s)
        yield clip
    if num_given < len(wanted):
        why += f"; {len(wanted) - num_given} of {len(wanted)} wanted frames do not decode"
    yield _facts(seen, decoder, why)


def _check_whole(seen: Probe) -> None:
    """Refuse a file that holds much less than its header promises."""
    lost = seen.num_expected - seen.num_frames
    if lost > MAX_BROKEN_SHARE * seen.num_expected:
        figures = f"holds {seen.num_frames} of about {seen.num_expected} frames"
        raise BadVideoError("degraded", f"the file is cut or has holes: it {figures}")


def _probe(job: Job, alive: Alive) -> Probe:
    if not job.last:
        return probe(job.path, job.memory_bytes, alive)
    info = os.stat(job.path)
    key = (job.path, info.st_ino, info.st_size, info.st_mtime_ns, job.memory_bytes)
    if key not in _probed:
        _probed.clear()
        _probed[key] = probe(job.path, job.memory_bytes, alive)
    return _probed[key]


def _plan(seen: Probe, job: Job, alive: Alive) -> list[_Plan]:
    """The wanted clips that show a frame, within the limit on what they would weigh."""
    plans = []
    for start_s, end_s in _spans(seen, job, alive):
        span = frames_in_span(seen.times_s, start_s, end_s)
        if span:
            plans.append(_Plan(start_s, end_s, _indices(seen, job, span)))
    return plans


def _spans(seen: Probe, job: Job, alive: Alive) -> list[tuple[float, float]]:
    """Begin and end of the wanted clips."""
    if job.edges:
        return list(itertools.pairwise(job.edges))
    threshold = scene_threshold(job.rule)
    if threshold is not None:
        spans = scene_spans(seen.duration_s, scene_starts(job.path, seen, threshold, alive))
        _check_room(seen, job, len(spans), [0.0, *(end_s for _, end_s in spans)])
        return spans
    # Counted before they are made: a header may promise years.
    _check_room(seen, job, job.last - job.first if job.last else count_clips(seen.duration_s, job.rule), None)
    spans = clip_spans(seen.duration_s, job.rule)
    return spans[job.first : job.last] if job.last else spans


def _check_room(seen: Probe, job: Job, count: int, edges: list[float] | None) -> None:
    """Refuse more clips than the answer may hold."""
    if count > MAX_CLIPS_A_FILE:
        says = f"the clip rule gives {count} clips, above the {MAX_CLIPS_A_FILE} of one file: use a longer rule"
        raise BadVideoError("too_large", says)
    picture = job.size * job.size * 3
    pictures = min(count * job.num_frames, seen.num_frames)
    needed = pictures * picture + count * job.clip_bytes
    if needed <= job.max_answer_bytes:
        return
    says = f"{count} clips with {pictures} pictures in all would take {needed} bytes, above {job.max_answer_bytes}"
    one = min(job.num_frames, seen.num_frames) * picture + job.clip_bytes
    if job.last or one > job.max_answer_bytes:
        raise BadVideoError("too_large", says)
    raise TooManyClipsError(says, count, edges)


def _indices(seen: Probe, job: Job, span: range) -> tuple[int, ...]:
    """The frames that stand for a span."""
    indices = [span[position] for position in uniform_indices(len(span), job.num_frames)]
    if job.fast:
        keys = seen.key_frames[bisect.bisect_left(seen.key_frames, span[0]) : bisect.bisect(seen.key_frames, span[-1])]
        indices = near_keys(indices, keys, len(span) / (2 * job.num_frames))
    return tuple(indices)


def _clips(seen: Probe, plans: Sequence[_Plan], pictures: Iterable[Picture]) -> Iterator[DecodedClip]:
    """Deal pictures, which come in order of time, to the clips they were planned for."""
    which = {index: number for number, plan in enumerate(plans) for index in plan.indices}
    num_clips = 0
    for number, group in itertools.groupby(pictures, key=lambda picture: which[picture.index]):
        mine = list(group)
        num_clips += 1
        yield DecodedClip(
            start_s=plans[number].start_s,
            end_s=plans[number].end_s,
            frame_times_s=[seen.times_s[picture.index] for picture in mine],
            frames_NHWC=np.stack([picture.frame_HWC for picture in mine]),
        )
    if num_clips < len(plans):
        raise BadVideoError("degraded", f"{len(plans) - num_clips} of {len(plans)} clips have no frame that decodes")


def _facts(seen: Probe, decoder: str, why: str) -> Facts:
    return Facts(
        duration_s=seen.duration_s,
        fps=seen.fps,
        width=seen.width,
        height=seen.height,
        container=seen.container,
        codec=seen.codec,
        decoder=decoder,
        decoder_why=why,
    )
