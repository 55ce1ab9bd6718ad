import json
import pickle

import pytest

from pipeline.datasets.catalog import open_dataset
from pipeline.datasets.dataset import Caption
from schemas.errors import InputError


def write(folder, *lines):
    (folder / "captions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def line(uri="videos/a.mp4", caption="a cat sleeps", split="test", **more):
    return {"uri": uri, "caption": caption, "split": split, **more}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b c.webm"):
        (tmp_path / "videos" / name).touch()
    return tmp_path


def test_every_line_of_the_split_is_a_caption_with_its_facts(folder):
    needle = {"group": "needle", "start_s": 1, "end_s": 2.5, "video": "videos/a.mp4", "split": "test"}
    write(
        folder,
        line(**needle, event_frames=2, camera="left", attributes={"no": "tag"}, seen=[1]) | {"caption": "a  dog\n"},
        line("videos/b c.webm", split="train"),
        line(),
    )
    opened = open_dataset(str(folder), "test")
    assert opened.captions == (
        Caption("videos/a.mp4", "a dog", "needle", {"event_frames": 2, "camera": "left"}, 1.0, 2.5),
        Caption("videos/a.mp4", "a cat sleeps"),
    )
    assert opened.videos == (("videos/a.mp4", str(folder / "videos" / "a.mp4")),)
    assert (opened.name, opened.split, opened.missing, opened.notes) == ("captions", "test", (), ())
    assert pickle.loads(pickle.dumps(opened)) == opened


def test_a_uri_may_be_absolute_or_of_a_store_and_keeps_its_blanks(folder):
    absolute = str(folder / "videos" / "a.mp4")
    write(folder, line("videos/b c.webm"), line(absolute), line("s3://bucket/c.mp4"))
    places = {"videos/b c.webm": str(folder / "videos" / "b c.webm"), absolute: absolute}
    assert dict(open_dataset(f"captions:{folder}", "test").videos) == places | {
        "s3://bucket/c.mp4": "s3://bucket/c.mp4"
    }


def test_missing_videos_are_named_and_their_captions_counted(folder):
    write(folder, line(), line("videos/x.mp4"), line("videos/x.mp4"), line("videos/y.mp4"))
    opened = open_dataset(str(folder), "test")
    assert opened.missing == ("videos/x.mp4", "videos/y.mp4")
    assert (opened.absent_captions, len(opened.captions)) == (3, 1)
    assert "2 of 3 videos" in opened.missing_line()
    assert "videos/y.mp4" in opened.missing_line()


def test_a_set_without_any_video_is_refused(folder):
    write(folder, line("videos/x.mp4"))
    with pytest.raises(InputError, match=r"none of the 1 videos of captions test is there: videos/x\.mp4"):
        open_dataset(str(folder), "test")


def test_an_empty_split_tells_the_splits_there_are(folder):
    write(folder, line(), line("videos/b c.webm", split="train"))
    with pytest.raises(InputError, match="no split 'val'; it has test, train"):
        open_dataset(str(folder), "val")


def test_a_video_of_two_splits_is_refused(folder):
    write(folder, line(split="train"), line())
    with pytest.raises(InputError, match=r"line 2: videos/a\.mp4 is of split 'test' here and 'train' above"):
        open_dataset(str(folder), "test")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "line 2: no JSON"),
        ("[1]", "line 2: not an object"),
        ('{"caption": "x", "split": "test"}', "line 2: no text in 'uri'"),
        ('{"uri": "a", "caption": " ", "split": "test"}', "line 2: no text in 'caption'"),
        ('{"uri": "a", "caption": "x"}', "line 2: no text in 'split'"),
        ('{"uri": "a", "caption": "\\ud800", "split": "test"}', "line 2: 'caption' holds half a character"),
        ('{"uri": "a", "caption": "x", "split": "test", "start_s": "1"}', "line 2: start_s='1' is no time"),
        ('{"uri": "a", "caption": "x", "split": "test", "n": NaN}', "line 2: no JSON"),
        ('{"uri": "a", "caption": "x", "split": "test", "n": 1e999}', "line 2: no JSON (1e999 is too large a number)"),
        ('{"uri": "a", "caption": "x", "split": "test", "end_s": -1}', "line 2: end_s=-1 is no time"),
        ('{"uri": "a", "caption": "x", "split": "test", "group": 3}', "line 2: no text in 'group'"),
    ],
)
def test_a_malformed_line_is_named(folder, text, why):
    (folder / "captions.jsonl").write_text(f"{json.dumps(line())}\n{text}\n")
    with pytest.raises(InputError, match=r"captions\.jsonl") as caught:
        open_dataset(str(folder), "test")
    assert why in str(caught.value)


@pytest.mark.parametrize("spelling", ["./videos/a.mp4", "videos/../videos/a.mp4", "file://videos/a.mp4", "linked.mp4"])
def test_a_file_cannot_be_in_two_splits_under_two_names(folder, spelling):
    (folder / "linked.mp4").symlink_to(folder / "videos" / "a.mp4")
    write(folder, line(), line(spelling, split="train"))
    with pytest.raises(InputError, match=r"line 2.*is the file that was called videos/a\.mp4 above"):
        open_dataset(str(folder), "test")
