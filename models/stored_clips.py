"""What stage 2 reads of clips. Needs no torch, so that what only opens an index does not wait for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from models.token_sets import PlainTokens, TokenSet

if TYPE_CHECKING:
    from models.scoring import FineTokens


@dataclass(frozen=True)
class StoredClips:
    """What stage 2 reads of B clips. Shapes as in `models.token_sets`; F frames.

    Attributes:
        frames: n(f), F a clip.
        temporal: n(H), F a clip.
        patches: n(p), those of all frames or fewer that stand for them.
        mask_BF: 1 for a real frame.
        merged_BN: how many patches each token stands for, 0 for none; None where `patches` are those of all frames.
    """

    frames: TokenSet
    temporal: TokenSet
    patches: TokenSet
    mask_BF: np.ndarray
    merged_BN: np.ndarray | None = None

    @classmethod
    def of(cls, tokens: "FineTokens") -> Self:
        """Of tensors on the CPU, float16 or float32."""
        return cls(
            PlainTokens.of(tokens.frames_BFD.numpy()),
            PlainTokens.of(tokens.temporal_BFD.numpy()),
            PlainTokens.of(tokens.patches_BND.numpy()),
            tokens.mask_BF.numpy(),
        )
