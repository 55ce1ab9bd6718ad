"""INDEX/versions/<n>/manifest.json and INDEX/live.json: what binds a model, a codec, a collection and fine shards."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from schemas.scoring import ScoringParams
from schemas.tables import TokenShape

VERSIONS_DIR: Final = "versions"
MANIFEST: Final = "manifest.json"
LIVE_POINTER: Final = "live.json"
VERSION_COUNTER: Final = "highest.json"
FINE_DIR: Final = "fine"
LITE: Final = "lite"


class FineShard(BaseModel):
    """One immutable shard file of fixed-size records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    clips: int
    size_bytes: int
    sha256: str


class FramesCollection(BaseModel):
    """The collection of frame vectors: one row a real frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str
    rows: int
    index_type: str


class VersionManifest(BaseModel):
    """One immutable version of an index. It is written last: a version without it was never built.

    `milvus` is the server's URI, or "lite" for the Milvus Lite directory inside INDEX; a token never stands here.
    `model` is what `models.registry.load_model` takes, `model_id` what the loaded model must prove to be.
    `frames` is None for a version without frame vectors. `bytes_per_clip` is all that a clip costs on average: its
    fine record, its coarse vector, and its frame vectors where there are any.
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
    frames: FramesCollection | None = None
    alias: str
    clips: int
    videos: int
    bytes_per_clip: int
    shards: list[FineShard]
    tables: str
    created_utc: str

    @property
    def frame_rows(self) -> int:
        """How many frame vectors there are."""
        return self.frames.rows if self.frames else 0

    @property
    def fine_bytes(self) -> int:
        """Bytes of all fine shards."""
        return sum(shard.size_bytes for shard in self.shards)

    @property
    def milvus_bytes(self) -> int:
        """Bytes of the float32 vectors in Milvus: what it needs at least, without ids, graphs and logs."""
        return 4 * self.token_shape.dim * (self.clips + self.frame_rows)


class LivePointer(BaseModel):
    """INDEX/live.json: the published version. Replaced atomically; readers trust it, not the alias alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    previous: int | None = None


class VersionCounter(BaseModel):
    """INDEX/highest.json: the highest number that a version had when versions were last removed.

    Numbers only go up: readers keep what they opened by its number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    highest: int
