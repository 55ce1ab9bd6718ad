"""Which pictures stand for a clip: clips by rule, and frames uniform by segment over presentation times."""

import bisect
import itertools
import math
from collections.abc import Sequence
from importlib.util import find_spec

from schemas.errors import ConfigError, UsageError

WHOLE = "whole"
_FIXED = "fixed:"
_SCENES = "scenes"
SCENE_THRESHOLD = 27.0
MIN_SCENE_S = 1.0


def sampler_name(num_frames: int, fast: bool = False) -> str:
    """The name of this sampler, part of a model's identity: another way to sample needs another name.

    >>> sampler_name(12), sampler_name(12, fast=True)
    ('uniform-segment-12', 'uniform-segment-12-fast')
    """
    return f"uniform-segment-{num_frames}{'-fast' if fast else ''}"


def uniform_indices(num_frames_in_span: int, num_samples: int) -> list[int]:
    """Positions of the middle frames of `num_samples` equal segments: floor((i + 0.5) * n / F).

    A span of fewer frames than samples gives each frame once; the caller pads and masks.

    Args:
        num_frames_in_span: n, frames to choose from.
        num_samples: F, frames wanted.

    >>> uniform_indices(10, 4)
    [1, 3, 6, 8]
    >>> uniform_indices(3, 12)
    [0, 1, 2]
    """
    if num_frames_in_span <= num_samples:
        return list(range(num_frames_in_span))
    # (2i + 1) * n // 2F is the same in whole numbers, exact for any n.
    return [(2 * i + 1) * num_frames_in_span // (2 * num_samples) for i in range(num_samples)]


def near_keys(indices: Sequence[int], key_frames: Sequence[int], within: float) -> list[int]:
    """The same positions, each moved to the nearest key frame if that is nearer than `within`.

    Args:
        indices: positions of frames, rising.
        key_frames: positions of key frames, rising.
        within: in frames; half of what lies between two indices keeps them apart and in order.

    >>> near_keys([5, 15, 25, 35], [0, 12, 24, 90], 5.0)
    [5, 12, 24, 35]
    """
    moved = []
    for index in indices:
        after = bisect.bisect_left(key_frames, index)
        near = min(key_frames[max(0, after - 1) : after + 1], key=lambda key: abs(key - index), default=index)
        moved.append(near if abs(near - index) < within else index)
    return sorted(set(moved))


def check_rule(rule: str) -> None:
    """Refuse what is no rule.

    Raises:
        ConfigError: neither 'whole', 'fixed:SECONDS' nor 'scenes[:THRESHOLD]' with a positive number.
    """
    if scene_threshold(rule) is None:
        clip_seconds(rule)


def require_detector(rule: str) -> None:
    """Refuse a rule whose library is not installed here; it is optional.

    Raises:
        UsageError: with what to install.
    """
    missing = [name for name in ("scenedetect", "cv2") if find_spec(name) is None]
    if scene_threshold(rule) is not None and missing:
        raise UsageError(
            f"clip rule {rule!r} needs PySceneDetect: pip install 'reelsift[scenes]', then "
            "pip install --no-deps scenedetect (its own requirements would bring an OpenCV that needs a desktop)"
        )


def scene_threshold(rule: str) -> float | None:
    """The threshold of a rule that detects scenes; None for any other rule.

    >>> scene_threshold("scenes"), scene_threshold("scenes:20"), scene_threshold("whole")
    (27.0, 20.0, None)
    """
    if rule == _SCENES:
        return SCENE_THRESHOLD
    return _positive(rule.removeprefix(f"{_SCENES}:")) if rule.startswith(f"{_SCENES}:") else None


def scene_spans(
    duration_s: float, starts_s: Sequence[float], least_s: float = MIN_SCENE_S
) -> list[tuple[float, float]]:
    """The spans (start_s, end_s) between detected cuts, without a gap or an overlap.

    A cut less than `least_s` behind the one before it is dropped, and the last one if so little follows it: flashes
    and fades make no clips of their own.

    Args:
        duration_s: length of the video in seconds.
        starts_s: times of the cuts, rising.
        least_s: length of the shortest scene; a shorter video is one scene.

    >>> scene_spans(10.0, [3.0, 3.5, 6.0, 9.5])
    [(0.0, 3.0), (3.0, 6.0), (6.0, 10.0)]
    >>> scene_spans(0.5, [0.2])
    [(0.0, 0.5)]
    """
    edges = [0.0]
    for start_s in starts_s:
        if start_s - edges[-1] >= least_s and duration_s - start_s >= least_s:
            edges.append(start_s)
    return list(itertools.pairwise([*edges, duration_s]))


def _positive(text: str) -> float | None:
    """A positive number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number > 0 and math.isfinite(number) else None


def clip_seconds(rule: str) -> float | None:
    """The clip length of a rule, in seconds; None for the whole video.

    Raises:
        ConfigError: neither 'whole' nor 'fixed:SECONDS' with a positive number.

    >>> clip_seconds("whole"), clip_seconds("fixed:2.5")
    (None, 2.5)
    """
    if rule == WHOLE:
        return None
    seconds = _positive(rule.removeprefix(_FIXED)) if rule.startswith(_FIXED) else None
    if seconds is None:
        raise ConfigError(f"clip rule {rule!r} must be 'whole', 'fixed:SECONDS', 'scenes' or 'scenes:THRESHOLD'")
    return seconds


def count_clips(duration_s: float, rule: str) -> int:
    """How many spans `clip_spans` gives, without making them.

    >>> count_clips(24.0, "fixed:10"), count_clips(25.0, "fixed:10"), count_clips(3.0, "fixed:10")
    (2, 3, 1)
    """
    seconds = clip_seconds(rule)
    if seconds is None:
        return 1
    full, rest = divmod(duration_s, seconds)
    return max(1, int(full) + (rest >= seconds / 2))


def clip_spans(duration_s: float, rule: str) -> list[tuple[float, float]]:
    """The spans (start_s, end_s) of a video's clips, without a gap or an overlap.

    With 'fixed:SECONDS' a last remainder shorter than half of SECONDS joins the clip before it, so no clip
    is too short to say anything; a longer one is a clip of its own.

    Args:
        duration_s: length of the video in seconds.
        rule: 'whole' or 'fixed:SECONDS'.

    Raises:
        ConfigError: any other rule.

    >>> clip_spans(24.0, "whole")
    [(0.0, 24.0)]
    >>> clip_spans(24.0, "fixed:10")
    [(0.0, 10.0), (10.0, 24.0)]
    >>> clip_spans(25.0, "fixed:10")
    [(0.0, 10.0), (10.0, 20.0), (20.0, 25.0)]
    >>> clip_spans(3.0, "fixed:10")
    [(0.0, 3.0)]
    """
    seconds = clip_seconds(rule) or duration_s
    count = count_clips(duration_s, rule)
    edges = [i * seconds for i in range(count)] + [duration_s]
    return list(itertools.pairwise(edges))


def frames_in_span(times_s: Sequence[float], start_s: float, end_s: float) -> range:
    """Positions of the frames shown first within [start_s, end_s).

    Args:
        times_s: presentation times in seconds, rising.
        start_s: begin of the span.
        end_s: end of the span, not in it.

    >>> frames_in_span([0.0, 0.04, 0.5, 1.0, 1.5], 0.5, 1.5)
    range(2, 4)
    """
    return range(bisect.bisect_left(times_s, start_s), bisect.bisect_left(times_s, end_s))
