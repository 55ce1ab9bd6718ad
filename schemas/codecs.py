"""Names of the forms in which an index may store fine tokens."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

# Largest first; `pooled-N` stands for one name a number N.
CODECS: Final = ("fp32", "fp16", "int8", "1bit", "pooled-N", "frames")
_POOLED: Final = re.compile(r"pooled-([1-9]\d{0,2})")


def merged_tokens(name: str) -> int | None:
    """N of `pooled-N`, 1 to 999; None of another name.

    >>> merged_tokens("pooled-23"), merged_tokens("fp16"), merged_tokens("pooled-0")
    (23, None, None)
    """
    match = _POOLED.fullmatch(name)
    return int(match[1]) if match else None


def _known(name: str) -> str:
    if name not in CODECS[:-2] + CODECS[-1:] and merged_tokens(name) is None:
        raise ValueError(f"must be one of {', '.join(CODECS)} (N patches a clip, 1 to 999)")
    return name


CodecName = Annotated[str, AfterValidator(_known)]
