"""An address is good as it was made, for some hours, and in no other form."""

from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.serving.http.signed_links import Links, expiry, is_over

LINKS = Links(b"k" * 32)


def parts(address):
    split = urlsplit(address)
    kind, clip_id = split.path.strip("/").split("/")
    return kind, clip_id, {name: values[0] for name, values in parse_qs(split.query).items()}


def is_ours(links, kind, clip_id, query):
    return links.is_ours(kind, clip_id, int(query["expires"]), query["signature"], query.get("t", ""))


@pytest.mark.parametrize("address", [LINKS.media("c1"), LINKS.thumbnail("c1", 1.5)])
def test_an_address_is_known_again_by_the_same_key_only(address):
    kind, clip_id, query = parts(address)
    assert is_ours(LINKS, kind, clip_id, query)
    assert not is_over(int(query["expires"]))
    assert not is_ours(Links(b"x" * 32), kind, clip_id, query)


@pytest.mark.parametrize(
    ("kind", "clip_id", "changed"),
    [
        ("media", "c2", {}),
        ("thumbnails", "c1", {}),
        ("media", "c1", {"expires": "99999999999"}),
        ("media", "c1", {"t": "1.000"}),
        ("media", "c1", {"signature": ""}),
        ("media", "c1", {"signature": "ä"}),
    ],
)
def test_nothing_of_it_can_be_changed(kind, clip_id, changed):
    query = parts(LINKS.media("c1"))[2]
    assert not is_ours(LINKS, kind, clip_id, query | changed)


def test_an_address_ends_and_equal_ones_are_made_within_an_hour():
    assert expiry(3600.0) == expiry(7199.0) < expiry(7200.0)
    assert is_over(expiry(0.0))
    assert LINKS.key.decode() not in repr(LINKS)
