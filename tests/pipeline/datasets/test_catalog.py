import pytest

from pipeline.datasets.catalog import check_spec, parse_spec
from schemas.errors import ConfigError, InputError


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path):
    assert parse_spec(f"{tmp_path}/a:b") == parse_spec(f"captions:{tmp_path}/a:b")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("imagenet:clips", "no set is named 'imagenet'; there are captions"),
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
