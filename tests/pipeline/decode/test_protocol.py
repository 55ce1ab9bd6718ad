import io
import struct

import pytest

from pipeline.decode.protocol import MAX_HEADER_BYTES, receive, send


def test_a_message_arrives_as_it_was_sent():
    pipe = io.BytesIO()
    send(pipe, {"kind": "clip", "name": "\udcff"}, b"\x00\x01")
    pipe.seek(0)
    assert receive(pipe.read, 2) == ({"kind": "clip", "name": "\udcff", "num_bytes": 2}, b"\x00\x01")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", MAX_HEADER_BYTES + 1),
        struct.pack("<I", 2) + b"[]",
        struct.pack("<I", 2) + b"{}",
        struct.pack("<I", 2) + b"{{",
        struct.pack("<I", 16) + b'{"num_bytes": 9}' + b"123456789",
        struct.pack("<I", 17) + b'{"num_bytes": -1}',
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011  (several kinds of nonsense)
        receive(io.BytesIO(data).read, 8)
