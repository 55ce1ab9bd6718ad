"""INDEX/versions/<n>/manifest.json and INDEX/live.json: what binds a model, a codec, a collection and fine shards."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from schemas.scoring import ScoringParams
from schemas.tables import TokenShape

VERSIONS_DIR: Final = "versions"
MANIFEST: Final = "manifest.json"
LIVE_POINTER: Final = "live.json"
FINE_DIR: Final = "fine"
LITE: Final = "lite"


class FineShard(BaseModel):
    """One immutable shard file of fixed-size records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    clips: int
    size_bytes: int
    sha256: str


class VersionManifest(BaseModel):
    """One immutable version of an index. It is written last: a version without it was never built.

    `milvus` is the server's URI, or "lite" for the Milvus Lite directory inside INDEX; a token never stands here.
    `model` is what `models.registry.load_model` takes, `model_id` what the loaded model must prove to be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    version: int
    model: str
    model_id: str
    weights_sha256: str
    sampler: str
    token_shape: TokenShape
    scoring: ScoringParams
    codec: str
    metric: str
    index_type: str
    milvus: str
    collection: str
    alias: str
    clips: int
    videos: int
    bytes_per_clip: int
    shards: list[FineShard]
    tables: str
    created_utc: str


class LivePointer(BaseModel):
    """INDEX/live.json: the published version. Replaced atomically; readers trust it, not the alias alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    previous: int | None = None
