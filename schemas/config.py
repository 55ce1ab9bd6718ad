"""Settings of every job: frozen, checked when made, unknown keys refused."""

import json
import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from schemas.errors import ConfigError
from schemas.front import FrontSettings
from schemas.http import MAX_K
from schemas.recall import RecallMode
from schemas.tables import HOPELESS_REASONS, REASONS

DEFAULT_MODEL = "reelsift-tiny"
_CLIP_RULE = re.compile(r"whole|scenes|(?:fixed|scenes):(\d+(?:\.\d+)?)")
_NO_LIST = frozenset({"tuple_type", "list_type"})
# A clip shows at least one frame of a video of 100 a second; no file is longer than a month.
_CLIP_RANGE_S, _MOST_THRESHOLD = (0.01, 30 * 86_400.0), 255.0
_SHOWN_CHARS = 100
# Its process imports torch.
_TORCHCODEC_MB = 1536
# A limit that no work could need, and that the timers and counters of the system still hold.
MAX_SECONDS, MAX_COUNT, MAX_BYTES, MAX_GB = 7 * 86_400.0, 1_000_000, 1 << 50, 1_000_000.0
MAX_ACTORS = 1024
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]
Gigabytes = Annotated[float, Field(ge=0.1, le=MAX_GB)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Actors = Annotated[int, Field(ge=1, le=MAX_ACTORS)]


class Config(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        # It would be read as 0 or 1.
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        given = value if isinstance(value, list | tuple) else [value]
        if kinds & {int, float} and bool not in kinds and any(isinstance(each, bool) for each in given):
            raise ValueError("must be a number, not true or false")
        return value

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
            wrong = "write a list, such as [a, b]" if first["type"] in _NO_LIST else first["msg"]
            wrong = wrong.removeprefix("Value error, ")
            if not name:
                raise ConfigError(wrong) from None
            shown = repr(first["input"])
            shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
            raise ConfigError(f"setting {name!r} = {shown}: {wrong}") from None


def _kinds(annotation: Any) -> set[Any]:
    """The plain types within an annotation."""
    inner = get_args(annotation)
    return set().union(*map(_kinds, inner)) if inner else {annotation} if isinstance(annotation, type) else set()


class ExtractConfig(Config):
    """Settings of `reelsift extract`.

    Attributes:
        input: files, folders, globs, s3:// prefixes and manifests.
        tables: folder or s3://bucket/prefix.
        model: what encodes.
        clips: how a video becomes clips.
        sampling: exact, or fast: near key frames, and pictures that may drift a little.
        decoder: auto: decord where it is proven right, else PyAV; pyav; or torchcodec where its frames can be checked.
        identity: uri, or content: a file with the bytes of a committed one takes its clips, and is not decoded.
        max_bad_fraction: exit code 3 above it.
        videos_per_task: sources that are committed together.
        decode_timeout_s: wall time of a file, anew with each 2,000 frames that PyAV decodes of it; time in which others
            have its processor hardly counts.
        decode_cpu_s: processor time of a file, over all threads; four times the wall time if not given.
        decode_memory_mb: MiB that a decoder's process may hold; 2048 if neither this nor a budget is given.
        memory_budget_gb: GiB of all processes of the run together, Ray's own included; only for a Ray that the run
            starts itself.
        max_source_bytes: of a file.
        encode_batch_frames: frames that the model sees at once.
        precision: fp32, bf16, or auto: bf16 on a GPU.
        decoders: actors at most.
        encoders: actors at most.
        gpus_per_encoder: what an encoder asks Ray for.
    """

    input: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    tables: str = Field(min_length=1)
    model: str = Field(default=DEFAULT_MODEL, min_length=1)
    clips: str = "whole"
    sampling: Literal["exact", "fast"] = "exact"
    decoder: Literal["auto", "pyav", "torchcodec"] = "auto"
    identity: Literal["uri", "content"] = "uri"
    max_bad_fraction: Fraction = 0.1
    videos_per_task: int | None = Field(default=None, ge=1, le=256)
    decode_timeout_s: Seconds = 60.0
    decode_cpu_s: float | None = Field(default=None, ge=1, le=4 * MAX_SECONDS)
    decode_memory_mb: int | None = Field(default=None, ge=128, le=1 << 20)
    memory_budget_gb: Gigabytes | None = None
    max_source_bytes: int = Field(default=8 << 30, ge=1, le=MAX_BYTES)
    encode_batch_frames: int = Field(default=96, ge=1, le=65_536)
    precision: str = Field(default="auto", pattern="^(auto|fp32|bf16)$")
    decoders: Actors | None = None
    encoders: Actors | None = None
    gpus_per_encoder: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _room_for_torchcodec(self) -> Self:
        if self.decoder != "torchcodec":
            return self
        if self.memory_budget_gb is not None:
            raise ValueError(
                "decoder=torchcodec takes 750 MB a process beside videos: give no memory_budget_gb with it"
            )
        if self.decode_memory_mb is not None and self.decode_memory_mb < _TORCHCODEC_MB:
            raise ValueError(f"decoder=torchcodec needs decode_memory_mb of at least {_TORCHCODEC_MB}")
        return self

    @field_validator("clips")
    @classmethod
    def known_clip_rule(cls, value: str) -> str:
        """The rule, if it is one."""
        match = _CLIP_RULE.fullmatch(value)
        if not match or (match[1] and float(match[1]) <= 0):
            raise ValueError("must be 'whole', 'fixed:SECONDS', 'scenes' or 'scenes:THRESHOLD'")
        least, most = _CLIP_RANGE_S
        if value.startswith("fixed:") and not least <= float(match[1]) <= most:
            raise ValueError(f"SECONDS of fixed:SECONDS must be within {least:g} and {most:.0f}")
        if value.startswith("scenes:") and float(match[1]) > _MOST_THRESHOLD:
            raise ValueError(f"THRESHOLD of scenes:THRESHOLD must be at most {_MOST_THRESHOLD:g}")
        return value


class StatusConfig(Config):
    """Settings of `reelsift status`."""

    tables: str = Field(min_length=1)


class DuplicatesConfig(Config):
    """Settings of `reelsift duplicates`.

    Attributes:
        tables: folder or s3://bucket/prefix.
        threshold: least cosine of the coarse vectors of a pair.
        pairs: that are told, the most similar first.
        within_videos: whether clips of one video are compared as well.
    """

    tables: str = Field(min_length=1)
    threshold: float = Field(default=0.98, gt=0, le=1)
    pairs: int = Field(default=1000, ge=1, le=1_000_000)
    within_videos: bool = False


class RetryConfig(Config):
    """Settings of `reelsift retry`; without a reason it is all that may pass by itself."""

    tables: str = Field(min_length=1)
    reason: str | None = None
    videos_per_task: int | None = Field(default=None, ge=1, le=256)

    @field_validator("reason")
    @classmethod
    def _worth_a_retry(cls, value: str | None) -> str | None:
        if value is None or value in REASONS.keys() - set(HOPELESS_REASONS):
            return value
        if value in HOPELESS_REASONS:
            raise ValueError(f"no retry mends that: {REASONS[value]}")
        raise ValueError(f"must be one of {', '.join(sorted(REASONS.keys() - set(HOPELESS_REASONS)))}")


class VerifyConfig(Config):
    """Settings of `reelsift verify`; without an index only the tables are looked at."""

    tables: str = Field(min_length=1)
    index: str | None = Field(default=None, min_length=1)


class SearchConfig(Config):
    """Settings of `reelsift search`."""

    index: str = Field(min_length=1)
    k: int = Field(default=10, ge=1, le=MAX_K)
    recall_k: int = Field(default=50, ge=1, le=MAX_K)
    recall: RecallMode | None = None
    filter: str | None = None

    @field_validator("filter", mode="before")
    @classmethod
    def _as_json(cls, value: Any) -> Any:
        # In a YAML file it is written as what it is.
        return json.dumps(value) if isinstance(value, dict) else value


class ServeConfig(FrontSettings, Config):
    """Settings of `reelsift serve`."""

    index: str = Field(min_length=1)
    port: int = Field(default=8000, ge=1, le=65535)
    # None for no gRPC.
    grpc_port: int | None = Field(default=None, ge=1, le=65535)
    # They share the port; a second one answers on while one is replaced.
    ingress_replicas: Actors = 1
    # Two of each: searches go on while one is replaced.
    encoder_replicas: Actors = 2
    reranker_replicas: Actors = 2
    # Parts that the fine tokens are divided into, with `reranker_replicas` each; with one, both stages share a process.
    rerank_shards: int = Field(default=1, ge=1, le=64)
    # Queries that come together already use the cores; more threads shorten a single query on an idle machine.
    score_threads: int = Field(default=1, ge=1, le=64)
    # Searches that a replica answers together, where so many wait for it.
    max_batch: int = Field(default=8, ge=1, le=65_536)
    cpus_per_replica: float = Field(default=0.1, gt=0, le=1024)
    request_timeout_s: Seconds = 30.0
    # A search that is expected to take longer, because of those under way, is refused with 429. So much bridges the
    # time in which a replica takes the place of a dead one.
    max_wait_ms: float = Field(default=3000.0, gt=0, le=1000 * MAX_SECONDS)

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.grpc_port == self.port:
            raise ValueError(f"--grpc-port and --port are both {self.port}: give two ports")
        return self


class DemoConfig(Config):
    """Settings of `reelsift demo`.

    Attributes:
        out: local folder for everything that the demo makes.
        videos: generated videos beside the real clips.
        seed: of the generated videos.
        model: what embeds them.
        k: hits shown of each query.
    """

    out: str = Field(default="demo", min_length=1)
    videos: int = Field(default=24, ge=4, le=10_000)
    seed: int = Field(default=7, ge=0, lt=1 << 63)
    model: str = Field(default=DEFAULT_MODEL, min_length=1)
    k: int = Field(default=5, ge=1, le=20)
