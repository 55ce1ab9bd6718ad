"""The Range header of RFC 9110: which bytes of a file are wanted."""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*")


class UnsatisfiableError(Exception):
    """No byte of the file is in the range."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes from `start` on, `count` of them."""

    start: int
    count: int

    def content_range(self, size: int) -> str:
        """Value of Content-Range.

        >>> ByteRange(2, 3).content_range(10)
        'bytes 2-4/10'
        """
        return f"bytes {self.start}-{self.start + self.count - 1}/{size}"


def wanted_range(header: str | None, size: int, limit: int) -> ByteRange | None:
    """The range that a header asks for; None for the whole file.

    What is no range of bytes, or several at once, counts as no header at all, as the RFC allows. A longer range than
    the limit is cut: whoever asked sees by Content-Range where to go on.

    >>> wanted_range("bytes=2-4", 10, 100), wanted_range("bytes=-3", 10, 100), wanted_range("bytes=4-", 10, 2)
    (ByteRange(start=2, count=3), ByteRange(start=7, count=3), ByteRange(start=4, count=2))

    Args:
        header: of the request.
        size: bytes of the file.
        limit: the most bytes to answer with.

    Raises:
        UnsatisfiableError: it begins behind the end of the file, or asks for its last 0 bytes.
    """
    found = _ONE_RANGE.fullmatch(header or "")
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or end < start:
        raise UnsatisfiableError
    return ByteRange(start, min(end - start + 1, limit))
