import shutil

import numpy as np
import pytest

from pipeline.decode import needed_frames as leaving_out
from pipeline.decode import pyav_frames
from pipeline.decode.choose import may_leave_out
from pipeline.decode.needed_frames import needed_frames
from pipeline.decode.probe import probe
from pipeline.decode.progress import SILENT
from pipeline.decode.pyav_frames import pyav_pictures
from pipeline.decode.records import DecodedClip, Job
from pipeline.decode.video import decode_clips
from pipeline.sampling import uniform_indices
from tests.barcode_video import damage, read_number

# A video as x264 makes it unless told otherwise: long groups, B-frames that refer to B-frames.
LONG = {
    "num_frames": 200,
    "gop": 250,
    "codec_options": {"preset": "medium", "x264-params": "bframes=3:b-adapt=0:b-pyramid=strict"},
}
FILES = {
    "long.mp4": LONG,
    "long.mkv": LONG,
    "groups.mp4": {"num_frames": 200, "gop": 60, "codec_options": {"bf": "3"}},
    "h265.mp4": {"codec": "libx265", "num_frames": 120, "gop": 40},
}
fitter = np.asarray


def all_pictures(path, wanted):
    return list(pyav_frames._all_pictures(str(path), probe(str(path)), wanted, fitter, SILENT))


@pytest.mark.parametrize("name", FILES)
def test_what_is_left_out_changes_no_bit_of_what_is_wanted(make, name):
    path = make(name, **FILES[name])
    seen = probe(str(path))
    assert may_leave_out(seen)
    for wanted in (uniform_indices(seen.num_frames, 12), [seen.num_frames - 1], [0, 1, 2, 77]):
        found = list(pyav_pictures(str(path), seen, wanted, fitter))
        assert [picture.index for picture in found] == wanted
        for ours, whole in zip(found, all_pictures(path, wanted), strict=True):
            assert np.array_equal(ours.frame_HWC, whole.frame_HWC)


def test_fewer_frames_are_decoded(make, monkeypatch):
    path = make("long.mp4", **LONG)
    seen = probe(str(path))
    counted, real = [], leaving_out._decoded
    monkeypatch.setattr(leaving_out, "_decoded", lambda *args: (counted.append(1) or frame for frame in real(*args)))
    list(needed_frames(str(path), seen, uniform_indices(200, 12)))
    assert 12 <= len(counted) < 150


def test_a_damaged_file_is_decoded_whole_and_its_loss_counted(make, tmp_path):
    path = shutil.copy(make("long.mp4", **LONG), tmp_path / "hurt.mp4")
    wanted = uniform_indices(200, 12)
    damage(path, range(60, 66))
    seen = probe(str(path))
    found = [picture.index for picture in pyav_pictures(str(path), seen, wanted, fitter)]
    assert found == [picture.index for picture in all_pictures(path, wanted)]
    assert found == sorted(set(found))


def clips_of(path, **more):
    job = Job(path=str(path), rule="whole", num_frames=12, size=96, interpolation="bicubic", max_answer_bytes=1 << 30)
    *clips, facts = decode_clips(Job(**(vars(job) | more)))
    assert all(isinstance(clip, DecodedClip) for clip in clips)
    return clips, facts


def test_exact_sampling_of_long_groups_is_exact(make):
    clips, facts = clips_of(make("long.mp4", **LONG))
    assert facts.decoder == "pyav"
    assert [read_number(frame) for frame in clips[0].frames_NHWC] == uniform_indices(200, 12)


def test_fast_sampling_takes_near_key_frames_and_tells_their_true_times(make):
    path = make("keys.mp4", num_frames=120, gop=250, keys=(17, 63), codec_options={"x264-params": "scenecut=0"})
    (clip,), facts = clips_of(path, fast=True)
    expected = [5, 17, 25, 35, 45, 55, 63, 75, 85, 95, 105, 115]
    assert [read_number(frame) for frame in clip.frames_NHWC] == expected
    assert clip.frame_times_s == pytest.approx([index / 25 for index in expected])
    assert facts.decoder_why == "fast sampling"


def test_fast_pictures_stay_near_the_true_ones(make):
    path = make("long.mp4", **LONG)
    (exact,), _ = clips_of(path)
    (fast,), _ = clips_of(path, fast=True)
    assert [read_number(frame) for frame in fast.frames_NHWC][1:] == uniform_indices(200, 12)[1:]
    difference = np.abs(fast.frames_NHWC[1:].astype(int) - exact.frames_NHWC[1:])
    assert 0 < difference.mean() < 4
