"""Muon: momentum whose update of a matrix is made orthogonal (Jordan et al., 2024), in float32.

torch.optim.Muon computes in bfloat16, which most CPUs do not have: there a step would cost more than the gradient.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Coefficients of the quintic Newton-Schulz iteration: singular values end within about 0.7 to 1.2.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_RMS_OF_ADAM = 0.2


class Muon(torch.optim.Optimizer):
    """Decoupled weight decay, Nesterov momentum, orthogonal updates as large as AdamW's (RMS 0.2).

    Args:
        params: matrices, or groups of them.
        lr: AdamW's rate suits.
        momentum: of the gradient's running sum.
        weight_decay: as AdamW's.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].mul_(group["momentum"]).add_(matrix.grad)
                update = orthogonal(matrix.grad + group["momentum"] * state["momentum"])
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * _RMS_OF_ADAM * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with all singular values 1, roughly.

    >>> torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([5.0, 1.0])))).round().tolist()
    [1.0, 1.0]
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(1e-12)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    nearest: Tensor = x.T if tall else x
    return nearest
