import pytest

from pipeline.datasets.catalog import PUBLISHED, check_spec, open_dataset, parse_spec
from schemas.errors import ConfigError, InputError


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path):
    assert parse_spec(f"{tmp_path}/a:b") == parse_spec(f"captions:{tmp_path}/a:b")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("imagenet:clips", "no set is named 'imagenet'; there are captions, msrvtt-1ka"),
        ("captions:", "give a folder"),
        ("", "give a folder"),
        ("captions:s3://bucket/a", "give a local folder"),
        ("s3://bucket/a", "give a local folder"),
    ],
)
def test_a_spec_that_names_nothing_is_refused(spec, why):
    with pytest.raises(ConfigError, match=why):
        check_spec(spec)


def test_a_folder_that_is_not_there_or_holds_no_captions_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        check_spec(f"{tmp_path}/gone")
    with pytest.raises(InputError, match=r"holds no captions\.jsonl; for a published set write NAME:FOLDER"):
        check_spec(str(tmp_path))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_set_without_its_files_names_one(tmp_path, name):
    for split in ("train", "val", "test"):
        with pytest.raises(InputError, match=r"^no \S+\.(json|csv|txt|pkl) .*see docs/datasets\.md$"):
            open_dataset(f"{name}:{tmp_path}", split)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_set_has_three_splits(tmp_path, name):
    with pytest.raises(ConfigError, match="has train, val, test"):
        open_dataset(f"{name}:{tmp_path}", "dev")


def test_video_files_of_one_name_are_told(folder):
    folder.json("val_1.json", {"v_a": {"duration": 1.0, "timestamps": [[0, 1]], "sentences": ["A man runs."]}})
    folder.videos("v_a.mp4", "small/v_a.mp4")
    opened = open_dataset(folder.spec("activitynet"), "test")
    assert opened.videos == (("v_a", str(folder.root / "videos" / "small" / "v_a.mp4")),)
    assert any("more than one video file, and the first by path is taken: v_a" in note for note in opened.notes)
