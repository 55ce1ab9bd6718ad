import dataclasses

import pytest

from pipeline.decode.choose import choose_decoder
from pipeline.decode.records import Probe

GOOD = Probe(
    container="matroska,webm",
    codec="vp9",
    width=640,
    height=360,
    stored_width=640,
    stored_height=360,
    turn="",
    fps=25.0,
    duration_s=0.12,
    times_s=(0.0, 0.04, 0.08),
    pts=(0, 40, 80),
    key_frames=(0,),
    num_open_keys=0,
    starts_negative=False,
    num_discarded=0,
    num_untimed=0,
    num_video_streams=1,
    num_expected=3,
    demux_error="",
)


def test_decord_where_it_is_proven_right():
    assert choose_decoder(GOOD, 12) == ("decord", "vp9 in matroska,webm, every frame timed")
    assert choose_decoder(dataclasses.replace(GOOD, turn="ROTATE_90"), 12)[0] == "decord"


@pytest.mark.parametrize(
    ("doubt", "why"),
    [
        ({"container": "mpegts"}, "container mpegts"),
        ({"codec": "av1"}, "codec av1"),
        ({"num_discarded": 4}, "edit list"),
        ({"num_untimed": 2}, "2 frames without a time"),
        ({"pts": ()}, "do not tell frames apart"),
        ({"starts_negative": True}, "below zero"),
        ({"demux_error": "InvalidDataError while reading"}, "InvalidDataError"),
        ({"num_open_keys": 1}, "do not stand alone"),
        ({"times_s": (0.0,), "pts": (0,)}, "a single frame"),
        ({"num_video_streams": 2}, "several video streams"),
        ({"turn": "TRANSPOSE"}, "mirrored"),
    ],
)
def test_one_doubt_is_enough_for_pyav(doubt, why):
    decoder, reason = choose_decoder(dataclasses.replace(GOOD, **doubt), 12)
    assert decoder == "pyav"
    assert why in reason


def test_decord_holds_twelve_frames_of_1080p_and_no_more():
    full = dataclasses.replace(GOOD, stored_width=1920, stored_height=1080)
    assert choose_decoder(full, 12)[0] == "decord"
    assert choose_decoder(full, 24)[0] == "pyav"
