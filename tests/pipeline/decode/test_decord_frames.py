import dataclasses

import numpy as np
import pytest

from pipeline.decode.decord_frames import decord_pictures
from pipeline.decode.picture import fit
from pipeline.decode.probe import probe
from pipeline.decode.unfit import DecoderUnfitError
from tests.barcode_video import damage, read_number, write_video


def fitter(image):
    return fit(image, 96, "bicubic")


def test_frames_by_position(plain):
    pictures = decord_pictures(str(plain), probe(str(plain)), [0, 7, 59], fitter)
    assert [picture.index for picture in pictures] == [0, 7, 59]
    assert [read_number(picture.frame_HWC) for picture in pictures] == [0, 7, 59]


def test_another_count_than_the_packets_is_a_refusal(plain):
    seen = probe(str(plain))
    with pytest.raises(DecoderUnfitError, match="decord counts 60 frames, the file holds 59"):
        decord_pictures(str(plain), dataclasses.replace(seen, times_s=seen.times_s[1:]), [0], fitter)


def test_another_size_than_the_packets_is_a_refusal(plain):
    seen = dataclasses.replace(probe(str(plain)), turn="ROTATE_90")
    with pytest.raises(DecoderUnfitError, match="pictures of 160 x 120, not 120 x 160"):
        decord_pictures(str(plain), seen, [0], fitter)


def test_an_error_is_told_in_one_line_without_its_source_places(tmp_path):
    path = damage(write_video(tmp_path / "hole.mp4"), [20])
    with pytest.raises(DecoderUnfitError, match="decord fails: Check failed") as caught:
        decord_pictures(str(path), probe(str(path)), [0, 22, 59], fitter)
    assert "\n" not in str(caught.value)


def test_damage_that_decord_conceals_is_a_refusal(tmp_path, capfd):
    path = write_video(tmp_path / "bits.mp4")
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(1).integers(len(data) // 10, len(data) * 9 // 10, 20):
        data[place] ^= 1 << (place % 8)
    path.write_bytes(data)
    seen = dataclasses.replace(probe(str(path)), num_open_keys=0)
    with pytest.raises(DecoderUnfitError, match=r"decord (complains|fails): "):
        decord_pictures(str(path), seen, [2, 30, 57], fitter)
