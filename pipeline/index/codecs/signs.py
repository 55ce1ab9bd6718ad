"""One bit a channel: on which side of the clip's mean token it lies, with one scale a token.

The scale ||r||^2 / ||r||_1 of a residual r makes its product with itself exact, and that with a random direction
unbiased (RaBitQ, Gao and Long 2024, without its rotation: the channels of a transformer's tokens are mixed already).
"""

from dataclasses import dataclass

import numpy as np

from models.token_sets import PlainTokens, SignTokens
from pipeline.index.codecs.form import Field, RecordBlock


@dataclass(frozen=True)
class SignForm:
    """Signs of what differs from the mean of the clip's real tokens."""

    def fields(self, name: str, count: int, dim: int) -> list[Field]:
        """Scales, the mean and the bits."""
        return [
            (f"{name}_scale", "<f4", (count,)),
            (f"{name}_centre", "<f2", (1, dim)),
            (name, "u1", (count, -(-dim // 8))),
        ]

    def encode(self, tokens_BND: np.ndarray, real_BN: np.ndarray, records_B: np.ndarray, name: str) -> None:
        """Centre, then keep signs; a tie is a plus."""
        tokens_BND = tokens_BND.astype(np.float32)
        weight_BN1 = real_BN[..., None].astype(np.float32)
        centre_B1D = (tokens_BND * weight_BN1).sum(1, keepdims=True) / weight_BN1.sum(1, keepdims=True).clip(1)
        records_B[f"{name}_centre"] = centre_B1D
        rest_BND = tokens_BND - records_B[f"{name}_centre"]
        size_BN = np.abs(rest_BND).sum(-1)
        records_B[f"{name}_scale"] = (rest_BND**2).sum(-1) / np.where(size_BN > 0, size_BN, 1)
        records_B[name] = np.packbits(rest_BND >= 0, axis=-1)

    def tokens(self, block: RecordBlock, name: str, dim: int) -> SignTokens:
        """A view."""
        centre = PlainTokens(*block.numbers(f"{name}_centre"), 1, dim)
        data_BX, first = block.numbers(name)
        return SignTokens(data_BX, first, centre, block.values(f"{name}_scale"), dim)

    def merged(self, block: RecordBlock, name: str) -> None:
        """Each token stands for itself."""
