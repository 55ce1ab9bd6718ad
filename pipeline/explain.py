"""Why clips rank where they do: what the text attends to, as weights of frames and as a picture over the best one."""

import base64
import io
from collections.abc import Mapping, Sequence
from math import isqrt

import numpy as np
from PIL import Image

from models.explanation import attention
from pipeline.index.fine_store import FineStore
from schemas.results import HitExplanation, SearchHit
from schemas.scoring import ScoringParams

_COLOR = (255, 64, 0)
_OPAQUE = 200
_DECIMALS = 6


def explain(
    text_D: np.ndarray, addresses: Mapping[str, tuple[int, int]], fine: FineStore, params: ScoringParams
) -> dict[str, HitExplanation]:
    """What the text attends to in each clip, by clip_id.

    Args:
        text_D: the unit text vector.
        addresses: shard and row of each clip, by its clip_id; they were just scored.
        fine: where their tokens are.
        params: the model's scoring parameters.

    Raises:
        IndexCorruptError: a record cannot be read.
    """
    if not addresses:
        return {}  # nothing meets the filter, or no time was left for stage 2
    records = fine.read(list(addresses.values()))
    found = attention(text_D, records.clips, params)
    explained = {}
    for clip, clip_id in enumerate(addresses):
        real_F = records.clips.mask_BF[clip].astype(bool)
        grid_HW = None if found.patches_BP is None else square(found.patches_BP[clip])
        explained[clip_id] = HitExplanation(
            frame_times_s=_rounded(records.frame_times_BF[clip][real_F]),
            frame_weights=_rounded(_to_one(found.frames_BF[clip][real_F])),
            patch_weights=None if grid_HW is None else [_rounded(row_W) for row_W in grid_HW],
            heatmap_png=None if grid_HW is None else heatmap(grid_HW),
        )
    return explained


def with_explanations(hits: Sequence[SearchHit], explained: Mapping[str, HitExplanation]) -> list[SearchHit]:
    """The hits, with what is known of why they rank there."""
    return [hit.model_copy(update={"explanation": explained.get(hit.clip_id)}) for hit in hits]


def square(weight_P: np.ndarray) -> np.ndarray | None:
    """The patches of a square picture in rows and columns; None where they are no square.

    >>> square(np.array([0.1, 0.2, 0.3, 0.4])).tolist()
    [[0.1, 0.2], [0.3, 0.4]]
    """
    side = isqrt(len(weight_P))
    return weight_P.reshape(side, side) if side * side == len(weight_P) else None


def heatmap(weight_HW: np.ndarray) -> str:
    """Weights as the opacity of a picture, the largest one the most opaque; a data URI of a PNG.

    >>> heatmap(np.ones((2, 2)))[:30]
    'data:image/png;base64,iVBORw0K'
    """
    picture_HW4 = np.zeros((*weight_HW.shape, 4), np.uint8)
    picture_HW4[..., :3] = _COLOR
    largest = float(weight_HW.max())
    picture_HW4[..., 3] = np.round(_OPAQUE * weight_HW / largest) if largest > 0 else 0
    encoded = io.BytesIO()
    Image.fromarray(picture_HW4, "RGBA").save(encoded, "PNG")
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"


def _to_one(weight_F: np.ndarray) -> np.ndarray:
    # Unmasked fusion (the reference profile) gives padding a weight, which is not shown.
    total = weight_F.sum()
    return weight_F / total if total > 0 else weight_F


def _rounded(values: np.ndarray) -> list[float]:
    return [round(value, _DECIMALS) for value in values.tolist()]
