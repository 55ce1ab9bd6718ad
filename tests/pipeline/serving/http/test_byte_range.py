"""A range is what RFC 9110 says, in 14.1.2 and 14.2; what is none is passed over."""

import pytest

from pipeline.serving.http.byte_range import ByteRange, UnsatisfiableError, wanted_range


@pytest.mark.parametrize(
    ("header", "start", "count"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 100),
        ("bytes=90-200", 90, 10),
        ("bytes=99-", 99, 1),
        ("bytes=-1", 99, 1),
        ("bytes=-500", 0, 100),
        ("bytes= 5 - 6 ", 5, 2),
    ],
)
def test_a_range_is_read(header, start, count):
    assert wanted_range(header, 100, 1000) == ByteRange(start, count)


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=0-1,5-6", "items=0-1", "bytes=--1"),
        *("bytes=0x1-2", "bytes=1.5-2", "bytes=" + "9" * 40 + "-", "bytes=٣-٤"),
    ],
)
def test_what_is_no_single_range_means_the_whole(header):
    assert wanted_range(header, 100, 1000) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_a_range_without_a_byte_is_refused(header, size):
    with pytest.raises(UnsatisfiableError):
        wanted_range(header, size, 1000)


def test_a_long_range_is_cut():
    assert wanted_range("bytes=10-", 10**12, 4096) == ByteRange(10, 4096)
