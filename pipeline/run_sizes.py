"""Sizes of a run's parts: from a stated memory budget, or the ones that suit a machine with plenty."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import cluster
from pipeline.memory_budget import MIB, ModelCost, plan_memory
from pipeline.pools import plan_pools
from schemas.config import ExtractConfig
from schemas.errors import UsageError

if TYPE_CHECKING:
    from models.eercf import EercfModel

_CHILD_BYTES = 2048 * MIB
_TASK_BYTES = 1024 * MIB
_CLIPS_A_PASS = 16
_STORE_BYTES = 512 * MIB
# One core: what it computes of a model, and how long it takes to decode a usual clip.
_FLOPS_A_SECOND = 50e9
_DECODE_S = 0.2


@dataclass(frozen=True)
class RunSizes:
    """What the wiring of a run needs to know; `decoders` and `encoders` None leave it to the cluster's size."""

    decoders: int | None
    encoders: int | None
    child_bytes: int
    task_bytes: int
    clip_bytes: int
    decoded_clip_bytes: int
    batch_frames: int
    clips_a_pass: int
    store_bytes: int
    encode_share: float = 0.5


def model_cost(model: "EercfModel") -> ModelCost:
    """What decides the memory that this model takes."""
    visual = model.clip.visual
    return ModelCost(
        weights_bytes=sum(part.numel() * part.element_size() for part in model.parameters()),
        num_frames=model.config.num_frames,
        image_size=model.config.preprocess.image_size,
        patches=model.token_shape.patches,
        width=int(visual.positional_embedding.shape[-1]),
        dim=model.token_shape.dim,
    )


def encode_share(model: "EercfModel") -> float:
    """About what part of a clip's processor time encoding takes: for 1 GFLOP, or 200, a clip.

    >>> [round(_share(flops), 2) for flops in (1e9, 200e9)]
    [0.09, 0.95]
    """
    parameters = sum(part.numel() for part in model.clip.visual.parameters())
    # Each parameter of a transformer is multiplied once with each token.
    return _share(2.0 * parameters * (model.token_shape.patches + 1) * model.config.num_frames)


def _share(flops: float) -> float:
    encode_s = flops / _FLOPS_A_SECOND
    return encode_s / (encode_s + _DECODE_S)


def run_sizes(config: ExtractConfig, model: "EercfModel") -> RunSizes:
    """The sizes for these settings.

    Raises:
        UsageError: a budget for a cluster, whose nodes have sizes of their own.
        ConfigError: the budget is too small for this model.
    """
    cost = model_cost(model)
    child = (config.decode_memory_mb or 0) * MIB
    if config.memory_budget_gb is None:
        return RunSizes(
            decoders=config.decoders,
            encoders=config.encoders,
            child_bytes=child or _CHILD_BYTES,
            task_bytes=_TASK_BYTES,
            clip_bytes=cost.clip_bytes,
            decoded_clip_bytes=cost.picture_bytes + cost.clip_bytes,
            batch_frames=config.encode_batch_frames,
            clips_a_pass=_CLIPS_A_PASS,
            store_bytes=_STORE_BYTES,
            encode_share=encode_share(model),
        )
    if os.environ.get("RAY_ADDRESS"):
        raise UsageError(
            "memory_budget_gb is for a Ray that the run starts itself: unset RAY_ADDRESS, or leave the budget out"
        )
    cpus = cluster.local_cpus()
    pools = plan_pools(cpus, 0, config.decoders, config.encoders, encode_share=encode_share(model))
    plan = plan_memory(
        int(config.memory_budget_gb * (1 << 30)),
        cost,
        cpus=cpus,
        decoders=pools.decoders,
        encoders=pools.encoders,
        batch_frames=config.encode_batch_frames,
    )
    return RunSizes(
        decoders=plan.decoders,
        encoders=plan.encoders,
        child_bytes=min(plan.child_bytes, child or plan.child_bytes),
        task_bytes=plan.task_bytes,
        clip_bytes=cost.clip_bytes,
        decoded_clip_bytes=cost.picture_bytes + cost.clip_bytes,
        batch_frames=plan.batch_frames,
        clips_a_pass=plan.clips_a_pass,
        store_bytes=plan.store_bytes,
        encode_share=encode_share(model),
    )
