import os
from fractions import Fraction

import av
import pytest

from pipeline.decode import memory
from pipeline.decode import probe as probing
from pipeline.decode.probe import probe
from schemas.errors import BadVideoError
from tests.barcode_video import picture, write_audio, write_video


def refusal(path):
    with pytest.raises(BadVideoError) as caught:
        probe(str(path))
    return caught.value.reason, caught.value.detail


def test_an_ordinary_file(plain):
    seen = probe(str(plain))
    assert seen.container == "mov,mp4,m4a,3gp,3g2,mj2"
    assert (seen.codec, seen.width, seen.height, seen.turn) == ("h264", 160, 120, "")
    assert seen.fps == pytest.approx(25)
    assert seen.duration_s == pytest.approx(2.4)
    assert seen.times_s == pytest.approx([i / 25 for i in range(60)])
    assert list(seen.key_frames) == [0, 12, 24, 36, 48]
    assert (seen.num_discarded, seen.num_untimed, seen.num_open_keys, seen.demux_error) == (0, 0, 0, "")
    assert seen.num_expected == seen.num_frames == 60


def test_the_codec_has_the_name_of_the_format_not_of_the_library(make):
    assert probe(str(make("av1.mp4", codec="libsvtav1"))).codec == "av1"


def test_an_encoder_that_makes_itself_a_real_time_process_does_not_make_this_test_run_one(tmp_path):
    write_video(tmp_path / "av1.mp4", codec="libsvtav1", num_frames=4)
    assert os.sched_getscheduler(0) not in (os.SCHED_FIFO, os.SCHED_RR)


def test_times_count_from_the_first_shown_frame(make):
    seen = probe(str(make("late.mkv", times=tuple(Fraction(i, 25) + 3 for i in range(60)))))
    assert seen.times_s[0] == 0.0
    assert seen.duration_s == pytest.approx(2.4, abs=0.002)


def test_uneven_times_are_the_real_ones(make):
    times = tuple(Fraction(i * i, 500) for i in range(2, 42))
    seen = probe(str(make("uneven2.mkv", times=times, num_frames=40)))
    assert seen.times_s == pytest.approx([float(t - times[0]) for t in times], abs=0.0011)


def test_frames_that_an_avi_drops_on_purpose_are_not_missing(tmp_path):
    path = tmp_path / "drops.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=30, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(45):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number % 3 + 10 * (number // 3), Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    seen = probe(str(path))
    assert seen.num_frames == 45
    assert seen.num_expected <= 47
    assert seen.times_s[3] == pytest.approx(10 / 30)


def test_avi_frames_are_counted_since_their_times_are_guesses(make):
    seen = probe(str(make("h264.avi")))
    assert not seen.pts
    assert not seen.key_frames
    assert seen.times_s == pytest.approx([i / 25 for i in range(60)])


def test_sound_alone_is_no_video(tmp_path):
    assert refusal(write_audio(tmp_path / "sound.mp4"))[0] == "no_video_stream"
    assert refusal(write_audio(tmp_path / "sound.webm"))[0] == "no_video_stream"


def test_cover_art_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    cover = write_video(tmp_path / "cover.mkv", codec="mjpeg", num_frames=1, pix_fmt="yuvj420p")
    with av.open(str(cover)) as source, av.open(str(path), "w") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        stream.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    assert refusal(path)[0] == "no_video_stream"


def test_a_header_without_pictures_has_no_frames(make, tmp_path):
    data = make("fragments.mp4", container_options={"movflags": "frag_keyframe+empty_moov"}).read_bytes()
    path = tmp_path / "header.mp4"
    path.write_bytes(data[: data.index(b"moof") - 4])
    assert refusal(path)[0] == "no_frames"


def test_bytes_that_are_no_video(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    assert refusal(text)[0] == "not_a_video"
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes((i * 7919 >> 3) % 251 for i in range(20_000)))
    assert refusal(noise)[0] in ("not_a_video", "no_video_stream")


def test_size_and_length_are_bounded(plain, monkeypatch):
    monkeypatch.setattr(probing, "MAX_PACKETS", 59)
    assert refusal(plain) == ("too_large", "more than 59 frames")
    monkeypatch.setattr(probing, "MAX_PACKETS", 60)
    monkeypatch.setattr(memory, "MAX_PIXELS", 160 * 120 - 1)
    assert refusal(plain)[0] == "too_large"
