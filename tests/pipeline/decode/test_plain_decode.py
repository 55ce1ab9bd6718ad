"""Our frames beside FFmpeg's own at the same times, from a loop that decodes all, skips nothing and seeks nowhere."""

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.decode.isolated import IsolatedDecoder
from pipeline.decode.picture import fit
from tests.pipeline.decode.test_video import FILES

SIZE = 96
LIMIT = 2.5  # of 255, for codecs that lose nothing between decoders
NAMES = (
    *("h264.mp4", "long.mp4", "groups.mp4", "open_groups.mp4", "refresh.mp4", "h264.ts", "hevc_shut.mp4"),
    *("open_groups.mkv", "vp8.webm", "vp9.webm", "vp9_hidden.webm", "av1.mp4", "mpeg4.mp4", "mpeg2.mpg"),
    *("uneven.mp4", "uneven.mkv", "late.mp4", "rot90.mp4", "rot270.mp4", "odd.mp4", "odd.webm", "ten_bit.mp4"),
)
# As long as x264 makes them by itself: most frames are left out.
MORE = {"groups.mp4": ("pyav", {"num_frames": 250, "gop": 250, "codec_options": {"preset": "medium"}})}


@pytest.fixture(scope="module")
def decoder():
    with IsolatedDecoder(timeout_s=60) as decoder:
        yield decoder


def plain_frames(path):
    """{time since the first frame: picture}, upright."""
    found = {}
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
            found[float(frame.pts * frame.time_base)] = Image.fromarray(np.ascontiguousarray(picture))
    first = min(found)
    return {time_s - first: picture for time_s, picture in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_ffmpegs_own_at_their_times(make, decoder, name):
    used, traits = (FILES | MORE)[name]
    path = make(name, **traits)
    video = decoder.decode(str(path), "whole", 12, SIZE, "bicubic")
    assert video.decoder == used, video.decoder_why
    (clip,) = video.clips
    theirs = plain_frames(path)
    assert len(clip.frame_times_s) == 12
    for time_s, frame_HWC in zip(clip.frame_times_s, clip.frames_NHWC, strict=True):
        nearest = min(theirs, key=lambda at: abs(at - time_s))
        assert nearest == pytest.approx(time_s, abs=0.002)
        difference = np.abs(frame_HWC.astype(int) - fit(theirs[nearest], SIZE, "bicubic"))
        assert difference.mean() < LIMIT, (name, time_s)
