"""Floats, as the tables have them (fp16) or wider (fp32)."""

from dataclasses import dataclass

import numpy as np

from models.token_sets import PlainTokens
from pipeline.index.codecs.form import Field, RecordBlock


@dataclass(frozen=True)
class PlainForm:
    """Numbers of one type.

    Attributes:
        number: "<f2" or "<f4".
    """

    number: str

    def fields(self, name: str, count: int, dim: int) -> list[Field]:
        """The tokens."""
        return [(name, self.number, (count, dim))]

    def encode(self, tokens_BND: np.ndarray, real_BN: np.ndarray, records_B: np.ndarray, name: str) -> None:
        """Widen or narrow; padding is kept, for a profile may let it vote."""
        records_B[name] = tokens_BND

    def tokens(self, block: RecordBlock, name: str, dim: int) -> PlainTokens:
        """A view."""
        return PlainTokens(*block.numbers(name), block.dtype[name].shape[0], dim)

    def merged(self, block: RecordBlock, name: str) -> None:
        """Each token stands for itself."""
