"""One byte a channel, with one scale a token: the largest channel becomes 127."""

from dataclasses import dataclass

import numpy as np

from models.token_sets import Int8Tokens, PlainTokens
from pipeline.index.codecs.form import Field, RecordBlock

_LARGEST = 127


@dataclass(frozen=True)
class Int8Form:
    """Symmetric int8."""

    def fields(self, name: str, count: int, dim: int) -> list[Field]:
        """Scales and numbers."""
        return [(f"{name}_scale", "<f4", (count,)), (name, "i1", (count, dim))]

    def encode(self, tokens_BND: np.ndarray, real_BN: np.ndarray, records_B: np.ndarray, name: str) -> None:
        """Round to the nearest; a token of zeros has the scale 0."""
        tokens_BND = tokens_BND.astype(np.float32)
        scale_BN = np.abs(tokens_BND).max(-1, initial=0.0) / np.float32(_LARGEST)
        records_B[f"{name}_scale"] = scale_BN
        records_B[name] = np.rint(tokens_BND / np.where(scale_BN > 0, scale_BN, 1)[..., None])

    def tokens(self, block: RecordBlock, name: str, dim: int) -> Int8Tokens:
        """A view."""
        whole = PlainTokens(*block.numbers(name), block.dtype[name].shape[0], dim)
        return Int8Tokens(whole, block.values(f"{name}_scale"))

    def merged(self, block: RecordBlock, name: str) -> None:
        """Each token stands for itself."""
