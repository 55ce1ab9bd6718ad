"""ActivityNet Captions and DiDeMo: files in the published forms, read as one paragraph a video."""

import pytest

from pipeline.datasets.catalog import open_dataset
from schemas.errors import InputError


def event(*sentences):
    return {
        "duration": 82.73,
        "timestamps": [[0.83 + n, 19.86 + n] for n in range(len(sentences))],
        "sentences": list(sentences),
    }


@pytest.fixture
def activitynet(folder):
    folder.json("train.json", {f"v_train{n:06d}": event(f"A man runs {n}. ", " He falls.") for n in range(20)})
    folder.json(
        "val_1.json", {"v_uqiMw7tQ1Cc": event("A weight lifter bends. ", " She lifts."), "v_bXdq2zI1Ms0": event("x")}
    )
    folder.videos(*(f"v_train{n:06d}.mp4" for n in range(20)), "v_uqiMw7tQ1Cc.mkv", "bXdq2zI1Ms0.mp4")
    return folder


def test_activitynet_tests_on_the_paragraphs_of_val_1(activitynet, texts):
    opened = open_dataset(activitynet.spec("activitynet"), "test")
    assert texts(opened) == {"v_uqiMw7tQ1Cc": ["A weight lifter bends. She lifts."], "v_bXdq2zI1Ms0": ["x"]}
    assert dict(opened.videos)["v_bXdq2zI1Ms0"].endswith("/bXdq2zI1Ms0.mp4"), "a file may lack the prefix v_"


def test_activitynet_holds_out_training_videos_to_validate_on(activitynet, texts):
    train, val = (texts(open_dataset(activitynet.spec("activitynet"), split)) for split in ("train", "val"))
    assert len(val) == 2
    assert len(train) == 18
    assert not set(train) & set(val)
    assert {len(spoken) for spoken in (train | val).values()} == {1}


def test_activitynet_refuses_test_videos_in_train(activitynet):
    activitynet.json("train.json", {"v_uqiMw7tQ1Cc": event("x")})
    with pytest.raises(InputError, match=r"train\.json, its list: 1 of its videos are in the test split"):
        open_dataset(activitynet.spec("activitynet"), "train")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([], "whole file: not an object"),
        ({"v_a": []}, "entry 'v_a': not an object"),
        ({"v_a": {"duration": 1.0}}, "entry 'v_a', 'sentences': not a list"),
        ({"v_a": {"sentences": [1]}}, "entry 'v_a': 'sentences' is no text"),
    ],
)
def test_activitynet_names_a_malformed_entry(activitynet, content, why):
    activitynet.json("val_1.json", content)
    with pytest.raises(InputError) as caught:
        open_dataset(activitynet.spec("activitynet"), "test")
    assert f"val_1.json, {why}" in str(caught.value)


def moment(video, description):
    return {
        "num_segments": 6,
        "description": description,
        "dl_link": "https://www.flickr.com/video_download.gne?id=3655084291",
        "times": [[0, 0], [0, 1], [0, 0], [0, 0]],
        "video": video,
        "annotation_id": 2,
    }


A, B, C = "10015567@N08_3655084291_b8b58466fa.mov", "12090392@N02_13482799053_87ef417396.m4v", "54322086@N00_a.avi"


@pytest.fixture
def didemo(folder):
    folder.json("train_data.json", [moment(C, "a cat")])
    folder.json("val_data.json", [moment(B, "a bird")])
    folder.json("test_data.json", [moment(A, "a car  turns"), moment("x@N1_1_1.mov", "a boat"), moment(A, "it stops")])
    # As downloaded, converted with the ending replaced, converted with an ending added.
    folder.videos(A, B.replace(".m4v", ".mp4"), f"{C}.mp4", "x@N1_1_1.mov")
    return folder


def test_didemo_joins_the_descriptions_in_order(didemo, texts):
    assert texts(open_dataset(didemo.spec("didemo"), "test")) == {
        A: ["a car turns it stops"],
        "x@N1_1_1.mov": ["a boat"],
    }


def test_didemo_keeps_to_a_list_with_or_without_endings(didemo, texts):
    for listed in (A, A.removesuffix(".mov")):
        didemo.text("test_list.txt", listed)
        opened = open_dataset(didemo.spec("didemo"), "test")
        assert list(texts(opened)) == [A]
        assert "test_list.txt" in opened.protocol


def test_didemo_finds_converted_videos(didemo):
    assert open_dataset(didemo.spec("didemo"), "val").videos[0][1].endswith("87ef417396.mp4")
    assert open_dataset(didemo.spec("didemo"), "train").videos[0][1].endswith(".avi.mp4")


def test_didemo_refuses_test_videos_in_train(didemo):
    didemo.json("train_data.json", [moment(A, "a cat")])
    with pytest.raises(InputError, match=r"train_data\.json, its list: 1 of its videos are in the test split"):
        open_dataset(didemo.spec("didemo"), "train")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({}, "whole file: not a list"),
        (["x"], "entry 0: not an object"),
        ([{"video": A}], "entry 0: 'description' is no text"),
        ([{"description": "x"}], "entry 0: no text in 'video'"),
    ],
)
def test_didemo_names_a_malformed_entry(didemo, content, why):
    didemo.json("test_data.json", content)
    with pytest.raises(InputError) as caught:
        open_dataset(didemo.spec("didemo"), "test")
    assert f"test_data.json, {why}" in str(caught.value)
