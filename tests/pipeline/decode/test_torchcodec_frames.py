"""torchcodec is optional: what we make of it is tested with a stand-in, and with itself where it is installed."""

import dataclasses
import sys
from types import ModuleType, SimpleNamespace

import av
import numpy as np
import pytest

from pipeline.decode.picture import fit
from pipeline.decode.probe import probe
from pipeline.decode.records import Job
from pipeline.decode.torchcodec_frames import torchcodec_pictures
from pipeline.decode.torchcodec_reader import require_torchcodec
from pipeline.decode.unfit import DecoderUnfitError
from pipeline.decode.video import decode_clips
from pipeline.sampling import uniform_indices
from schemas.errors import UsageError
from tests.barcode_video import damage, read_number, write_video


def fitter(image):
    return fit(image, 96, "bicubic")


class StandIn:
    """As much of torchcodec's VideoDecoder as is used, by PyAV."""

    shift = 0
    says = ""

    def __init__(self, path, **_):
        if self.says:
            raise RuntimeError(self.says)
        with av.open(path) as file:
            self._frames = [
                (float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)
            ]
        begin_s = self._frames[0][0]
        self.metadata = SimpleNamespace(num_frames=len(self._frames), begin_stream_seconds=begin_s)

    def get_frame_at(self, index):
        time_s, picture_HWC = self._frames[index + self.shift]
        return SimpleNamespace(pts_seconds=time_s, data=SimpleNamespace(numpy=lambda: picture_HWC))


@pytest.fixture
def stand_in(monkeypatch):
    class Fresh(StandIn):
        pass

    decoders = ModuleType("torchcodec.decoders")
    decoders.VideoDecoder = Fresh
    monkeypatch.setitem(sys.modules, "torchcodec", ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)
    return Fresh


@pytest.fixture(params=["stand-in", "itself"])
def either(request):
    if request.param == "stand-in":
        return request.getfixturevalue("stand_in")
    try:
        require_torchcodec("torchcodec")
    except UsageError as error:
        pytest.skip(str(error))
    return None


def job(path, **asked):
    limits = {"max_answer_bytes": 1 << 30, "decoder": "torchcodec"}
    return Job(path=str(path), rule="whole", num_frames=12, size=96, interpolation="bicubic", **limits | asked)


@pytest.mark.usefixtures("either")
def test_frames_by_position(plain):
    pictures = torchcodec_pictures(str(plain), probe(str(plain)), [0, 7, 59], fitter)
    assert [read_number(picture.frame_HWC) for picture in pictures] == [0, 7, 59]


@pytest.mark.usefixtures("either")
def test_it_decodes_where_it_is_asked_for_and_the_row_says_so(plain):
    clip, facts = decode_clips(job(plain))
    assert [read_number(frame) for frame in clip.frames_NHWC] == uniform_indices(60, 12)
    assert (facts.decoder, facts.decoder_why) == ("torchcodec", "asked for, every frame timed")


@pytest.mark.usefixtures("either")
def test_pyav_takes_what_it_is_not_trusted_with(make):
    clip, facts = decode_clips(job(make("other.ts", gop=12)))
    assert len(clip.frames_NHWC) == 12
    assert (facts.decoder, facts.decoder_why) == ("pyav", "not torchcodec: container mpegts")


def test_a_frame_of_another_time_is_a_refusal_and_pyav_gives_the_right_one(stand_in, plain):
    stand_in.shift = -1
    with pytest.raises(DecoderUnfitError, match=r"the frame at 0\.240 s for that at 0\.280 s"):
        torchcodec_pictures(str(plain), probe(str(plain)), [7], fitter)
    clip, facts = decode_clips(job(plain))
    assert [read_number(frame) for frame in clip.frames_NHWC] == uniform_indices(60, 12)
    assert facts.decoder == "pyav"
    assert facts.decoder_why.startswith("torchcodec gives the frame at")


def test_another_count_or_size_than_the_packets_is_a_refusal(stand_in, plain):
    seen = probe(str(plain))
    with pytest.raises(DecoderUnfitError, match="torchcodec counts 60 frames, the file holds 59"):
        torchcodec_pictures(str(plain), dataclasses.replace(seen, times_s=seen.times_s[1:]), [0], fitter)
    with pytest.raises(DecoderUnfitError, match="pictures of 160 x 120, not 120 x 160"):
        torchcodec_pictures(str(plain), dataclasses.replace(seen, turn="ROTATE_90"), [0], fitter)


def test_an_error_is_told_in_one_line(stand_in, plain):
    stand_in.says = "no decoder found\nException raised from native code"
    with pytest.raises(DecoderUnfitError) as caught:
        torchcodec_pictures(str(plain), probe(str(plain)), [0], fitter)
    assert str(caught.value) == "torchcodec fails: no decoder found"


@pytest.mark.usefixtures("either")
def test_damage_is_no_picture(tmp_path, capfd):
    path = damage(write_video(tmp_path / "hole.mp4"), [20])
    clip, facts = decode_clips(job(path))
    shown = [read_number(frame) for frame in clip.frames_NHWC]
    assert facts.decoder == "pyav"
    assert set(shown) <= set(uniform_indices(60, 12))
    assert np.all(np.diff(shown) > 0)


def test_where_it_does_not_load_the_user_is_told_what_to_install(stand_in, monkeypatch):
    require_torchcodec("auto")
    stand_in.says = "Could not load libtorchcodec. Likely causes:\n 1. FFmpeg is not properly installed"
    with pytest.raises(UsageError, match=r"Could not load libtorchcodec\. Likely causes:\): install torchcodec and"):
        require_torchcodec("torchcodec")
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(UsageError, match="install torchcodec and FFmpeg's shared libraries"):
        require_torchcodec("torchcodec")


def test_one_that_loads_may_be_asked_for(stand_in):
    stand_in.says = "Failed to open input buffer: Invalid data found when processing input"
    assert require_torchcodec("torchcodec") is None
