"""Files in the form of VATEX's: lists of objects with videoID, enCap and chCap, and the lists of the HGR split."""

import pytest

from pipeline.datasets.catalog import open_dataset
from schemas.errors import InputError

TRAIN, VAL, TEST = "Ptf_2VRj-V0_000122_000132", "QsMbXa5Xz2M_000006_000016", "1BLBlEyNzA0_000133_000143"


def entry(key, *english):
    return {"videoID": key, "enCap": list(english), "chCap": ["一个人", "在街上"]}


@pytest.fixture
def vatex(folder):
    folder.json("vatex_training_v1.0.json", [entry(TRAIN, "a boy rides", "a child on a bike")])
    folder.json("vatex_validation_v1.0.json", [entry(VAL, "a dog  digs"), entry(TEST, "a cook stirs", "soup is made")])
    folder.text("test_list.txt", TEST)
    folder.videos(f"{TRAIN}.mp4", f"{VAL}.webm", f"{TEST}.mkv")
    return folder


def test_the_english_sentences_of_each_split_are_texts(vatex, texts):
    found = {split: texts(open_dataset(vatex.spec("vatex"), split)) for split in ("train", "val", "test")}
    assert found == {
        "train": {TRAIN: ["a boy rides", "a child on a bike"]},
        "val": {VAL: ["a dog digs"]},
        "test": {TEST: ["a cook stirs", "soup is made"]},
    }


def test_a_list_decides_where_there_is_one(vatex, texts):
    other = "zzzzzzzzzzz_000001_000011"
    vatex.json("vatex_training_v1.0.json", [entry(TRAIN, "a boy rides"), entry(other, "a bird")])
    vatex.text("train_list.txt", f"{TRAIN}.mp4")
    opened = open_dataset(vatex.spec("vatex"), "train")
    assert list(texts(opened)) == [TRAIN]
    assert "train_list.txt" in opened.protocol


def test_the_one_file_of_hgr_serves_with_its_lists(folder, texts):
    folder.json("ref_captions.json", {TRAIN: ["a boy"], VAL: ["a dog"], TEST: ["a cook"]})
    for split, key in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        folder.text(f"{split}_list.txt", key)
    folder.videos(*(f"{key}.mp4" for key in (TRAIN, VAL, TEST)))
    assert texts(open_dataset(folder.spec("vatex"), "val")) == {VAL: ["a dog"]}
    (folder.root / "val_list.txt").unlink()
    with pytest.raises(InputError, match=r"no val_list\.txt"):
        open_dataset(folder.spec("vatex"), "val")


def test_validation_clips_are_never_test_clips(vatex):
    vatex.text("val_list.txt", VAL, TEST)
    with pytest.raises(InputError, match="1 of its videos are in the test split"):
        open_dataset(vatex.spec("vatex"), "val")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"videoID": TEST}, "whole file: not a list"),
        ([entry(VAL, "a"), {"enCap": ["a"]}], "entry 1: no text in 'videoID'"),
        ([{"videoID": TEST}], f"entry 0 ({TEST}), 'enCap': not a list"),
        ([entry(TEST, None)], "'caption' is no text"),
    ],
)
def test_a_malformed_entry_is_named(vatex, content, why):
    vatex.json("vatex_validation_v1.0.json", content)
    with pytest.raises(InputError, match=r"vatex_validation_v1\.0\.json") as caught:
        open_dataset(vatex.spec("vatex"), "test")
    assert why in str(caught.value)


def test_blank_sentences_are_left_out_and_told(vatex, texts):
    vatex.json("vatex_validation_v1.0.json", [entry(TEST, "a cook stirs", " ")])
    opened = open_dataset(vatex.spec("vatex"), "test")
    assert texts(opened) == {TEST: ["a cook stirs"]}
    assert "1 blank texts of vatex_validation_v1.0.json are left out" in opened.notes
