"""From the name of a codec to the codec. A name never changes its meaning: shards at rest depend on it."""

from typing import Final

from pipeline.index.codecs.codec import Codec
from pipeline.index.codecs.int8 import Int8Form
from pipeline.index.codecs.plain import PlainForm
from pipeline.index.codecs.pooled import PooledForm
from pipeline.index.codecs.signs import SignForm
from schemas.codecs import CODECS, merged_tokens
from schemas.errors import IndexCorruptError

_INT8: Final = Int8Form()
_NAMED: Final = {
    codec.name: codec
    for codec in (
        Codec("fp32", PlainForm("<f4"), PlainForm("<f4")),
        Codec("fp16", PlainForm("<f2"), PlainForm("<f2")),
        Codec("int8", _INT8, _INT8),
        Codec("1bit", _INT8, SignForm()),
        Codec("frames", _INT8, None),
    )
}


def codec_of(name: str) -> Codec:
    """The codec of a name that stands in a manifest.

    Raises:
        IndexCorruptError: no codec has this name here.
    """
    most = merged_tokens(name)
    if most is not None:
        return Codec(name, _INT8, PooledForm(most))
    if name not in _NAMED:
        raise IndexCorruptError(
            f"the index stores its tokens with the codec {name!r}, which this release does not know (it knows "
            f"{', '.join(CODECS)}): take the release that built it, or build the index anew"
        )
    return _NAMED[name]
