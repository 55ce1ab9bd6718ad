"""What a form of storing tokens must do, and the block of records that it reads from.

Shapes: B clips, N tokens of a clip, D channels, X bytes of a record.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from models.token_sets import TokenSet

# Name, type, shape: as numpy describes a field of a record.
Field = tuple[str, str, tuple[int, ...]]


@dataclass(frozen=True)
class RecordBlock:
    """Records as they were read; all that is taken out of them is a view.

    Attributes:
        data_BX: uint8, C order.
        dtype: of a record; its size is a multiple of 64, and its fields are aligned.
    """

    data_BX: np.ndarray
    dtype: np.dtype

    def __len__(self) -> int:
        return len(self.data_BX)

    def numbers(self, field: str) -> tuple[np.ndarray, int]:
        """The whole records as numbers of the field's type, and the place of the field's first one."""
        fields: Any = self.dtype.fields
        base = self.dtype[field].base
        return self.data_BX.view(base), fields[field][1] // base.itemsize

    def values(self, field: str) -> np.ndarray:
        """The field of each record, B x its shape."""
        values: np.ndarray = self.data_BX.view(self.dtype)[:, 0][field]
        return values


class TokenForm(Protocol):
    """One form. `name` is what a record calls these tokens; fields of the form begin with it."""

    def fields(self, name: str, count: int, dim: int) -> list[Field]:
        """The fields of a clip's `count` tokens."""

    def encode(self, tokens_BND: np.ndarray, real_BN: np.ndarray, records_B: np.ndarray, name: str) -> None:
        """Fill the fields.

        Args:
            tokens_BND: float16 or float32.
            real_BN: bool, False for tokens that no score may see.
            records_B: written to.
            name: of the tokens.
        """

    def tokens(self, block: RecordBlock, name: str, dim: int) -> TokenSet:
        """The tokens of a block, as they are scored."""

    def merged(self, block: RecordBlock, name: str) -> np.ndarray | None:
        """How many of the original tokens each token stands for, B x N; None where each stands for itself."""
