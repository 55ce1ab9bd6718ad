import av
import pytest

from pipeline.decode.key_frames import is_clean_key

AVCC = bytes([1, 0x64, 0, 0x1F, 0xFF])
HVCC = bytes([1]) + bytes(20) + bytes([0xFF])


def unit(first, length=5):
    return length.to_bytes(4, "big") + bytes([first]) + bytes(length - 1)


@pytest.mark.parametrize(
    ("codec", "extradata", "packet", "clean"),
    [
        ("h264", AVCC, unit(0x67) + unit(0x68) + unit(0x65), True),  # SPS, PPS, IDR
        ("h264", AVCC, unit(0x06) + unit(0x41), False),  # a recovery point in front of an ordinary slice
        ("h264", AVCC, bytes(40), False),
        ("h264", b"", unit(0x65), False),
        ("hevc", HVCC, unit(0x40) + unit(19 << 1), True),
        ("hevc", HVCC, unit(20 << 1), True),
        ("hevc", HVCC, unit(21 << 1), False),  # CRA
        ("vp9", b"", b"", True),
    ],
)
def test_only_an_idr_stands_alone(codec, extradata, packet, clean):
    assert is_clean_key(codec, extradata, packet) is clean


def test_lengths_that_lie_end_the_search():
    assert not is_clean_key("h264", AVCC, b"\xff\xff\xff\xff\x06" + unit(0x65))
    assert not is_clean_key("h264", AVCC, unit(0x65)[:4])


def test_real_key_frames(make):
    with av.open(str(make("plain.mp4"))) as file:
        context = file.streams.video[0].codec_context
        keys = [bytes(packet) for packet in file.demux() if packet.size and packet.is_keyframe]
        assert len(keys) == 5
        assert all(is_clean_key("h264", context.extradata, key) for key in keys)
