"""Settings of every job: frozen, checked when made, unknown keys refused."""

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from schemas.errors import ConfigError
from schemas.http import MAX_K

DEFAULT_MODEL = "random-tiny"
_FIXED_CLIPS = re.compile(r"fixed:(\d+(?:\.\d+)?)")
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Config(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Build from untyped values.

        Raises:
            ConfigError: one line that names the first wrong setting, its value and what is wrong with it.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                known = ", ".join(sorted(cls.model_fields))
                raise ConfigError(f"unknown setting {name!r}; known: {known}") from None
            if first["type"] == "missing":
                raise ConfigError(f"setting {name!r} is missing") from None
            raise ConfigError(f"setting {name!r} = {first['input']!r}: {first['msg']}") from None


class ExtractConfig(Config):
    """Settings of `reelsift extract`."""

    input: list[str] = Field(min_length=1)
    tables: str = Field(min_length=1)
    model: str = DEFAULT_MODEL
    clips: str = "whole"
    max_bad_fraction: Fraction = 0.1
    videos_per_task: int | None = Field(default=None, ge=1, le=256)
    decode_timeout_s: float = Field(default=60.0, gt=0)
    max_source_bytes: int = Field(default=8 << 30, ge=1)
    encode_batch_frames: int = Field(default=96, ge=1)
    precision: str = Field(default="auto", pattern="^(auto|fp32|bf16)$")
    decoders: int | None = Field(default=None, ge=1)
    encoders: int | None = Field(default=None, ge=1)

    @field_validator("clips")
    @classmethod
    def _known_clip_rule(cls, value: str) -> str:
        match = _FIXED_CLIPS.fullmatch(value)
        if value != "whole" and not (match and float(match[1]) > 0):
            raise ValueError("must be 'whole' or 'fixed:SECONDS'")
        return value


class IndexConfig(Config):
    """Settings of `reelsift index build`."""

    tables: str = Field(min_length=1)
    index: str = Field(min_length=1)
    milvus: str | None = None
    codec: str = Field(default="fp16", pattern="^(fp16|fp32)$")
    shard_bytes: int = Field(default=256 << 20, ge=1 << 12)
    batch_rows: int = Field(default=512, ge=1)


class SearchConfig(Config):
    """Settings of `reelsift search`."""

    index: str = Field(min_length=1)
    k: int = Field(default=10, ge=1, le=MAX_K)
    recall_k: int = Field(default=50, ge=1, le=MAX_K)


class ServeConfig(Config):
    """Settings of `reelsift serve`."""

    index: str = Field(min_length=1)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    encoder_replicas: int = Field(default=1, ge=1)
    reranker_replicas: int = Field(default=1, ge=1)
    max_batch: int = Field(default=16, ge=1)
    batch_wait_ms: float = Field(default=2.0, ge=0)
    cpus_per_replica: float = Field(default=0.2, gt=0)
    request_timeout_s: float = Field(default=30.0, gt=0)


class DataConfig(Config):
    """Settings of `reelsift data make`."""

    out: str = Field(min_length=1)
    videos: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
