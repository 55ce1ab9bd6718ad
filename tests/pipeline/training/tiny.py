"""A model and batches small enough to take gradients of in a test."""

import numpy as np
import torch

from models.config import ModelConfig, Preprocess
from models.eercf import EercfModel
from models.vocabulary import pieces_of, vocabulary_rows
from pipeline.synthetic.captions import caption
from pipeline.synthetic.scene import sample_scene
from pipeline.training.batch import TrainBatch
from pipeline.training.captioned import ChangeShares
from pipeline.training.synthetic_batches import SyntheticBatches

ARCHITECTURE = {
    "clip": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "patch_size": 8, "head_width": 8},
        "text_cfg": {"context_length": 32, "vocab_size": 0, "width": 16, "heads": 2, "layers": 1},
    },
    "num_frames": 12,
    "temporal_layers": 1,
    "preprocess": {"image_size": 32},
}


def tiny_model(seed=0):
    """In training, with weights of a seed."""
    rng = np.random.default_rng(0)
    pieces = pieces_of(caption(sample_scene(rng), rng) for _ in range(300))
    clip = {**ARCHITECTURE["clip"]}
    clip["text_cfg"] = {**clip["text_cfg"], "vocab_size": vocabulary_rows(pieces)}
    preprocess = Preprocess(image_size=32)
    config = ModelConfig(clip=clip, num_frames=12, temporal_layers=1, preprocess=preprocess, vocabulary=pieces)
    torch.manual_seed(seed)
    return EercfModel(config, "tiny").train()


def batches_of(model, clips, rank=0, composed=True, hard_negatives=0.5, twins=0.0, redraw=0.0, codec_share=0.25):
    return SyntheticBatches(
        seed=3,
        clips=clips,
        size_px=32,
        composed=composed,
        omit=0.1,
        hard_negatives=hard_negatives,
        twins=twins,
        redraw=redraw,
        shares=ChangeShares(),
        codec_share=codec_share,
        tokenizer=model.tokenizer,
        rank=rank,
    )


def joined(parts):
    """One process's batch out of the workers' batches, in order of rank."""
    shifts, count = [], 0
    for part in parts:
        shifts.append(count)
        count += len(part.pictures_NHWC)
    owned = [torch.where(p.owned_B >= 0, p.owned_B + s, p.owned_B) for p, s in zip(parts, shifts, strict=True)]
    return TrainBatch(
        pictures_NHWC=torch.cat([p.pictures_NHWC for p in parts]),
        index_BF=torch.cat([p.index_BF + s for p, s in zip(parts, shifts, strict=True)]),
        mask_BF=torch.cat([p.mask_BF for p in parts]),
        captions_BL=torch.cat([p.captions_BL for p in parts]),
        negatives_HL=torch.cat([p.negatives_HL for p in parts]),
        owned_B=torch.cat(owned),
    )


def gradient(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def relative_error(found, expected):
    """The largest difference of any parameter's gradient, relative to that gradient's norm.

    Gradients below a hundredth of the whole one's norm are sums that cancel: what is left of them is float32's
    rounding, so they are compared with that hundredth.
    """
    floor = 0.01 * torch.stack([grad.norm() for grad in expected.values()]).norm()
    return max(float((found[name] - grad).norm() / grad.norm().clamp_min(floor)) for name, grad in expected.items())
