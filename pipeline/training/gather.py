"""A batch's embeddings gathered over all workers, such that the gradient is that of one process with all of them.

Every worker computes the loss of the whole global batch. So the gradient of its own rows is complete without any
communication in the backward pass; it is multiplied by the number of workers, since the workers' gradients are
averaged afterwards. Parameters behind the gathering (G, A, logit scale) have the same gradient everywhere, which
averaging leaves as it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from models.losses import TrainingTokens

_T = TypeVar("_T")


def world_size() -> int:
    """Workers of this run; 1 outside a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This worker's number."""
    return dist.get_rank() if world_size() > 1 else 0


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.count = len(rows)
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        start = rank() * ctx.count
        return grads[0][start : start + ctx.count] * world_size()


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all workers in order of rank; each worker must bring as many."""
    if world_size() == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


def gather_tokens(local: TrainingTokens, owned_B: Tensor) -> tuple[TrainingTokens, Tensor]:
    """The global batch: all captions, then all hard negatives; picture numbers are shifted to match.

    Args:
        local: of this worker.
        owned_B: see `pipeline.training.batch.TrainBatch`.
    """
    if world_size() == 1:
        return local, owned_B
    clips, shift = len(local.coarse_BD), rank() * len(local.pictures_ND)
    texts_TD = [gather_rows(part) for part in (local.text_TD[:clips], local.text_TD[clips:])]
    everything = replace(
        local,
        text_TD=torch.cat(texts_TD),
        pictures_ND=gather_rows(local.pictures_ND),
        patches_NPD=gather_rows(local.patches_NPD),
        index_BF=gather_rows(local.index_BF + shift),
        mask_BF=gather_rows(local.mask_BF),
        temporal_BFD=gather_rows(local.temporal_BFD),
        coarse_BD=gather_rows(local.coarse_BD),
    )
    return everything, gather_rows(torch.where(owned_B >= 0, owned_B + shift, owned_B))


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Mean of the workers' gradients, in one message."""
    world = world_size()
    if world == 1:
        return
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([grad.reshape(-1) for grad in grads])
    dist.all_reduce(flat)
    flat /= world
    for parameter, mean in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
        parameter.grad = mean.view_as(parameter).clone()


def of_all_workers(items: Sequence[_T]) -> list[_T]:
    """What all workers bring, in order of rank; each must call it."""
    if world_size() == 1:
        return list(items)
    parts: list[list[_T]] = [[] for _ in range(world_size())]
    dist.all_gather_object(parts, list(items))
    return [item for part in parts for item in part]
