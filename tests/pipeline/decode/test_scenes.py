from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.decode.probe import probe
from pipeline.decode.records import DecodedClip, Job
from pipeline.decode.scenes import scene_starts
from pipeline.decode.video import decode_clips

COLOURS = ((200, 30, 30), (20, 60, 220), (240, 240, 240), (10, 120, 20))


@pytest.fixture(scope="module")
def cuts(tmp_path_factory):
    """Four scenes of 36, 24, 30 and 20 frames; the last plays at half the rate."""
    path = tmp_path_factory.mktemp("scenes") / "cuts.mp4"
    numbers = np.repeat(np.arange(4), (36, 24, 30, 20))
    times = [Fraction(min(i, 90) + 2 * max(0, i - 90), 24) for i in range(len(numbers))]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.gop_size = 250
        stream.codec_context.time_base = Fraction(1, 48)
        for number, (scene, time_s) in enumerate(zip(numbers, times, strict=True)):
            picture = np.full((180, 320, 3), COLOURS[scene], np.uint8)
            picture[number % 90 : number % 90 + 40, 20:90] = 128  # it moves within a scene
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 48), Fraction(1, 48)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def test_cuts_are_found_at_the_frames_own_times(cuts):
    seen = probe(str(cuts))
    assert scene_starts(str(cuts), seen, 27.0) == pytest.approx([36 / 24, 60 / 24, 90 / 24])
    assert scene_starts(str(cuts), seen, 255.0) == []


def test_each_scene_becomes_a_clip_of_its_own_frames(cuts):
    job = Job(path=str(cuts), rule="scenes", num_frames=4, size=32, interpolation="bicubic", max_answer_bytes=1 << 20)
    clips = [part for part in decode_clips(job) if isinstance(part, DecodedClip)]
    assert [clip.start_s for clip in clips] == pytest.approx([0.0, 1.5, 2.5, 3.75])
    assert [clip.end_s for clip in clips] == pytest.approx([1.5, 2.5, 3.75, 130 / 24], abs=0.05)
    for clip, colour in zip(clips, COLOURS, strict=True):
        assert all(clip.start_s <= time_s < clip.end_s for time_s in clip.frame_times_s)
        assert np.median(clip.frames_NHWC, axis=(0, 1, 2)) == pytest.approx(colour, abs=12)
