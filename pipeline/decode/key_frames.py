"""Whether decoding may begin at a key frame and lose nothing.

A container also flags pictures as key frames behind which some pictures need earlier ones: open groups of pictures
(the default of x265) and gradual refresh. A decoder that seeks there drops those pictures; one that finds frames by
counting, as decord does, then hands out wrong frames without an error.
"""

_H264_IDR = 5
_H264_SLICES = range(1, 6)
_HEVC_IDR = (19, 20)
_HEVC_SLICES = range(32)
_AVCC_LENGTH_BYTE = 4
_HVCC_LENGTH_BYTE = 21
_MAX_UNITS = 64


def is_clean_key(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Whether a key frame's first slice is one that cuts off all that came before.

    Args:
        codec: FFmpeg's name; of others than h264 and hevc each key frame is clean.
        extradata: the stream's avcC or hvcC record; without one the packet cannot be read, and is not clean.
        packet: the key frame, as length-prefixed units.
    """
    if codec == "h264":
        kinds = [unit & 0x1F for unit in _unit_headers(extradata, _AVCC_LENGTH_BYTE, packet)]
        return next((kind for kind in kinds if kind in _H264_SLICES), 0) == _H264_IDR
    if codec == "hevc":
        kinds = [unit >> 1 & 0x3F for unit in _unit_headers(extradata, _HVCC_LENGTH_BYTE, packet)]
        return next((kind for kind in kinds if kind in _HEVC_SLICES), 0) in _HEVC_IDR
    return True


def _unit_headers(extradata: bytes, length_byte: int, packet: bytes) -> list[int]:
    """The first byte of each unit of a packet, as far as lengths make sense."""
    if len(extradata) <= length_byte or extradata[0] != 1:
        return []
    prefix = (extradata[length_byte] & 3) + 1
    headers: list[int] = []
    at = 0
    while at + prefix < len(packet) and len(headers) < _MAX_UNITS:
        headers.append(packet[at + prefix])
        at += prefix + int.from_bytes(packet[at : at + prefix], "big")
    return headers
