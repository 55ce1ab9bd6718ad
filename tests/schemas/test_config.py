import pytest

from schemas.config import ExtractConfig, ServeConfig
from schemas.config_file import parse_set, read_config_file
from schemas.data_config import DataConfig
from schemas.errors import ConfigError

GOOD = {"input": ["videos"], "tables": "out"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"tables": "out"}, "'input' is missing"),
        (GOOD | {"inptu": 1}, "unknown setting 'inptu'; known: .*input"),
        (GOOD | {"input": []}, "'input'"),
        (GOOD | {"clips": "fixed:0"}, "fixed:SECONDS"),
        (GOOD | {"clips": "scene"}, "'clips' = 'scene'"),
        (GOOD | {"max_bad_fraction": 2}, "max_bad_fraction"),
        (GOOD | {"max_bad_fraction": "many"}, "'many'"),
        (GOOD | {"videos_per_task": 0}, "videos_per_task"),
        (GOOD | {"precision": "fp8"}, "precision"),
        (GOOD | {"input": [""]}, "'input.0' = ''"),
        (GOOD | {"model": ""}, "'model' = ''"),
        (GOOD | {"clips": "fixed:0.001"}, "within 0.01 and 2592000"),
        (GOOD | {"clips": "fixed:" + "9" * 400}, r"9\.\.\.: .*within 0.01 and 2592000"),
        (GOOD | {"clips": "scenes:" + "9" * 400}, "at most 255"),
        (GOOD | {"decode_timeout_s": "inf"}, "'inf': .*finite"),
        (GOOD | {"decode_cpu_s": float("nan")}, "finite"),
        (GOOD | {"max_bad_fraction": "nan"}, "finite"),
        (GOOD | {"decode_timeout_s": 1e300}, "less than or equal to 604800"),
        (GOOD | {"memory_budget_gb": 1e300}, "less than or equal to 1000000"),
        (GOOD | {"memory_budget_gb": 0.01}, "greater than or equal to 0.1"),
        (GOOD | {"encode_batch_frames": 10**9}, "less than or equal to 65536"),
        (GOOD | {"decoders": 10**6}, "less than or equal to 1024"),
        (GOOD | {"decoders": True}, "'decoders' = True: must be a number"),
        (GOOD | {"decode_timeout_s": True}, "must be a number"),
        (GOOD | {"decoder": "opencv"}, "'decoder' = 'opencv': .*'auto', 'pyav' or 'torchcodec'"),
        (GOOD | {"decoder": "torchcodec", "memory_budget_gb": 4}, "give no memory_budget_gb"),
        (GOOD | {"decoder": "torchcodec", "decode_memory_mb": 512}, "decode_memory_mb of at least 1536"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_in_one_line(values, says):
    with pytest.raises(ConfigError, match=says) as error:
        ExtractConfig.of(values)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("rule", ["whole", "fixed:10", "fixed:2.5"])
def test_clip_rules_of_the_contract_are_accepted(rule):
    assert ExtractConfig.of(GOOD | {"clips": rule}).clips == rule


def test_a_number_within_a_list_is_no_truth_either_and_a_switch_still_is():
    with pytest.raises(ConfigError, match=r"'event_frames' = .*must be a number"):
        DataConfig.of({"out": "o", "event_frames": [True, 2]})
    assert ServeConfig.of({"index": "i", "no_auth": True}).no_auth


def test_settings_cannot_be_changed_later():
    with pytest.raises(ValueError, match="frozen"):
        ServeConfig.of({"index": "i"}).port = 1


def test_files_and_pairs(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("input: [a, b]\nmax_bad_fraction: 0.5\n")
    assert read_config_file(str(path)) == {"input": ["a", "b"], "max_bad_fraction": 0.5}
    path.write_text("")
    assert read_config_file(str(path)) == {}
    assert parse_set(["a=b=c", "n=null"]) == {"a": "b=c", "n": None}


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "\x00", "a: " + "[" * 3000, "a: 2020-13-45"])
def test_a_broken_config_file_is_one_line(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml") as error:
        read_config_file(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[" * 3000, "9" * 5000])
def test_a_value_that_no_parser_takes_is_text(text):
    assert parse_set([f"k={text}"]) == {"k": text}


@pytest.mark.parametrize("pair", ["novalue", "=x"])
def test_a_broken_set_is_one_line(pair):
    with pytest.raises(ConfigError, match="key=value"):
        parse_set([pair])


def test_a_missing_config_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_config_file(str(tmp_path / "none.yaml"))
