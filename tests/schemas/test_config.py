import pytest

from schemas.config import ExtractConfig, ServeConfig
from schemas.config_file import parse_set, read_config_file
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
