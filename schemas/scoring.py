"""Fusion weights and temperatures of the EERCF score, as data that travels with a model and an index version."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Profile = Literal["exact", "reference"]


class Fusion(BaseModel):
    """Weights of the five scores in the final score (the public code's evaluation), and the softmax temperatures.

    `masked` keeps padded frames out of every softmax. False reproduces the public code, in which they vote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    video: float = 0.5
    weak_frame: float = 0.8
    strong_frame: float = 0.2
    weak_patch: float = 0.2
    strong_patch: float = 0.0
    tau_weak: float = 0.01
    tau_strong_frame: float = 0.1
    tau_strong_patch: float = 0.01
    masked: bool = True


class ScoringParams(BaseModel):
    """All that stage 2 needs of a model: the fusion, and the learned frame mix A of S_wf, F rows of F."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: Fusion
    frame_mix: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _square(self) -> Self:
        size = len(self.frame_mix)
        if size == 0 or any(len(row) != size for row in self.frame_mix):
            raise ValueError("frame_mix must be a square matrix")
        return self
