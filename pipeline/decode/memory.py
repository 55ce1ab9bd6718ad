"""What decoding must hold at the least, known from the header alone: a bomb is refused before a picture is decoded."""

from typing import Any, Final

from schemas.errors import BadVideoError

MAX_PIXELS: Final = 64_000_000  # above 8K, and above what any decoder should be asked for
# The picture itself, the two it is predicted from, and the one that is being decoded; deep codecs hold up to 16 more.
_LEAST_PICTURES: Final = 4
# One RGB picture as FFmpeg converts it and once more as Pillow holds it.
_RGB_BYTES: Final = 6


def least_bytes(width: int, height: int, bytes_per_pixel: float = 1.5) -> int:
    """Bytes that no decoder of such a video gets by with less than.

    Args:
        width: stored, in pixels.
        height: stored, in pixels.
        bytes_per_pixel: of a stored picture; 1.5 for 8-bit 4:2:0, 3 for 10-bit.

    >>> least_bytes(3840, 2160) >> 20, least_bytes(7680, 4320, 3.0) >> 20
    (94, 569)
    """
    return round(width * height * (_LEAST_PICTURES * bytes_per_pixel + _RGB_BYTES))


def check_pixels(width: int, height: int) -> None:
    """Refuse pictures of more pixels than any real video has.

    Raises:
        BadVideoError: too_large.
    """
    if width * height > MAX_PIXELS:
        raise BadVideoError("too_large", f"pictures of {width} x {height}, above the limit of {MAX_PIXELS} pixels")


def check_size(context: Any, memory_bytes: int) -> None:
    """Refuse a stream whose pictures cannot be decoded within the limit.

    Args:
        context: PyAV's codec context, opened but not yet used; it says 0 x 0 where the header says nothing.
        memory_bytes: the limit; 0 for none.

    Raises:
        BadVideoError: too_large, with the figures.
    """
    width, height = int(context.width or 0), int(context.height or 0)
    check_pixels(width, height)
    needed = least_bytes(width, height, _bytes_per_pixel(context.format))
    if memory_bytes and needed > memory_bytes:
        raise BadVideoError(
            "too_large",
            f"pictures of {width} x {height} need {needed >> 20} MiB at the least, above {memory_bytes >> 20} MiB",
        )


def _bytes_per_pixel(pixel_format: Any) -> float:
    """Bytes of a stored pixel; 8-bit 4:2:0 where the header does not say."""
    bits: int = getattr(pixel_format, "padded_bits_per_pixel", 0) or 12
    return bits / 8
