"""The child that makes pictures: `python -m pipeline.decode.still_worker`, spoken to as the one that decodes.

A request is {"still": {"uri", "time_s", "max_side_px"}, "cpu_s", "memory_bytes"}; after "accepted" comes
{"kind": "still"} with a JPEG, or {"kind": "bad", "reason", "detail"}. An object of a store is read in pieces, as far as
the decoder asks for them.
"""

import io
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, cast

from pipeline.decode.protocol import send
from pipeline.decode.source import check_file
from pipeline.decode.worker import limit_cpu, serve
from pipeline.storage import filesystem, is_remote
from pipeline.thumbnail import frame_at
from schemas.errors import BadVideoError

_QUALITY = 82
_PIECE_BYTES = 1 << 20


def main() -> None:
    """Make pictures until stdin ends."""
    serve(_answer)


def _answer(header: dict[str, Any], answers: BinaryIO) -> None:
    limit_cpu(header["cpu_s"])
    try:
        send(answers, {"kind": "still"}, _jpeg(**header["still"]))
    except BrokenPipeError:
        sys.exit(0)
    except BadVideoError as error:
        _send_bad(answers, error.reason, error.detail)
    except MemoryError:
        _send_bad(answers, "memory", "an allocation failed")
    except Exception as error:  # noqa: BLE001  (a file must not end the process by an error nobody thought of)
        _send_bad(answers, "decode_error", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _send_bad(answers: BinaryIO, reason: str, detail: str) -> None:
    send(answers, {"kind": "bad", "reason": reason, "detail": detail})


def _jpeg(uri: str, time_s: float, max_side_px: int) -> bytes:
    with _opened(uri) as source:
        picture = frame_at(source, time_s, max_side_px)
    written = io.BytesIO()
    picture.convert("RGB").save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _opened(uri: str) -> AbstractContextManager[str | BinaryIO]:
    if not is_remote(uri):
        check_file(uri)
        return nullcontext(uri)
    file = filesystem(uri).open(uri, "rb", block_size=_PIECE_BYTES, cache_type="readahead")
    return cast("AbstractContextManager[str | BinaryIO]", file)


if __name__ == "__main__":
    main()
