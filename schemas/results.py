"""What jobs answer: plain records, printed for people and as one JSON line (`--json`)."""

from pydantic import BaseModel, ConfigDict

from schemas.manifest import EvaluationNote, RecallFigures
from schemas.recall import RecallMode


class Result(BaseModel):
    """Base of all results: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExtractSummary(Result):
    """Counts over the whole tables, except `processed` and the costs, which are of this run."""

    planned: int
    processed: int
    done: int
    filtered: int
    quarantined: int
    clips: int
    seconds: float
    peak_rss_bytes: int
    reasons: dict[str, int]
    model_id: str


class StatusSummary(Result):
    """What the tables hold, and what is still to do.

    `reasons` counts filtered and quarantined sources. `video_hours` and `source_bytes` are of the videos that are done.
    `decode_hours` is what one decoder would have taken for all that was tried. `sources_a_minute` is the pace of the
    newest stretch of commits without a longer pause, by the times of their objects; None for fewer than two commits.
    """

    planned: int
    done: int
    filtered: int
    quarantined: int
    pending: int
    clips: int
    reasons: dict[str, int]
    video_hours: float
    source_bytes: int
    decode_hours: float
    sources_a_minute: float | None


class RetrySummary(Result):
    """How many quarantined sources are pending again, and why they were quarantined."""

    retried: int
    reasons: dict[str, int]


class VerifyReport(Result):
    """`ok` says that there are no problems. `orphans` are objects that no reader looks at; they do no harm.

    `objects` counts the clips and videos objects that were read, `clips` the rows that were checked. `pending` counts
    planned sources without a commit: a problem, unless an extraction is at work.
    """

    ok: bool
    problems: list[str]
    orphans: list[str]
    planned: int
    pending: int
    objects: int
    clips: int
    index_version: int | None


class IndexSummary(Result):
    """One version of an index.

    `frame_rows` is 0 for one without frame vectors. `previous` marks the version that was live before the present one.
    `fine_bytes` are those of the shards; `milvus_bytes` is an estimate, the vectors alone. `index_type` and `search`
    are of the clips; `recall` is of the collection that finds less, and None for a version of an older release.
    `revision` counts how often an update or a delete changed the version, from 1.
    """

    version: int
    revision: int
    clips: int
    frame_rows: int
    collection: str
    bytes_per_clip: int
    codec: str
    alias: str
    live: bool
    model_id: str
    previous: bool
    fine_bytes: int
    milvus_bytes: int
    created_utc: str
    index_type: str
    search: dict[str, int]
    recall: RecallFigures | None
    evaluation: EvaluationNote | None


class CanaryFigures(Result):
    """How far the answers of a version agree with those of the live one, over the same queries.

    Attributes:
        queries: "texts", ranked as a search ranks them, or "own vectors" of clips, by stage 1 alone.
        count: how many.
        version: the live one.
        same_model: whether both are of one model.
        overlap: mean share of the best ten that both have.
        rank_correlation: mean of Kendall's tau over what both have; None where that is less than two clips.
    """

    queries: str
    count: int
    version: int
    same_model: bool
    overlap: float
    rank_correlation: float | None


class PublishSummary(IndexSummary):
    """The version that is live now; `canaries` is None where there was nothing to compare with."""

    canaries: CanaryFigures | None


class RollbackSummary(IndexSummary):
    """The version that is live now; `replaced` was live before, and is the same number if nothing had to change."""

    replaced: int


class IndexList(Result):
    """All versions of an index, in order."""

    versions: list[IndexSummary]


class GcSummary(Result):
    """What was removed from an index, or would be with `dry_run`.

    Attributes:
        removed: versions, by number.
        kept: versions, by number.
        leftovers: folders of builds or removals that were cut short, by number.
        orphans: Milvus collections of this index that no version names.
        left: what stays although no version needs it, each with the reason, in one line.
        fine_bytes: of all files removed.
        milvus_bytes: an estimate for the versions removed, the vectors alone.
        dry_run: nothing was changed.
    """

    removed: list[int]
    kept: list[int]
    leftovers: list[int]
    orphans: list[str]
    left: list[str]
    fine_bytes: int
    milvus_bytes: int
    dry_run: bool


class DeleteSummary(Result):
    """What was deleted, or would be with `dry_run`.

    Attributes:
        uris: of the videos that were meant.
        already: how many of them were deleted before.
        clips: rows of the tables and of all versions together.
        clips_in_tables: rows of the tables, superseded ones included.
        clips_in_versions: by version, those that had any.
        versions: that the index keeps.
        unfinished_intent: with `dry_run`, whether a change has begun that the command would finish first.
        dry_run: nothing was changed.
    """

    uris: list[str]
    already: int
    clips: int
    clips_in_tables: int
    clips_in_versions: dict[int, int]
    versions: list[int]
    unfinished_intent: bool
    dry_run: bool


class UpdateSummary(Result):
    """What a version got and lost; `finished` is a change that was killed before and was ended first."""

    version: int
    revision: int
    tasks: int
    clips_added: int
    clips_removed: int
    clips: int
    shards: int
    finished: str | None


class CodecFigures(Result):
    """One codec on a trial.

    `bytes_per_clip` is a fine record. Recalls are percents of the queries, among the candidates of stage 1;
    `rank_correlation` is Spearman's with fp32 over the candidates, and `same_first` the percent of queries whose best
    clip is that of fp32. `score_ms` is the median of a query, on one thread, tokens in memory.
    """

    codec: str
    bytes_per_clip: int
    recall_at_1: float
    recall_at_10: float
    rank_correlation: float
    same_first: float
    score_ms: float


class CodecTable(Result):
    """Codecs side by side: `reelsift index codecs --json`.

    `queries` says what they are, and `choice` is the smallest codec whose R@1 is within `max_loss` points of fp32's.
    """

    clips: int
    queries: str
    candidates: int
    model_id: str
    codecs: list[CodecFigures]
    max_loss: float
    choice: str


class HitExplanation(Result):
    """What in a clip the text attended to in stage 2.

    Attributes:
        frame_times_s: presentation times of the frames, F of them.
        frame_weights: softmax of the text's attention over the frames, F of them, sum 1.
        patch_weights: the same within the best frame, rows x columns of patches, sum 1; None where the codec of the
            index keeps no patches in their places.
        heatmap_png: `patch_weights` as a picture to be laid over the frame at `best_s`: a data URI of a PNG whose
            opacity is the weight; None as `patch_weights`.
    """

    frame_times_s: list[float]
    frame_weights: list[float]
    patch_weights: list[list[float]] | None
    heatmap_png: str | None


class SearchHit(Result):
    """One ranked clip.

    `score` is the fused EERCF score and `coarse_score` is t^T G g, both without the factor exp(logit_scale),
    which no ranking depends on. `stage` is "fine" for a reranked clip and "coarse" for one below the rerank
    depth; all fine ones rank above all coarse ones. `best_s` is the presentation time of the frame that the
    text attends to most, and is None for a coarse hit. The URLs are paths on the server that answered, None where it
    serves no media; `explanation` is there when it was asked for, and for fine hits only.
    """

    rank: int
    clip_id: str
    video_id: str
    uri: str
    start_s: float
    end_s: float
    best_s: float | None = None
    score: float
    coarse_score: float
    stage: str
    media_url: str | None = None
    thumbnail_url: str | None = None
    explanation: HitExplanation | None = None


class SearchResult(Result):
    """The answer to one query: `reelsift search --json` and `POST /v1/search` alike.

    `recall` is how the candidates were found. In `timings_ms`, "recall" is all of stage 1; "recall_coarse",
    "recall_frames" and "recall_lookup" are the parts of it that this query needed.
    """

    query: str
    version: int
    recall: RecallMode
    hits: list[SearchHit]
    timings_ms: dict[str, float]
    degraded: list[str]
