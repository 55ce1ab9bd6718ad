"""Temporal transformer of EERCF: H = TemporalTransformer(f + e) + f (eercf video-level path, as in CLIP4Clip).

Parameter names follow OpenAI CLIP's resblocks, so that layers of a text tower load by name.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

_HEAD_WIDTH = 64
_LN_EPS = 1e-12
_MASKED = -1e6


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply elementwise."""
        return x * torch.sigmoid(1.702 * x)


class TemporalBlock(nn.Module):
    """Pre-LN attention and MLP, residual both.

    Args:
        dim: D, a multiple of the head width 64, or smaller than it.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, num_heads(dim), batch_first=True)
        self.ln_1 = nn.LayerNorm(dim, eps=_LN_EPS)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(dim, 4 * dim), gelu=QuickGELU(), c_proj=nn.Linear(4 * dim, dim))
        )
        self.ln_2 = nn.LayerNorm(dim, eps=_LN_EPS)

    def forward(self, x_BFD: Tensor, bias_BFF: Tensor) -> Tensor:
        """Mix frames; `bias_BFF`, one a head, is added to the attention logits."""
        h_BFD = self.ln_1(x_BFD)
        mixed_BFD, _ = self.attn(h_BFD, h_BFD, h_BFD, attn_mask=bias_BFF, need_weights=False)
        x_BFD = x_BFD + mixed_BFD
        out_BFD: Tensor = x_BFD + self.mlp(self.ln_2(x_BFD))
        return out_BFD


class TemporalTransformer(nn.Module):
    """`layers` blocks of width D over the F frames of a clip."""

    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        self.heads = num_heads(dim)
        self.resblocks = nn.ModuleList(TemporalBlock(dim) for _ in range(layers))

    def forward(self, h_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Contextualise frames.

        Args:
            h_BFD: frame tokens with position embeddings added.
            mask_BF: 1 real, 0 padding; padded frames are no keys (-1e6 on their logits).

        Returns:
            BFD; rows of padded frames hold no meaning.
        """
        bias_B1F = (1.0 - mask_BF.to(h_BFD.dtype))[:, None, :] * _MASKED
        bias_BFF = bias_B1F.expand(-1, h_BFD.shape[1], -1).repeat_interleave(self.heads, dim=0)
        for block in self.resblocks:
            h_BFD = block(h_BFD, bias_BFF)
        return h_BFD


def num_heads(dim: int) -> int:
    """D / 64 heads, at least one.

    >>> num_heads(512), num_heads(32)
    (8, 1)
    """
    return max(1, dim // _HEAD_WIDTH)
