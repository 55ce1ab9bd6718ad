import dataclasses

import numpy as np
import pytest

from pipeline.decode.picture import fit
from pipeline.decode.probe import probe
from pipeline.decode.pyav_frames import Run, plan_runs, pyav_pictures
from schemas.errors import BadVideoError
from tests.barcode_video import damage, read_number, write_video


def fitter(image):
    return fit(image, 96, "bicubic")


def numbers(path, wanted, seen=None):
    pictures = list(pyav_pictures(str(path), seen or probe(str(path)), wanted, fitter))
    return [(picture.index, read_number(picture.frame_HWC)) for picture in pictures]


def test_runs_skip_only_what_is_worth_a_seek():
    keys = list(range(0, 1000, 100))
    assert plan_runs(keys, [5, 50]) == [Run(0, (5, 50))]
    assert plan_runs(keys, [5, 120]) == [Run(0, (5,)), Run(100, (120,))]
    assert plan_runs(keys, [90, 120]) == [Run(0, (90, 120))]
    assert plan_runs(keys, [999]) == [Run(900, (999,))]
    assert plan_runs([], [5, 999]) == [Run(0, (5, 999))]


def test_frames_before_the_first_clean_key_are_read_from_the_start():
    assert plan_runs([300, 400], [10, 250, 350]) == [Run(0, (10, 250)), Run(300, (350,))]


@pytest.mark.parametrize("name", ["seek.mp4", "seek.mkv", "seek.webm"])
def test_a_seek_changes_no_frame(make, name):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = make(name, num_frames=250, gop=20, codec=codec)
    wanted = [3, 77, 79, 80, 160, 249]
    assert len(plan_runs(probe(str(path)).key_frames, wanted)) > 2
    assert numbers(path, wanted) == [(index, index) for index in wanted]


def test_an_index_that_lies_costs_time_and_no_frame(make):
    path = make("seek.mp4", num_frames=250, gop=20)
    lying = dataclasses.replace(probe(str(path)), key_frames=[0, 71, 155, 233])
    assert numbers(path, [10, 80, 160, 240], lying) == [(index, index) for index in [10, 80, 160, 240]]


def test_a_file_of_which_nothing_decodes_has_no_frames(tmp_path):
    path = damage(write_video(tmp_path / "ruin.mp4"), range(60))
    with pytest.raises(BadVideoError, match="no_frames"):
        numbers(path, [1, 30])


def test_too_many_broken_frames_are_refused_with_figures(tmp_path):
    path = damage(write_video(tmp_path / "bad.mp4", gop=60), range(20, 30))
    with pytest.raises(BadVideoError, match=r"degraded: \d+ of 56 frames do not decode"):
        numbers(path, [5, 15, 55])


def test_pictures_come_one_at_a_time(plain):
    pictures = pyav_pictures(str(plain), probe(str(plain)), range(60), lambda image: np.zeros((1, 1, 3), np.uint8))
    assert next(pictures).index == 0
    pictures.close()
