"""Keys come from a file or the environment, are refused when they are none, and stay out of sight."""

import pickle

import pytest

from pipeline.serving.http.api_keys import access_of
from schemas.config import ServeConfig
from schemas.errors import ConfigError

KEY, ADMIN = "k" * 30, "a" * 30


@pytest.fixture
def files(tmp_path):
    (tmp_path / "keys").write_text(f"# of the team\n\n{KEY}\n  {KEY}2  \n")
    (tmp_path / "admin").write_text(f"{ADMIN}\n")
    return tmp_path


def test_keys_of_a_file_are_known_and_no_others(files):
    access = access_of(ServeConfig(index="i", api_keys=str(files / "keys"), admin_keys=str(files / "admin")))
    assert [access.may_search(token) for token in (KEY, KEY + "2", ADMIN)] == [True, True, True]
    assert not any(access.may_search(token) for token in (None, "", KEY[:-1], KEY + "3", "# of the team", "ключ\ud800"))
    assert access.may_administer(ADMIN)
    assert not access.may_administer(KEY)


def test_keys_of_the_environment(monkeypatch):
    monkeypatch.setenv("SOME_KEYS", f"{KEY}, {ADMIN}\n")
    access = access_of(ServeConfig(index="i", api_keys="env:SOME_KEYS"))
    assert access.may_search(KEY)
    assert access.may_search(ADMIN)
    # Without admin keys nobody may change what is served, whatever key comes.
    assert not access.may_administer(ADMIN)


def test_what_travels_holds_no_key_and_no_two_services_the_same_hash(files):
    config = ServeConfig(index="i", api_keys=str(files / "keys"))
    access = access_of(config)
    assert KEY.encode() not in pickle.dumps((config, access))
    assert KEY not in repr(access)
    assert access.api != access_of(config).api


def test_without_keys_this_machine_may_do_everything_and_strangers_only_search():
    local = access_of(ServeConfig(index="i"))
    assert (local.local_only, local.may_search(None), local.may_administer(None)) == (True, True, True)
    public = access_of(ServeConfig(index="i", host="0.0.0.0", no_auth=True))
    assert (public.local_only, public.may_search(None), public.may_administer(None)) == (False, True, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "holds no key"), ("# none\n", "holds no key"), ("s3cret", "key 1 has 6"), ("ä" * 30, "key 1")],
)
def test_a_file_without_good_keys_is_refused_and_nothing_of_it_shown(tmp_path, text, says):
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        access_of(ServeConfig(index="i", api_keys=str(tmp_path / "keys")))
    assert not text.strip() or text not in str(caught.value)


@pytest.mark.parametrize("where", ["env:NO_SUCH_VARIABLE", "/no/such/file", "/proc/self"])
def test_keys_that_are_not_there_are_one_line(where):
    with pytest.raises(ConfigError, match=where) as caught:
        access_of(ServeConfig(index="i", admin_keys=where))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "search.example"])
def test_an_address_that_others_reach_needs_keys_or_an_explicit_choice(host):
    with pytest.raises(ConfigError, match=r"--api-keys FILE, or --no-auth"):
        ServeConfig.of({"index": "i", "host": host})
    assert not ServeConfig.of({"index": "i", "host": host, "no_auth": True}).serves_media
    assert ServeConfig.of({"index": "i", "host": host, "api_keys": "f"}).serves_media


def test_no_keys_and_keys_at_once_make_no_sense():
    with pytest.raises(ConfigError, match="contradict"):
        ServeConfig.of({"index": "i", "no_auth": True, "api_keys": "f"})
