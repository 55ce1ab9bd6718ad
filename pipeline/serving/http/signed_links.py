"""Addresses of a clip's video and picture: made by the service alone, and good for some hours."""

import base64
import hmac
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

MEDIA, THUMBNAILS = "media", "thumbnails"
_HASH = "sha256"
# Half of it: nobody guesses 128 bits, and a list of hits stays short.
_SIGNATURE_BYTES = 16
_HOUR_S = 3600
_LIFE_HOURS = 6


@dataclass(frozen=True)
class Links:
    """Makes addresses and knows its own again.

    Attributes:
        key: secret, the same in all replicas.
    """

    key: bytes = field(repr=False)

    def media(self, clip_id: str) -> str:
        """Path of a clip's video."""
        return self._signed(MEDIA, clip_id, {})

    def thumbnail(self, clip_id: str, time_s: float) -> str:
        """Path of a picture of a clip's video.

        Args:
            clip_id: of the clip.
            time_s: presentation time.
        """
        return self._signed(THUMBNAILS, clip_id, {"t": f"{time_s:.3f}"})

    def is_ours(self, kind: str, clip_id: str, expires: int, signature: str, time: str = "") -> bool:
        """Whether an address was made with this key. Whether it is still good is another question: `is_over`."""
        mine = self._signature(kind, clip_id, expires, time)
        return hmac.compare_digest(mine, signature.encode("utf-8", "surrogatepass"))

    def _signed(self, kind: str, clip_id: str, more: dict[str, str]) -> str:
        expires = expiry(time.time())
        signature = self._signature(kind, clip_id, expires, more.get("t", "")).decode()
        query = urlencode({**more, "expires": expires, "signature": signature})
        return f"/{kind}/{quote(clip_id, safe='')}?{query}"

    def _signature(self, kind: str, clip_id: str, expires: int, time: str) -> bytes:
        # No part holds a line feed but a clip_id, which stands last.
        text = f"{kind}\n{expires}\n{time}\n{clip_id}".encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(hmac.digest(self.key, text, _HASH)[:_SIGNATURE_BYTES]).rstrip(b"=")


def expiry(now_s: float) -> int:
    """When an address made now ends, in seconds of Unix time.

    It steps by the hour, so that equal searches give equal addresses, and a browser need not fetch a picture again.

    >>> expiry(7200.0), expiry(10799.0), expiry(10800.0)
    (28800, 28800, 32400)
    """
    return (int(now_s) // _HOUR_S + _LIFE_HOURS) * _HOUR_S


def is_over(expires: int) -> bool:
    """Whether an address is no longer good."""
    return expires < time.time()
