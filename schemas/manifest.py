"""INDEX/versions/<n>/manifest.json and INDEX/live.json: what binds a model, a codec, a collection and fine shards."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from schemas.fields import FilterField
from schemas.scoring import ScoringParams
from schemas.tables import TokenShape

VERSIONS_DIR: Final = "versions"
INDEX_IDENTITY: Final = "index.json"
MANIFEST: Final = "manifest.json"
LIVE_POINTER: Final = "live.json"
VERSION_COUNTER: Final = "highest.json"
FINE_DIR: Final = "fine"
EVALUATION: Final = "evaluation.json"
LITE: Final = "lite"
MANIFEST_FORMAT: Final = 1


# What an index is built with: numbers, and words such as a type of refinement.
IndexParams = dict[str, int | str]


class FineShard(BaseModel):
    """One immutable shard file of fixed-size records.

    `clips` is how many records it has, `holes` how many of them are zeros: their clips were deleted or replaced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    clips: int
    size_bytes: int
    sha256: str
    holes: int = 0


class RecallFigures(BaseModel):
    """How much of the exact best rows a search found, when the version was built.

    Attributes:
        k: how many best rows were looked for.
        queries: of each of the two kinds.
        own: the mean share found, 0 to 1, for vectors of the collection itself.
        noisy: for the same with noise of their own length added: as far away as texts are.
        target: what both had to reach.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int
    queries: int
    own: float
    noisy: float
    target: float

    @property
    def least(self) -> float:
        """The lower of the two shares."""
        return min(self.own, self.noisy)


class AnnIndex(BaseModel):
    """How the vectors of a collection are indexed and searched.

    Attributes:
        params: what the index was built with.
        search: what each search passes on, raised at build until the recall was good enough.
        why: why this type, in words.
        recall: None for a version of an older release, which searches with the default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    params: IndexParams = {}
    search: dict[str, int] = {"ef": 200}
    why: str = ""
    recall: RecallFigures | None = None


class FramesCollection(BaseModel):
    """The collection of frame vectors: one row a real frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str
    rows: int
    index_type: str
    ann: AnnIndex = AnnIndex()


class TasksObject(BaseModel):
    """The object beside a manifest that lists the tasks whose clips are in the version, by its name and checksum."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str


class VersionManifest(BaseModel):
    """One version of an index. It is written last: a version without it was never built.

    An update or a delete replaces it by one of the next `revision`. The address of a clip, (shard, row), never moves:
    shards are added behind the others, and a clip that goes leaves a hole. `clips`, `videos` and the rows of `frames`
    are without the holes. `tasks_object` lists the tasks of the tables whose clips are here; None for versions of older
    releases, which cannot be updated.

    `milvus` is the server's URI, or "lite" for the Milvus Lite directory inside INDEX; a token never stands here.
    `model` is what `models.registry.load_model` takes, `model_id` what the loaded model must prove to be.
    `frames` is None for a version without frame vectors. `bytes_per_clip` is all that a clip costs on average: its
    fine record, its coarse vector, and its frame vectors where there are any. `sample` are clips that each
    publish looks for by their own vectors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = MANIFEST_FORMAT
    version: int
    revision: int = 1
    model: str
    model_id: str
    weights_sha256: str
    sampler: str
    token_shape: TokenShape
    scoring: ScoringParams
    codec: str
    metric: str
    index_type: str
    ann: AnnIndex = AnnIndex()
    milvus: str
    collection: str
    frames: FramesCollection | None = None
    alias: str
    clips: int
    videos: int
    bytes_per_clip: int
    shards: list[FineShard]
    tables: str
    fields: list[FilterField] = []
    sample: list[str] = []
    tasks_object: TasksObject | None = None
    created_utc: str

    def covers(self, shard: int, row: int) -> bool:
        """Whether this revision has a record there; what an update is about to add has none yet."""
        return 0 <= shard < len(self.shards) and 0 <= row < self.shards[shard].clips

    @property
    def frame_rows(self) -> int:
        """How many frame vectors there are."""
        return self.frames.rows if self.frames else 0

    @property
    def recall(self) -> RecallFigures | None:
        """The figures of the collection that finds less of what is there; None if none were measured."""
        measured = [ann.recall for ann in (self.ann, self.frames.ann if self.frames else None) if ann and ann.recall]
        return min(measured, key=lambda figures: figures.least, default=None)

    @property
    def fine_bytes(self) -> int:
        """Bytes of all fine shards."""
        return sum(shard.size_bytes for shard in self.shards)

    @property
    def milvus_bytes(self) -> int:
        """Bytes of the float32 vectors in Milvus: what it needs at least, without ids, graphs and logs."""
        return 4 * self.token_shape.dim * (self.clips + self.frame_rows)


class EvaluationNote(BaseModel):
    """INDEX/versions/<n>/evaluation.json: how well its model found clips, from a report of `reelsift evaluate`.

    Attributes:
        model_id: of the report, which is that of the version.
        data: what was evaluated on, and `split` of it.
        queries: how many captions.
        clips: among how many.
        recall: how stage 1 found candidates, and `recall_k` how many.
        figures: text to video in two stages: R@1, R@5 and R@10 in percent, and the median rank MdR.
        noted_utc: when it was noted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    data: str
    split: str
    queries: int
    clips: int
    recall: str
    recall_k: int
    figures: dict[str, float]
    noted_utc: str


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
