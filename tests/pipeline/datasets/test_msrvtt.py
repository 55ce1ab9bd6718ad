"""Files in the form of MSR-VTT's: a JSON of videos and sentences, and the two CSV files of the 9k/1k-A protocol."""

import pytest

from pipeline.datasets.catalog import open_dataset
from pipeline.datasets.protocol import held_out
from schemas.errors import InputError

SPLITS = {"video0": "train", "video1": "train", "video6513": "validate", "video7010": "test", "video9770": "test"}


def video(key, split):
    return {
        "category": 9,
        "url": "https://www.youtube.com/watch?v=9lZi22qLlEo",
        "video_id": key,
        "start time": 137.72,
        "end time": 149.44,
        "split": split,
        "id": int(key.removeprefix("video")),
    }


def sentence(key, text, number):
    return {"caption": text, "video_id": key, "sen_id": number}


def content(splits, per_video=2):
    """The JSON: the sentences of the videos in turns, as in the published file they are not grouped."""
    turns = [(key, turn) for turn in range(per_video) for key in splits]
    return {
        "info": {"contributor": "Microsoft MSM group", "version": "1.0"},
        "videos": [video(key, split) for key, split in splits.items()],
        "sentences": [sentence(key, f"{key} says {turn}", n) for n, (key, turn) in enumerate(turns)],
    }


@pytest.fixture
def full(folder):
    folder.json("MSRVTT_data.json", content(SPLITS))
    folder.videos(*(f"{key}.mp4" for key in SPLITS))
    return folder


@pytest.fixture
def one_k(folder):
    train = [f"video{number}" for number in range(40)]
    test = ["video9771", "video9770"]
    folder.json("annotations/MSRVTT_data.json", content(dict.fromkeys([*train, *test], "train")))
    folder.text("annotations/MSRVTT_train.9k.csv", "video_id", *train)
    folder.text(
        "annotations/MSRVTT_JSFUSION_test.csv",
        "key,vid_key,video_id,sentence",
        "ret0,msr9771,video9771,a girl turns a wheel",
        'ret1,msr9770,video9770,"a man, who sits, talks"',
    )
    folder.videos(*(f"{key}.mp4" for key in [*train, *test]))
    return folder


@pytest.mark.parametrize(
    ("split", "keys"),
    [("train", ["video0", "video1"]), ("val", ["video6513"]), ("test", ["video7010", "video9770"])],
)
def test_the_full_protocol_takes_the_published_split_and_all_sentences(full, texts, split, keys):
    opened = open_dataset(full.spec("msrvtt-full"), split)
    assert texts(opened) == {key: [f"{key} says 0", f"{key} says 1"] for key in keys}
    assert opened.videos == tuple((key, str(full.root / "videos" / f"{key}.mp4")) for key in keys)


def test_the_two_files_of_the_challenge_serve_as_well(folder, texts):
    test = {key: split for key, split in SPLITS.items() if split == "test"}
    folder.json("train_val_videodatainfo.json", content({k: s for k, s in SPLITS.items() if k not in test}))
    folder.json("test_videodatainfo.json", content(test))
    folder.videos(*(f"{key}.mp4" for key in SPLITS))
    assert list(texts(open_dataset(folder.spec("msrvtt-full"), "val"))) == ["video6513"]
    assert list(texts(open_dataset(folder.spec("msrvtt-full"), "test"))) == list(test)


def test_the_size_of_a_whole_set_is_compared_with_the_published_one(full, folder):
    (note,) = open_dataset(full.spec("msrvtt-full"), "test").notes
    assert note == (
        "the annotation files name 2 videos and 4 captions; the published split has 2990 videos and 59800 captions"
    )
    whole = {f"video{number}": "validate" for number in range(6513, 7010)}
    folder.json("MSRVTT_data.json", content(whole, per_video=20))
    assert open_dataset(full.spec("msrvtt-full"), "val").notes == (), "497 clips and 9,940 sentences, one file present"


def test_1ka_tests_on_the_one_sentence_of_jsfusion(one_k, texts):
    opened = open_dataset(one_k.spec("msrvtt-1ka"), "test")
    assert texts(opened) == {"video9771": ["a girl turns a wheel"], "video9770": ["a man, who sits, talks"]}


def test_1ka_validates_on_training_clips_that_it_does_not_train_on(one_k, texts):
    train, val = (open_dataset(one_k.spec("msrvtt-1ka"), split) for split in ("train", "val"))
    listed = {f"video{number}" for number in range(40)}
    assert set(texts(val)) == held_out(sorted(listed))
    assert len(texts(val)) == 4
    assert set(texts(train)) == listed - set(texts(val))
    assert {len(spoken) for spoken in texts(train).values()} == {2}
    assert "SHA-256" in val.protocol
    assert train.protocol == val.protocol


def test_1ka_holds_out_the_same_clips_whichever_files_are_there(one_k, texts):
    before = set(texts(open_dataset(one_k.spec("msrvtt-1ka"), "val")))
    gone = sorted(before)[0]
    (one_k.root / "videos" / f"{gone}.mp4").unlink()
    opened = open_dataset(one_k.spec("msrvtt-1ka"), "val")
    assert set(texts(opened)) == before - {gone}
    assert (opened.missing, opened.absent_captions) == ((gone,), 2)


def test_a_training_list_with_a_test_clip_is_refused(one_k):
    one_k.text("annotations/MSRVTT_train.9k.csv", "video_id", "video1", "video9770")
    with pytest.raises(InputError, match=r"9k\.csv, its list: 1 of its videos are in the test split: video9770"):
        open_dataset(one_k.spec("msrvtt-1ka"), "train")


def test_a_listed_clip_without_a_sentence_is_named(one_k):
    keys = [f"video{number}" for number in (*range(40), 777, 778)]
    one_k.text("annotations/MSRVTT_train.9k.csv", "video_id", *keys)
    notes = [note for split in ("train", "val") for note in open_dataset(one_k.spec("msrvtt-1ka"), split).notes]
    assert [note for note in notes if "no text in MSRVTT_data.json" in note]
    assert all(any(name in note for note in notes) for name in ("video777", "video778"))


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("MSRVTT_JSFUSION_test.csv", "key;vid_key;video_id;sentence", "line 1: no column 'video_id'"),
        ("MSRVTT_JSFUSION_test.csv", "key,vid_key,video_id,sentence\nret0,msr0,video0", "line 2: no value"),
        ("MSRVTT_JSFUSION_test.csv", 'key,vid_key,video_id,sentence\nret0,msr0,video0,"a', "line 2: no CSV"),
        ("MSRVTT_JSFUSION_test.csv", "key,vid_key,video_id,sentence\nret0,msr0,,a", "line 2: no text in 'video_id'"),
        ("MSRVTT_train.9k.csv", "id\nvideo1", "line 1: no column 'video_id'"),
        ("MSRVTT_data.json", '{\n"videos": [}', "line 2: no JSON"),
        ("MSRVTT_data.json", "[]", "whole file: not an object"),
        ("MSRVTT_data.json", "{}", "'sentences': not a list"),
        ("MSRVTT_data.json", '{"sentences": [{"video_id": "video1", "caption": 3}]}', "sentences[0]: 'caption' is no"),
    ],
)
def test_a_malformed_file_is_named_with_the_place(one_k, name, text, why):
    one_k.text(f"annotations/{name}", text)
    with pytest.raises(InputError) as caught:
        open_dataset(one_k.spec("msrvtt-1ka"), "train")
    assert name in str(caught.value)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_split_in_the_file_is_refused(full):
    full.json("MSRVTT_data.json", content(SPLITS | {"video3": "dev"}))
    with pytest.raises(InputError, match=r"videos\[5\]: split 'dev' is none of train, validate, test"):
        open_dataset(full.spec("msrvtt-full"), "test")
