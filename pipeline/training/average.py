"""An exponential moving average of the weights: what a run validates and stores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(averaged: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the model; early on faster, so that the start is soon forgotten.

    Args:
        averaged: filled at the first call.
        model: whose state is followed.
        decay: share of the average that stays, 0 to 1.
        step: steps done.
    """
    state = model.state_dict()
    if not averaged:
        averaged.update({name: tensor.clone() for name, tensor in state.items()})
        return
    kept = min(decay, (1 + step) / (10 + step))
    for name, tensor in state.items():
        if tensor.is_floating_point():
            averaged[name].lerp_(tensor, 1 - kept)
        else:
            averaged[name].copy_(tensor)


@contextmanager
def as_averaged(model: nn.Module, averaged: dict[str, Tensor]) -> Iterator[None]:
    """The model with the averaged weights, in evaluation; the trained ones come back."""
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(averaged or trained)
    model.eval()
    try:
        yield
    finally:
        model.load_state_dict(trained)
        model.train()
