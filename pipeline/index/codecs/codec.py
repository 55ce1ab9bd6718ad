"""A codec: the record of a clip, how it is written, and how its tokens are scored."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from models.stored_clips import StoredClips
from pipeline.index.codecs.form import Field, RecordBlock, TokenForm
from schemas.tables import TokenShape

ID_BYTES = 64
_ALIGN = 64
_FRAMES, _TEMPORAL, _PATCHES = "frames", "temporal", "patches"


@dataclass(frozen=True)
class ClipTokens:
    """What is encoded: B clips of F frames with P patches each, D channels.

    Attributes:
        frames_BFD: n(f), float16 or float32.
        temporal_BFD: n(H).
        patches_BND: n(p), N = F * P.
        mask_BF: bool, False for padding.
    """

    frames_BFD: np.ndarray
    temporal_BFD: np.ndarray
    patches_BND: np.ndarray
    mask_BF: np.ndarray


@dataclass(frozen=True)
class Codec:
    """One way to store the fine tokens of a clip.

    Attributes:
        name: as the manifest has it.
        frames: form of the raw and of the temporal frames.
        patches: form of the patches; None to drop them, and then a clip's raw frames stand for their patches.
    """

    name: str
    frames: TokenForm
    patches: TokenForm | None

    def frames_tier(self) -> Self:
        """What a record begins with: all but the patches."""
        return replace(self, patches=None)

    def record_dtype(self, shape: TokenShape) -> np.dtype:
        """One record as a numpy type; its size is a multiple of 64, and its fields are aligned.

        The fields of `frames_tier` stand first, at the same places.
        """
        f, d = shape.frames, shape.dim
        front: list[Field] = [
            ("frame_times", "<f8", (f,)),
            *self.frames.fields(_FRAMES, f, d),
            *self.frames.fields(_TEMPORAL, f, d),
            ("mask", "u1", (f,)),
            ("clip_id", f"S{ID_BYTES}", ()),
        ]
        patches = self.patches.fields(_PATCHES, f * shape.patches, d) if self.patches else []
        return np.dtype(_padded(_padded(_wide_first(front), "padding") + _wide_first(patches), "end"))

    def encode(self, tokens: ClipTokens, records_B: np.ndarray, *, masked: bool) -> None:
        """Fill the token fields and the mask of records.

        Args:
            tokens: the clips.
            records_B: of `record_dtype`, written to.
            masked: whether padded frames are kept out of every score (`Fusion.masked`); else they are merged too.
        """
        mask_BF = tokens.mask_BF.astype(bool)
        real_BF = mask_BF if masked else np.ones_like(mask_BF)
        records_B["mask"] = mask_BF
        self.frames.encode(tokens.frames_BFD, real_BF, records_B, _FRAMES)
        self.frames.encode(tokens.temporal_BFD, real_BF, records_B, _TEMPORAL)
        if self.patches:
            patches_a_frame = tokens.patches_BND.shape[1] // mask_BF.shape[1]
            self.patches.encode(tokens.patches_BND, real_BF.repeat(patches_a_frame, 1), records_B, _PATCHES)

    def stored(self, block: RecordBlock, dim: int) -> StoredClips:
        """The tokens of a block, as they are scored."""
        frames = self.frames.tokens(block, _FRAMES, dim)
        return StoredClips(
            frames=frames,
            temporal=self.frames.tokens(block, _TEMPORAL, dim),
            patches=self.patches.tokens(block, _PATCHES, dim) if self.patches else frames,
            mask_BF=block.values("mask"),
            merged_BN=self.patches.merged(block, _PATCHES) if self.patches else None,
        )


def _wide_first(fields: list[Field]) -> list[Field]:
    """Then each field begins at a multiple of its number's size, if the first one begins at a multiple of 8."""
    return sorted(fields, key=lambda field: -np.dtype(field[1]).alignment)


def _padded(fields: list[Field], name: str) -> list[Field]:
    rest = -np.dtype(fields).itemsize % _ALIGN
    return [*fields, (name, f"V{rest}", ())] if rest else fields
