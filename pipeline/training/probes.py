"""Attribute probes: of one picture, does the right caption score above one with a single change?"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray

from models.eercf import EercfModel
from models.scoring import FineTokens, fine_scores, fuse, video_score
from pipeline.synthetic.hard_negatives import ATTRIBUTES, Attribute, changeable, hard_negative
from pipeline.synthetic.render import render_frame
from pipeline.synthetic.scene import Scene, sample_scene
from pipeline.training.captioned import same_words

_AT_ONCE = 50


def probe_scenes(attribute: Attribute, count: int, seed: int) -> Iterator[tuple[Scene, str, str]]:
    """Scenes that have the attribute, each with a true caption and one that is wrong in it, in the same words."""
    rng = np.random.default_rng([seed, ATTRIBUTES.index(attribute)])
    while count:
        scene = sample_scene(rng)
        if attribute not in changeable(scene):
            continue
        other, _ = hard_negative(scene, rng, attribute)
        yield scene, *same_words(scene, other, rng, omit=0.0)
        count -= 1


@torch.inference_mode()
def probe(model: EercfModel, attribute: Attribute, count: int = 300, seed: int = 0) -> float:
    """Percent of the pictures whose right caption has the higher final score; each is a clip that shows nothing else.

    Args:
        model: in evaluation.
        attribute: the one that is changed.
        count: pictures.
        seed: of the scenes.
    """
    cases = list(probe_scenes(attribute, count, seed))
    size_px = model.config.preprocess.image_size
    right = 0
    for start in range(0, count, _AT_ONCE):
        part = cases[start : start + _AT_ONCE]
        pictures = [render_frame(scene, 0.0, size_px) for scene, _, _ in part]
        true_B = _own_scores(model, pictures, [true for _, true, _ in part])
        false_B = _own_scores(model, pictures, [false for _, _, false in part])
        right += int((true_B > false_B).sum())
    return 100.0 * right / count


def _own_scores(model: EercfModel, pictures: list[NDArray[np.uint8]], texts: list[str]) -> torch.Tensor:
    """The final score of each text with its own picture, shown in all frames of a clip."""
    frames = model.config.num_frames
    raw_ND, patches_NPD = model.embed_pictures(torch.from_numpy(np.stack(pictures)))
    raw_BFD = raw_ND[:, None].expand(-1, frames, -1)
    mask_BF = torch.ones(raw_BFD.shape[:2], device=raw_BFD.device)
    temporal_BFD, coarse_BD = model.encode_time(raw_BFD, mask_BF)
    tokens = FineTokens(nnf.normalize(raw_BFD, dim=-1), temporal_BFD, patches_NPD.repeat(1, frames, 1), mask_BF)
    text_TD, fusion = model.encode_text(texts), model.config.fusion
    video_TB = video_score(text_TD, model.coarse_mix_DD, coarse_BD)
    return fuse(video_TB, fine_scores(text_TD, tokens, model.frame_mix_FF, fusion), fusion).diagonal()
