"""Exact frames: each file's pictures carry their numbers, so every claim here is about the very frame."""

from fractions import Fraction

import numpy as np
import pytest

from pipeline.decode.records import DecodedClip, Job
from pipeline.decode.video import decode_clips
from pipeline.sampling import uniform_indices
from schemas.errors import BadVideoError
from tests.barcode_video import cut_file, damage, join, patch_box, read_number, remux, write_video

SHUT = {"x265-params": "log-level=none:pools=1:frame-threads=1:open-gop=0"}
OPEN = {"x264-params": "scenecut=0:open-gop=1:bframes=3:b-adapt=0"}
REFRESH = {"x264-params": "scenecut=0:intra-refresh=1"}
CUTS = {"forced-idr": "1"}
HIDDEN = {"deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16"}
UNEVEN = tuple(Fraction(i * i, 500) + Fraction(i, 25) for i in range(60))
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}

FILES = {
    "h264.mp4": ("decord", {}),
    "h264.mov": ("decord", {}),
    "h264.mkv": ("decord", {}),
    "long.mp4": ("decord", {"num_frames": 250, "gop": 20}),
    "fragments.mp4": ("decord", {"container_options": FRAGMENTS}),
    "faststart.mp4": ("decord", {"faststart": True}),
    "sound_longer.mp4": ("decord", {"audio_s": 4.0}),
    "sound_longer.mkv": ("decord", {"audio_s": 4.0}),
    "uneven.mp4": ("decord", {"times": UNEVEN}),
    "uneven.mkv": ("decord", {"times": UNEVEN}),
    "late.mp4": ("decord", {"times": tuple(Fraction(i, 25) + 2 for i in range(60))}),
    "ten_bit.mp4": ("decord", {"pix_fmt": "yuv420p10le"}),
    "odd.mp4": ("decord", {"size": (161, 121), "pix_fmt": "yuv444p"}),
    "odd.webm": ("decord", {"codec": "libvpx-vp9", "size": (161, 121)}),
    "hevc_shut.mp4": ("decord", {"codec": "libx265", "codec_options": SHUT}),
    "vp8.webm": ("decord", {"codec": "libvpx"}),
    "vp9.webm": ("decord", {"codec": "libvpx-vp9"}),
    "vp8_hidden.webm": ("decord", {"codec": "libvpx", "codec_options": HIDDEN}),
    "vp9_hidden.webm": ("decord", {"codec": "libvpx-vp9", "codec_options": HIDDEN}),
    "rot90.mp4": ("decord", {"rotate": 90}),
    "rot180.mp4": ("decord", {"rotate": 180}),
    "rot270.mp4": ("decord", {"rotate": 270}),
    "wide_pixels.mp4": ("decord", {"aspect": Fraction(2)}),
    "tall_pixels.mp4": ("decord", {"aspect": Fraction(1, 2)}),
    "wide_pixels_rot90.mp4": ("decord", {"aspect": Fraction(4, 3), "rotate": 90}),
    "two.mp4": ("decord", {"num_frames": 2}),
    "one.mp4": ("pyav", {"num_frames": 1}),
    "one.webm": ("pyav", {"num_frames": 1, "codec": "libvpx-vp9"}),
    "mirror.mp4": ("pyav", {"mirror": True}),
    "mirror_rot90.mp4": ("pyav", {"mirror": True, "rotate": 90}),
    "open_groups.mp4": ("pyav", {"codec_options": OPEN}),
    "open_groups.mkv": ("pyav", {"codec": "libx265"}),
    "close_keys.mov": ("pyav", {"codec_options": CUTS, "container_options": FRAGMENTS, "keys": (31, 32)}),
    "refresh.mp4": ("pyav", {"codec_options": REFRESH, "num_frames": 120, "gop": 40}),
    "av1.mp4": ("pyav", {"codec": "libsvtav1"}),
    "av1.webm": ("pyav", {"codec": "libsvtav1", "num_frames": 200}),
    "h264.ts": ("pyav", {}),
    "mpeg2.mpg": ("pyav", {"codec": "mpeg2video"}),
    "h264.avi": ("pyav", {}),
    "mpeg4.avi": ("pyav", {"codec": "mpeg4"}),
    "mpeg4.mp4": ("pyav", {"codec": "mpeg4"}),
    "wmv2.wmv": ("pyav", {"codec": "wmv2"}),
    "anim.gif": ("pyav", {"codec": "gif", "pix_fmt": "rgb8"}),
}


def decode(path, rule="whole", num_frames=12, size=96, **more):
    job = Job(
        path=str(path),
        rule=rule,
        num_frames=num_frames,
        size=size,
        interpolation="bicubic",
        max_answer_bytes=more.pop("max_answer_bytes", 1 << 30),
        **more,
    )
    *clips, facts = decode_clips(job)
    assert all(isinstance(clip, DecodedClip) for clip in clips)
    return clips, facts


def numbers(clip):
    return [read_number(frame) for frame in clip.frames_NHWC]


def refusal(path, **more):
    with pytest.raises(BadVideoError) as caught:
        decode(path, **more)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("name", FILES)
def test_frames_and_times_are_exact(make, name):
    decoder, traits = FILES[name]
    (clip,), facts = decode(make(name, **traits))
    count = traits.get("num_frames", 60)
    wanted = uniform_indices(count, 12)
    assert numbers(clip) == wanted
    assert facts.decoder == decoder, facts.decoder_why
    times = traits.get("times") or [Fraction(i, 25) for i in range(count)]
    assert clip.frame_times_s == pytest.approx([float(times[i] - times[0]) for i in wanted], abs=0.0011)
    assert clip.frames_NHWC.dtype == np.uint8
    assert clip.frames_NHWC.shape == (len(wanted), 96, 96, 3)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("h264.mp4", (160, 120)),
        ("rot90.mp4", (120, 160)),
        ("wide_pixels.mp4", (320, 120)),
        ("tall_pixels.mp4", (160, 240)),
        ("wide_pixels_rot90.mp4", (120, 213)),
    ],
)
def test_the_size_is_the_one_shown(make, name, shown):
    _, facts = decode(make(name, **FILES[name][1]))
    assert (facts.width, facts.height) == shown


@pytest.mark.parametrize("name", [n for n, (decoder, _) in FILES.items() if decoder == "decord"])
def test_both_decoders_give_the_same_picture(make, name):
    path = make(name, **FILES[name][1])
    (one,), _ = decode(path)
    (other,), facts = decode(path, avoid="to compare")
    assert facts.decoder == "pyav"
    difference = np.abs(one.frames_NHWC.astype(int) - other.frames_NHWC)
    # Sub-sampled colour of 10 bits or odd sizes is spread by another filter, seen along hard edges of colour.
    limit = 1.5 if name in ("ten_bit.mp4", "odd.webm") else 0
    assert difference.mean() <= limit


def test_fixed_clips_share_out_the_frames_by_time(make):
    clips, _ = decode(make("long.mp4", **FILES["long.mp4"][1]), rule="fixed:4", num_frames=4)
    assert [(clip.start_s, clip.end_s) for clip in clips] == [(0.0, 4.0), (4.0, 8.0), (8.0, 10.0)]
    assert [numbers(clip) for clip in clips] == [[12, 37, 62, 87], [112, 137, 162, 187], [206, 218, 231, 243]]


def test_fixed_clips_are_the_same_with_pyav(make):
    path = make("long.mp4", **FILES["long.mp4"][1])
    one, _ = decode(path, rule="fixed:2")
    other, _ = decode(path, rule="fixed:2", avoid="to compare")
    assert [numbers(clip) for clip in one] == [numbers(clip) for clip in other]


def test_a_span_in_which_nothing_is_shown_gives_no_clip(make):
    pause = tuple(Fraction(i, 25) + (10 if i >= 30 else 0) for i in range(60))
    clips, _ = decode(make("pause.mp4", times=pause), rule="fixed:2")
    assert [clip.start_s for clip in clips] == [0.0, 10.0]


def test_what_an_edit_list_hides_is_not_shown(plain, tmp_path):
    path = remux(plain, tmp_path / "begin_cut.mp4", shift_s=-0.52)
    (clip,), facts = decode(path)
    assert numbers(clip) == [13 + index for index in uniform_indices(47, 12)]
    assert clip.frame_times_s[0] == pytest.approx(0.04)
    assert (facts.decoder, facts.decoder_why) == ("pyav", "an edit list hides frames")


def test_an_edit_list_may_hide_the_end(tmp_path):
    path = patch_box(write_video(tmp_path / "end_cut.mp4"), b"elst", 8, (1200).to_bytes(4, "big"))
    (clip,), facts = decode(path)
    assert numbers(clip) == uniform_indices(30, 12)
    assert facts.decoder == "pyav"
    assert facts.duration_s == pytest.approx(1.2)


def test_time_may_start_below_zero(make, tmp_path):
    path = remux(make("h264.mkv"), tmp_path / "negative.mkv", shift_s=-0.5)
    (clip,), facts = decode(path)
    assert numbers(clip) == uniform_indices(60, 12)
    assert facts.decoder == "pyav"


@pytest.mark.parametrize("name", ["l.mp4", "l.mkv", "l.webm", "l.avi"])
def test_half_a_file_is_degraded_with_figures(make, tmp_path, name):
    codec = {"l.webm": "libvpx-vp9", "l.avi": "mpeg4"}.get(name, "libx264")
    whole = make(name, codec=codec, num_frames=200, faststart=name == "l.mp4")
    reason, detail = refusal(cut_file(whole, tmp_path / name, 0.5))
    assert reason == "degraded"
    assert " of about " in detail


def test_half_an_mp4_without_its_index_says_so(make, tmp_path):
    reason, detail = refusal(cut_file(make("l2.mp4", num_frames=200), tmp_path / "cut.mp4", 0.5))
    assert reason == "not_a_video"
    assert "without its index (moov)" in detail


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv"])
def test_holes_are_degraded(tmp_path, name):
    path = damage(write_video(tmp_path / name, num_frames=120), range(30, 60))
    assert refusal(path)[0] == "degraded"


def test_a_lost_frame_is_left_out_and_no_neighbour_stands_for_it(tmp_path):
    path = damage(write_video(tmp_path / "scratch.mp4", gop=6, codec_options={"bf": "0"}), [7])
    (clip,), facts = decode(path, num_frames=60)
    found = numbers(clip)
    assert 7 not in found
    assert len(found) >= 55
    assert clip.frame_times_s == pytest.approx([number / 25 for number in found])
    assert facts.decoder == "pyav"
    assert "wanted frames do not decode" in facts.decoder_why


def test_pyav_refuses_a_change_of_size(make, tmp_path):
    first, second = make("a.webm", codec="libvpx"), make("b.webm", codec="libvpx", size=(80, 60))
    path = join(first, second, tmp_path / "both.webm", 2.4)
    assert refusal(path, avoid="to see") == ("size_change", "pictures of 160 x 120 become 80 x 60")


def test_decord_scales_a_change_of_size_and_keeps_the_frames(make, tmp_path):
    first, second = make("a.webm", codec="libvpx"), make("b.webm", codec="libvpx", size=(80, 60))
    (clip,), facts = decode(join(first, second, tmp_path / "both.webm", 2.4))
    assert facts.decoder == "decord"
    assert numbers(clip) == [index % 60 for index in uniform_indices(120, 12)]


def test_more_pictures_than_the_limit_are_refused_before_decoding(plain):
    reason, detail = refusal(plain, rule="fixed:0.1", max_answer_bytes=100_000)
    assert reason == "too_large"
    assert detail == f"24 clips with 60 pictures in all would take {60 * 96 * 96 * 3} bytes, above 100000"


def test_each_clip_counts_against_the_limit_beside_its_pictures(plain):
    pictures = 60 * 96 * 96 * 3
    assert len(decode(plain, "fixed:0.1", max_answer_bytes=pictures + 24_000, clip_bytes=1000)[0]) == 24
    assert refusal(plain, rule="fixed:0.1", max_answer_bytes=pictures + 23_999, clip_bytes=1000)[0] == "too_large"


def test_more_clips_than_a_file_may_have_are_refused_with_their_number(plain):
    says = "the clip rule gives 2400000 clips, above the 100000 of one file: use a longer rule"
    assert refusal(plain, rule="fixed:0.000001") == ("too_large", says)


def test_most_clips_that_a_file_may_have_are_those_that_show_a_frame(make):
    days = tuple(Fraction(i * 25_000) for i in range(4))
    path = make("days.mkv", num_frames=4, times=days)
    assert [clip.start_s for clip in decode(path, rule="fixed:1")[0]] == [0.0, 25_000.0, 50_000.0, 74_999.0]
    assert decode(path, rule="fixed:1", first=1, last=1000)[0] == []
    assert refusal(path, rule="fixed:0.5")[0] == "too_large"


def test_large_pictures_are_not_left_to_decord(make):
    path = make("large.mp4", size=(3840, 2160), num_frames=12, codec_options={"crf": "40"})
    (clip,), facts = decode(path)
    assert numbers(clip) == list(range(12))
    assert "too much to hold" in facts.decoder_why


def test_the_decoder_is_announced_before_it_works(plain):
    heard = []
    job = Job(path=str(plain), rule="whole", num_frames=2, size=32, interpolation="bicubic", max_answer_bytes=1 << 20)
    list(decode_clips(job, heard.append))
    assert heard == ["decord"]
