"""Tokens of clips in the form in which they are stored, and what a score needs of them: products, and mixed norms.

Shapes: B clips, N tokens of a clip, D channels, Q texts, P pairs of a text and a clip, R numbers in a record.
Tokens may lie inside records of a fine store: then all sets of a block of records are views of the same bytes.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from models.token_kernels import HALF, dots, mixed_norms, sign_dots


@dataclass(frozen=True)
class Pairs:
    """Which texts meet which clips.

    Attributes:
        text_QD: unit text vectors, float32.
        query_P: int64, a row of text_QD for each pair.
        clip_P: int64, a clip for each pair.
    """

    text_QD: np.ndarray
    query_P: np.ndarray
    clip_P: np.ndarray

    @classmethod
    def of_one(cls, text_D: np.ndarray, clips: int) -> Self:
        """One text and every clip, in order."""
        text_QD = np.ascontiguousarray(text_D, np.float32)[None]
        return cls(text_QD, np.zeros(clips, np.int64), np.arange(clips))

    def part(self, chosen: slice | np.ndarray) -> Self:
        """Some of the pairs: a range, or their numbers."""
        return type(self)(self.text_QD, self.query_P[chosen], self.clip_P[chosen])

    def __len__(self) -> int:
        return len(self.clip_P)


class TokenSet(Protocol):
    """N tokens of each of B clips."""

    @property
    def count(self) -> int:
        """N."""

    def dots(self, pairs: Pairs) -> np.ndarray:
        """Each pair's text . its clip's tokens, P x N float32."""

    def mixed_norms(self, weight_PN: np.ndarray, clip_P: np.ndarray) -> np.ndarray:
        """Norms of the weighted sums of tokens, P float32."""

    def inflated(self) -> np.ndarray:
        """What the stored form stands for, B x N x D float32."""


@dataclass(frozen=True)
class PlainTokens:
    """Floats.

    Attributes:
        data_BR: the records, float32 or float16, C order.
        first: where the tokens begin in a record, in numbers.
        count: N.
        dim: D.
    """

    data_BR: np.ndarray
    first: int
    count: int
    dim: int

    @classmethod
    def of(cls, tokens_BND: np.ndarray) -> Self:
        """Of an array that is not part of records."""
        clips, count, dim = tokens_BND.shape
        return cls(np.ascontiguousarray(tokens_BND).reshape(clips, count * dim), 0, count, dim)

    def dots(self, pairs: Pairs) -> np.ndarray:
        """P x N float32."""
        out_PN = np.empty((len(pairs), self.count), np.float32)
        dots(self._numbers(), self.first, pairs.text_QD, pairs.query_P, pairs.clip_P, out_PN)
        return out_PN

    def mixed_norms(self, weight_PN: np.ndarray, clip_P: np.ndarray) -> np.ndarray:
        """P float32."""
        out_P = np.empty(len(clip_P), np.float32)
        mixed_norms(self._numbers(), self.first, self.dim, np.ascontiguousarray(weight_PN), clip_P, out_P)
        return out_P

    def inflated(self) -> np.ndarray:
        """B x N x D float32."""
        tokens = self.data_BR[:, self.first : self.first + self.count * self.dim]
        return tokens.reshape(-1, self.count, self.dim).astype(np.float32)

    def _numbers(self) -> np.ndarray:
        return self.data_BR.view(HALF) if self.data_BR.dtype == np.float16 else self.data_BR


@dataclass(frozen=True)
class Int8Tokens:
    """Tokens of int8, each with a scale.

    Attributes:
        whole: the int8 numbers.
        scale_BN: float32; a token is its numbers times its scale.
    """

    whole: PlainTokens
    scale_BN: np.ndarray

    @property
    def count(self) -> int:
        """N."""
        return self.whole.count

    def dots(self, pairs: Pairs) -> np.ndarray:
        """P x N float32."""
        scale_PN: np.ndarray = self.scale_BN[pairs.clip_P]
        product_PN: np.ndarray = self.whole.dots(pairs) * scale_PN
        return product_PN

    def mixed_norms(self, weight_PN: np.ndarray, clip_P: np.ndarray) -> np.ndarray:
        """P float32."""
        return self.whole.mixed_norms(weight_PN * self.scale_BN[clip_P], clip_P)

    def inflated(self) -> np.ndarray:
        """B x N x D float32."""
        inflated_BND: np.ndarray = self.whole.inflated() * self.scale_BN[..., None]
        return inflated_BND


@dataclass(frozen=True)
class SignTokens:
    """One bit a channel: a token is the clip's centre plus its scale times its signs.

    Attributes:
        data_BR: the records as uint8, C order.
        first: byte where the signs begin in a record; a token has D / 8 bytes, rounded up, most significant bit first.
        centre: the clip's centre, one token.
        scale_BN: float32.
        dim: D.
    """

    data_BR: np.ndarray
    first: int
    centre: TokenSet
    scale_BN: np.ndarray
    dim: int

    @property
    def count(self) -> int:
        """N."""
        return int(self.scale_BN.shape[1])

    @property
    def width(self) -> int:
        """Bytes of a token."""
        return -(-self.dim // 8)

    def dots(self, pairs: Pairs) -> np.ndarray:
        """P x N float32."""
        out_PN = np.empty((len(pairs), self.count), np.float32)
        sign_dots(self.data_BR, self.first, self._table(pairs.text_QD), pairs.query_P, pairs.clip_P, out_PN)
        scale_PN: np.ndarray = self.scale_BN[pairs.clip_P]
        product_PN: np.ndarray = self.centre.dots(pairs) + out_PN * scale_PN
        return product_PN

    def mixed_norms(self, weight_PN: np.ndarray, clip_P: np.ndarray) -> np.ndarray:
        """P float32. It inflates: only the strong patch score asks for it, whose weight is 0 in the public code."""
        tokens_BND = self.inflated()
        mixed_PD = [weight_N @ tokens_BND[clip] for weight_N, clip in zip(weight_PN, clip_P, strict=True)]
        norm_P: np.ndarray = np.linalg.norm(np.array(mixed_PD, np.float32).reshape(-1, self.dim), axis=1)
        return norm_P

    def inflated(self) -> np.ndarray:
        """B x N x D float32."""
        packed = self.data_BR[:, self.first : self.first + self.count * self.width]
        bits = np.unpackbits(packed.reshape(-1, self.count, self.width), axis=-1, count=self.dim)
        sign_BND = 2.0 * bits.astype(np.float32) - 1.0
        inflated_BND: np.ndarray = self.centre.inflated() + sign_BND * self.scale_BN[..., None]
        return inflated_BND

    def _table(self, text_QD: np.ndarray) -> np.ndarray:
        """Q x bytes of a token x 256: the product of eight channels of a text with each pattern of eight signs."""
        texts, dim = text_QD.shape
        padded = np.zeros((texts, self.width * 8), np.float32)
        padded[:, :dim] = text_QD
        signs_8x256: np.ndarray = (
            2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[None], axis=0).astype(np.float32) - 1.0
        )
        table_QW256: np.ndarray = padded.reshape(texts, self.width, 8) @ signs_8x256.astype(np.float32)
        return table_QW256


@dataclass(frozen=True)
class NoTokens:
    """Tokens that were dropped."""

    clips: int
    dim: int

    @property
    def count(self) -> int:
        """N = 0."""
        return 0

    def dots(self, pairs: Pairs) -> np.ndarray:
        """P x 0."""
        return np.empty((len(pairs), 0), np.float32)

    def mixed_norms(self, weight_PN: np.ndarray, clip_P: np.ndarray) -> np.ndarray:
        """P zeros."""
        return np.zeros(len(clip_P), np.float32)

    def inflated(self) -> np.ndarray:
        """B x 0 x D."""
        return np.empty((self.clips, 0, self.dim), np.float32)
