"""What in a clip a text attends to in stage 2: the gates of the text-gated fusion (TIB), as weights."""

from dataclasses import dataclass

import numpy as np
import torch

from models.scoring import masked_softmax
from models.stored_clips import StoredClips
from models.token_sets import Pairs
from schemas.scoring import ScoringParams


@dataclass(frozen=True)
class Attention:
    """Of one text to B clips of F frames with P patches each.

    Attributes:
        frames_BF: the gate of S_sf, softmax_f(t . n(f) / tau); each row sums to 1, padding has 0 where it is masked.
        patches_BP: softmax over the patches of the frame with the largest weight, as in the gate of S_sp; each row
            sums to 1. None where the patches are not in their places.
    """

    frames_BF: np.ndarray
    patches_BP: np.ndarray | None


@torch.inference_mode()
def attention(text_D: np.ndarray, clips: StoredClips, params: ScoringParams) -> Attention:
    """What the text attends to.

    Args:
        text_D: the unit text vector.
        clips: as they are scored.
        params: the model's scoring parameters.
    """
    fusion, pairs = params.fusion, Pairs.of_one(text_D, len(clips.mask_BF))
    mask_BF = torch.from_numpy(np.ascontiguousarray(clips.mask_BF)).float() if fusion.masked else None
    gate_BF = masked_softmax(torch.from_numpy(clips.frames.dots(pairs)) / fusion.tau_strong_frame, mask_BF)
    # Without patches of their own a clip's frames stand for them; merged ones have no place.
    if clips.merged_BN is not None or clips.patches is clips.frames:
        return Attention(gate_BF.numpy(), None)
    frames = gate_BF.shape[1]
    b_BFP = torch.from_numpy(clips.patches.dots(pairs)).reshape(len(pairs), frames, -1)
    best_BP = b_BFP[torch.arange(len(pairs)), gate_BF.argmax(-1)]
    return Attention(gate_BF.numpy(), (best_BP / fusion.tau_strong_patch).softmax(-1).numpy())
