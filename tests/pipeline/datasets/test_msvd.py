"""Files in the form of MSVD's: three lists, and sentences as a text file or as a pickle of lists of words."""

import os
import pickle
from collections import OrderedDict

import pytest

from pipeline.datasets.catalog import open_dataset
from schemas.errors import InputError

TRAIN, VAL, TEST = "-4wsuPCjDBc_5_15", "0lh_UWF9ZP4_62_69", "vtGNPbi_x8E_10_17"


@pytest.fixture
def msvd(folder):
    for split, key in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        folder.text(f"{split}_list.txt", key)
    folder.text(
        "AllVideoDescriptions.txt",
        "# <video_id>_<start>_<end> <description>",
        "",
        f"{TRAIN} a squirrel eats a nut",
        f"{TEST} a woman cuts  an onion.",
        f"{TEST} somebody's slicing onions",
        f"{VAL} two men dance",
    )
    folder.videos(*(f"YouTubeClips/{key}.avi" for key in (TRAIN, VAL, TEST)))
    return folder


def write_pickle(folder, content, protocol=4):
    (folder.root / "raw-captions.pkl").write_bytes(pickle.dumps(content, protocol))


def test_every_sentence_of_a_listed_clip_is_a_text(msvd, texts):
    opened = open_dataset(msvd.spec("msvd"), "test")
    assert texts(opened) == {TEST: ["a woman cuts an onion.", "somebody's slicing onions"]}
    assert opened.videos == ((TEST, str(msvd.root / "videos" / "YouTubeClips" / f"{TEST}.avi")),)
    assert texts(open_dataset(msvd.spec("msvd"), "val")) == {VAL: ["two men dance"]}
    assert "AllVideoDescriptions.txt" in opened.protocol


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_the_pickle_of_words_is_preferred_and_read(msvd, texts, protocol):
    write_pickle(msvd, {TEST: [["a", "woman", "cuts", "an", "onion"], ["café"]], VAL: []}, protocol)
    opened = open_dataset(msvd.spec("msvd"), "test")
    assert texts(opened) == {TEST: ["a woman cuts an onion", "café"]}
    assert "raw-captions.pkl" in opened.protocol


class Runs:
    """Pickled as a call of os.mkdir."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(msvd, tmp_path):
    place = tmp_path / "ran"
    write_pickle(msvd, {TEST: [["a"]], "x": Runs(str(place))})
    with pytest.raises(InputError, match=r"no pickle of plain lists.*mkdir.*give AllVideoDescriptions\.txt instead"):
        open_dataset(msvd.spec("msvd"), "test")
    assert not place.exists()


@pytest.mark.parametrize("content", [OrderedDict({TEST: [["a"]]}), b"not a pickle"])
def test_what_is_no_plain_pickle_is_refused_in_one_line(msvd, content):
    write_pickle(msvd, content)
    if isinstance(content, bytes):
        (msvd.root / "raw-captions.pkl").write_bytes(content)
    with pytest.raises(InputError, match="is no pickle of plain lists and words") as caught:
        open_dataset(msvd.spec("msvd"), "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([TEST], "whole file: not an object"),
        ({TEST: "a woman"}, "not a list"),
        ({TEST: [[1, 2]]}, "'sentence' is no text"),
        ({7: [["a"]]}, "entry 7: no text in 'key'"),
    ],
)
def test_a_pickle_of_another_form_is_refused(msvd, content, why):
    write_pickle(msvd, content)
    with pytest.raises(InputError, match=r"raw-captions\.pkl") as caught:
        open_dataset(msvd.spec("msvd"), "test")
    assert why in str(caught.value)


def test_a_line_without_a_clip_is_named(msvd):
    msvd.text("AllVideoDescriptions.txt", f"{TEST} a woman", "a woman cuts")
    with pytest.raises(InputError, match=r"line 2: 'a' is no <video>_<start>_<end>"):
        open_dataset(msvd.spec("msvd"), "test")


def test_a_list_that_shares_a_clip_with_test_is_refused(msvd):
    msvd.text("val_list.txt", VAL, TEST)
    with pytest.raises(InputError, match="1 of its videos are in the test split"):
        open_dataset(msvd.spec("msvd"), "val")


def test_a_missing_file_is_named(msvd):
    (msvd.root / "val_list.txt").unlink()
    with pytest.raises(InputError, match=r"no val_list\.txt in .* or its annotations/"):
        open_dataset(msvd.spec("msvd"), "val")
    (msvd.root / "AllVideoDescriptions.txt").unlink()
    with pytest.raises(InputError, match=r"no raw-captions\.pkl or AllVideoDescriptions\.txt"):
        open_dataset(msvd.spec("msvd"), "test")
