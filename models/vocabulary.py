"""A small vocabulary cut out of CLIP's: a bundle for a few hundred words needs no table of 49,408 rows.

Compact ids, in this order: 0 padding, 1 any piece that is not kept, then the kept pieces as listed, then the start
and the end token. The end token keeps the largest id, which CLIP's argmax pooling looks for.
"""

from collections.abc import Callable, Iterable, Sequence

import open_clip
import torch
from torch import Tensor

from schemas.errors import UnknownModelError

TokenizeTexts = Callable[[list[str]], Tensor]
PADDING, UNKNOWN = 0, 1
_RESERVED = 2  # rows before the pieces
_MARKERS = 2  # rows behind them: start and end of text


def vocabulary_rows(pieces: Sequence[str]) -> int:
    """Rows of the token table that a vocabulary needs.

    >>> vocabulary_rows(["red</w>", "star</w>"])
    6
    """
    return _RESERVED + len(pieces) + _MARKERS


def pieces_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The BPE pieces of texts, sorted; "</w>" ends a word.

    >>> pieces_of(["a red star"])
    ('a</w>', 'red</w>', 'star</w>')
    """
    tokenizer = open_clip.SimpleTokenizer()
    ids = {token for text in texts for token in tokenizer.encode(text)}
    return tuple(sorted(tokenizer.decoder[token] for token in ids))


class CompactTokenizer:
    """CLIP's own splitting of a text, mapped to compact ids.

    Args:
        pieces: the kept BPE pieces, in the order of their rows.
        context_length: tokens a text, start and end included; a longer text is cut, and keeps its end token.
        label: how to call the model in an error.

    Raises:
        UnknownModelError: a piece is none of CLIP's, or stands twice.
    """

    def __init__(self, pieces: Sequence[str], context_length: int, label: str) -> None:
        self.context_length = context_length
        self._full = open_clip.SimpleTokenizer(context_length=context_length)
        foreign = sorted(set(pieces) - set(self._full.encoder))
        if foreign:
            raise UnknownModelError(f"{label}: vocabulary holds {foreign[0]!r}, which is no BPE piece of CLIP")
        if len(set(pieces)) != len(pieces):
            raise UnknownModelError(f"{label}: vocabulary holds a piece twice")
        self.rows = vocabulary_rows(pieces)
        kept = [self._full.encoder[piece] for piece in pieces]
        self._compact_V = torch.full((self._full.vocab_size,), UNKNOWN, dtype=torch.long)
        self._compact_V[0] = PADDING
        self._compact_V[kept] = torch.arange(_RESERVED, _RESERVED + len(kept))
        self._compact_V[self._full.sot_token_id] = self.rows - 2
        self._compact_V[self._full.eot_token_id] = self.rows - 1

    def __call__(self, texts: str | list[str]) -> Tensor:
        """Token ids, T x context_length int64, padded with 0."""
        return self._compact_V[self._full(texts)]

    def unknown_pieces(self, text: str) -> list[str]:
        """The pieces of a text that the model has never seen.

        >>> CompactTokenizer(["red</w>", "star</w>"], 8, "tiny").unknown_pieces("red zebra star")
        ['zebra</w>']
        """
        tokens = self._full.encode(text)
        return [self._full.decoder[token] for token in tokens if self._compact_V[token] == UNKNOWN]
