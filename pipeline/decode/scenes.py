"""Where a video's scenes begin, by PySceneDetect's content detector over every frame, made small.

One pass with PyAV holds one picture at a time, so a video of many hours streams. The detector sees frames in
presentation order; a cut is told by the frame's own time, also where the rate varies.
"""

import logging
from typing import Any, Final

from pipeline.decode.progress import SILENT, Alive
from pipeline.decode.pyav_frames import decoded_frames
from pipeline.decode.records import Probe

# What PySceneDetect shrinks pictures to, at the least.
_WIDTH: Final = 256


def scene_starts(path: str, probe: Probe, threshold: float, alive: Alive = SILENT) -> list[float]:
    """Times in seconds at which a picture differs from the one before it by more than the threshold, rising.

    Args:
        path: a local file.
        probe: what it is.
        threshold: mean change of hue, saturation and lightness, 0 to 255; 27 is PySceneDetect's own.
        alive: called once in a while, see `pipeline.decode.progress`.
    """
    detector, timecode = _detector(threshold)
    width = min(_WIDTH, probe.stored_width)
    height = max(1, round(probe.stored_height * width / probe.stored_width))
    starts = []
    for position, frame in decoded_frames(path, probe, alive):
        if frame.is_corrupt:
            continue
        small = frame.reformat(width=width, height=height, format="bgr24", interpolation="AREA").to_ndarray()
        if detector.process_frame(timecode(position, 25.0), small):
            starts.append(probe.times_s[position])
    return starts


def _detector(threshold: float) -> tuple[Any, Any]:
    # Loaded only for this rule: OpenCV would add its weight to every decoder.
    import cv2  # noqa: PLC0415
    from scenedetect import ContentDetector, FrameTimecode  # noqa: PLC0415

    logging.getLogger("pyscenedetect").setLevel(logging.ERROR)
    cv2.setNumThreads(1)
    # Kept apart by time, not by frames or a mean rate, and with a rule for the last one, in `pipeline.sampling`.
    return ContentDetector(threshold=threshold, min_scene_len=0), FrameTimecode
