"""Optimisers, their parameter groups and the learning rate's course."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from models.eercf import EercfModel
from pipeline.training.muon import Muon
from schemas.training import TrainConfig

_BETA1 = 0.9
_EPS = 1e-6


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over a share of the steps, then a cosine to 0, as a factor of the peak rate.

    >>> [round(rate_factor(step, 10, 0.2), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    rising = math.ceil(steps * warmup)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


@dataclass(frozen=True)
class Optimizers:
    """One or two torch optimisers that step together; each group remembers its peak rate."""

    members: tuple[torch.optim.Optimizer, ...]

    def step(self, factor: float) -> None:
        """Update all parameters at `factor` times their peak rate, then drop the gradients."""
        for member in self.members:
            for group in member.param_groups:
                group["lr"] = group["peak_lr"] * factor
            member.step()
            member.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, object]]:
        """For a checkpoint."""
        return [member.state_dict() for member in self.members]

    def load(self, states: list[dict[str, object]]) -> None:
        """From a checkpoint."""
        for member, state in zip(self.members, states, strict=True):
            member.load_state_dict(state)


def build_optimizers(model: EercfModel, config: TrainConfig) -> Optimizers:
    """AdamW, with Muon for the matrices of transformer blocks where it is asked for.

    No decay on biases, norms, positions and the logit scale. G and A start at the identity and are not pulled to 0.
    """
    matrices: list[dict[str, object]] = []
    others: list[dict[str, object]] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        towers = name.startswith("clip.") and config.clip_lr is not None
        rate = config.clip_lr if towers else config.lr
        decay = config.weight_decay if decays(name, parameter) else 0.0
        group: dict[str, object] = {"params": [parameter], "lr": rate, "peak_lr": rate, "weight_decay": decay}
        hidden = parameter.ndim == 2 and "resblocks" in name  # noqa: PLR2004  (a matrix)
        (matrices if hidden and config.optimizer == "muon" else others).append(group)
    members: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, betas=(_BETA1, config.beta2), eps=_EPS)]
    if matrices:
        # Its updates are of AdamW's size, so that one rate and one decay suit both.
        members.append(Muon(matrices))
    return Optimizers(tuple(members))


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies.

    >>> decays("clip.ln_final.weight", nn.Parameter(torch.ones(4)))
    False
    >>> decays("temporal.resblocks.0.mlp.c_fc.weight", nn.Parameter(torch.ones(4, 4)))
    True
    """
    return parameter.ndim > 1 and not any(word in name for word in ("positional_embedding", "frame_positions", "_mix_"))
