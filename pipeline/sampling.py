"""Which pictures stand for a clip: clips by rule, and frames uniform by segment over presentation times."""

import bisect
import itertools
import math
from collections.abc import Sequence

from schemas.errors import ConfigError

WHOLE = "whole"
_FIXED = "fixed:"


def sampler_name(num_frames: int) -> str:
    """The name of this sampler, part of a model's identity: another way to sample needs another name.

    >>> sampler_name(12)
    'uniform-segment-12'
    """
    return f"uniform-segment-{num_frames}"


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


def clip_seconds(rule: str) -> float | None:
    """The clip length of a rule, in seconds; None for the whole video.

    Raises:
        ConfigError: neither 'whole' nor 'fixed:SECONDS' with a positive number.

    >>> clip_seconds("whole"), clip_seconds("fixed:2.5")
    (None, 2.5)
    """
    if rule == WHOLE:
        return None
    try:
        seconds = float(rule.removeprefix(_FIXED)) if rule.startswith(_FIXED) else math.nan
    except ValueError:
        seconds = math.nan
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ConfigError(f"clip rule {rule!r} must be 'whole' or 'fixed:SECONDS'")
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
