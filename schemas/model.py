"""Settings of `reelsift model`, and what it answers."""

from typing import Any

from pydantic import Field

from schemas.config import Config
from schemas.results import Result
from schemas.scoring import Profile
from schemas.tables import TokenShape


class ImportConfig(Config):
    """Settings of `reelsift model import`.

    Attributes:
        file: pytorch_model.bin.N of the public EERCF code.
        out: local folder of the bundle, new or empty; its name is the model's.
        profile: reference scores as the public code does; exact keeps padded frames out of every score.
        words: tokens that a text is cut to, start and end included; the public code's --max_words.
    """

    file: str = Field(min_length=1)
    out: str = Field(min_length=1)
    profile: Profile = "reference"
    words: int = Field(default=32, ge=3)


class ShowConfig(Config):
    """Settings of `reelsift model show`."""

    model: str = Field(min_length=1)


class ModelSummary(Result):
    """A model: its id, its sizes and its config.

    Attributes:
        model: name or folder, as the other commands take it.
        model_id: what tables and indexes are bound to.
        parameters: how many, by part.
        bytes_per_clip: of the fine tokens in half precision.
        config: config.json, less a cut vocabulary, which is told as its size.
    """

    model: str
    model_id: str
    profile: Profile
    token_shape: TokenShape
    parameters: dict[str, int]
    bytes_per_clip: int
    config: dict[str, Any]
