import pytest

from pipeline.local_folder import open_folder
from schemas.errors import StorageError, UsageError


def test_a_missing_folder_is_made_and_one_that_is_there_kept(tmp_path):
    out = open_folder(f"file://{tmp_path}/a/b")
    (out / "kept").touch()
    assert open_folder(str(tmp_path / "a" / "b")) == out == tmp_path / "a" / "b"
    assert (out / "kept").exists()


def test_a_bucket_or_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for text, says in (("s3://bucket/x", "give a local folder"), (str(tmp_path / "file"), "a file is in the way")):
        with pytest.raises(UsageError, match=says):
            open_folder(text)


def test_a_place_that_cannot_be_written_is_named():
    with pytest.raises(StorageError, match="cannot make the folder /proc/none"):
        open_folder("/proc/none")
