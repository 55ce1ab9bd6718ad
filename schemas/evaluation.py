"""Settings of `reelsift evaluate`, what it prints, and its report.json."""

from typing import Annotated, Any, Final

from pydantic import Field, ValidationInfo, field_validator

from schemas.config import DEFAULT_MODEL, MAX_COUNT, Config, Count, Fraction
from schemas.http import MAX_K
from schemas.recall import RecallMode
from schemas.results import Result

# R@1, R@5, R@10 and R@50 in percent, MdR and MnR; in a sweep also `recalled`, the percent among the candidates.
Figures = dict[str, float]
# coarse | two_stage | exhaustive
Ways = dict[str, Figures]
WAYS: Final = ("coarse", "two_stage", "exhaustive")
# recall mode -> k -> figures
Sweep = dict[str, dict[int, Figures]]

RULES: Final = {
    "ties": "a rank is 1 plus the number of wrong items whose score to 6 decimals is not lower: ties count against us",
    "two_stage": "the k candidates of stage 1 rank by their final score, all others below them by their coarse score",
    "recall": "candidates are the best by coarse vector, by best frame (max over real frames of t . n(f)), or both in "
    "turn; k is the limit of all together, and recall is exact: no approximate index is in between",
    "t2v": "every caption is a query, its own clip the one right answer; all clips are searched",
    "v2t": "every video is a query over all captions; its rank is that of its best own caption, and its other own "
    "captions count neither for nor against it; in a group, only the group's captions are right",
    "absent": "figures are over the captions whose clip is there, against the clips that are there; beside them stands "
    "what they would be if every caption of an absent clip counted as a miss",
}


class EvaluateConfig(Config):
    """Settings of `reelsift evaluate`.

    Attributes:
        data: FOLDER with a captions.jsonl, or NAME:FOLDER of a published set.
        out: local folder of the report; its tables are what a second run goes on from.
        model: what embeds clips and texts.
        allow_train: evaluate on the split "train" too, whose clips a model may have been trained on.
        split: of the data.
        recall: how stage 1 of the headline's two-stage search finds its candidates.
        recall_k: how many they are.
        ks: numbers of candidates that are swept.
        by: keys of captions.jsonl to break text-to-video down by; those that no caption has are passed over.
        worst: queries shown with frames.
        timed_queries: how many queries are timed one by one.
        dsl: also figures with dual softmax over all queries: offline only.
        probes: pictures an attribute for the attribute probes on generated scenes; 0 for none.
        max_bad_fraction: exit 3 above this fraction of quarantined videos.
        extract: further settings of extraction, such as {"decode_timeout_s": 120}.
    """

    data: str = Field(min_length=1)
    out: str = Field(min_length=1)
    model: str = Field(default=DEFAULT_MODEL, min_length=1)
    allow_train: bool = False
    split: str = Field(default="test", min_length=1)
    recall: RecallMode = "both"
    recall_k: int = Field(default=50, ge=1, le=MAX_K)
    ks: tuple[Annotated[int, Field(ge=1, le=MAX_K)], ...] = (1, 5, 10, 25, 50, 100, 200)
    by: tuple[str, ...] = ("event_frames",)
    worst: int = Field(default=12, ge=0, le=100)
    timed_queries: Count = 32
    dsl: bool = False
    probes: int = Field(default=0, ge=0, le=MAX_COUNT)
    max_bad_fraction: Fraction = 0.1
    extract: dict[str, Any] = Field(default_factory=dict)

    @field_validator("extract")
    @classmethod
    def _nothing_decided_here(cls, value: dict[str, Any]) -> dict[str, Any]:
        ours = {"input", "tables", "model", "clips"} & set(value)
        if ours:
            raise ValueError(f"{sorted(ours)[0]!r} is decided by evaluate itself")
        return value

    @field_validator("split")
    @classmethod
    def _not_on_training_clips(cls, value: str, info: ValidationInfo) -> str:
        if value == "train" and not info.data.get("allow_train"):
            raise ValueError("models are trained on it; to evaluate on it all the same, add --set allow_train=true")
        return value

    @property
    def depths(self) -> tuple[int, ...]:
        """All numbers of candidates, the headline's too, in order."""
        return tuple(sorted({*self.ks, self.recall_k}))


class Slice(Result):
    """Figures of some queries.

    Attributes:
        queries: captions, for text to video.
        t2v: by way.
        sweep: two-stage text to video by recall mode and k.
        v2t: by way; None where the queries are no group.
        v2t_sweep: like `sweep`.
    """

    queries: int
    t2v: Ways
    sweep: Sweep
    v2t: Ways | None = None
    v2t_sweep: Sweep | None = None


class Absent(Result):
    """Videos that could not be searched, and what their captions would cost.

    Attributes:
        missing: videos without a file.
        quarantined: videos that were not decoded, by reason.
        captions: of all of these.
        names: of all of these, with the reason.
        t2v_with_misses: R@k of each way if each of these captions counted as a miss.
    """

    missing: int
    quarantined: dict[str, int]
    captions: int
    names: dict[str, str]
    t2v_with_misses: Ways


class Cost(Result):
    """What one query costs in each way; texts are encoded and tokens are in memory.

    Attributes:
        macs: multiply-adds by formula, without the text tower: coarse, two_stage, exhaustive, and two_stage_MODE.
        macs_ratio: exhaustive / two_stage, for each recall mode.
        seconds: measured, the mean: like `macs`, and the parts recall_MODE and rerank.
        seconds_ratio: like `macs_ratio`.
        cpu_seconds: CPU time of all threads, by part.
        cpu_ratio: like `macs_ratio`; other work on the machine disturbs it less than `seconds_ratio`.
        queries: how many were timed, one by one.
        threads: the same for all ways.
        paper_macs: of a pair by the paper's way of counting, two_stage and exhaustive.
    """

    macs: dict[str, float]
    macs_ratio: dict[str, float]
    seconds: dict[str, float]
    seconds_ratio: dict[str, float]
    cpu_seconds: dict[str, float]
    cpu_ratio: dict[str, float]
    queries: int
    threads: int
    paper_macs: dict[str, float]


class PaperRow(Result):
    """A row of the paper's cost table, recomputed from its formulas."""

    name: str
    clips: int
    frames: int
    words: int
    two_stage_macs: float
    token_wise_macs: int
    ratio: float
    claimed: int


class Moment(Result):
    """A clip as a query saw it: the time of the frame that matched best, and its score."""

    key: str
    uri: str
    time_s: float
    score: float


class WorstQuery(Result):
    """A query whose own clip ranks far down, and what was found instead."""

    text: str
    group: str
    tags: dict[str, str | int | float]
    ranks: dict[str, int]
    recalled: bool
    own: Moment
    found: Moment


class EvaluationReport(Result):
    """report.json: all figures of an evaluation.

    Attributes:
        data: spec, name, split, and the protocol in a sentence.
        notes: what a reader of the figures should know.
        rules: how ranks, candidates and absent clips are counted.
        model: as asked for.
        model_id: of the tables.
        recall: of the headline's two-stage search.
        recall_k: its candidates.
        queries: captions whose clip is there.
        clips: that are searched.
        overall: all queries.
        groups: of the data, such as gist and needle.
        tags: tag -> value -> figures of text to video.
        ranks: way -> how many text-to-video queries have a rank of each bucket, such as "2-5".
        phases: seconds of the parts of this run.
        dsl: offline figures with dual softmax; None without --dsl.
        probes: attribute -> percent of right choices.
    """

    data: dict[str, str]
    notes: list[str]
    rules: dict[str, str] = RULES
    model: str
    model_id: str
    recall: RecallMode
    recall_k: int
    queries: int
    clips: int
    overall: Slice
    groups: dict[str, Slice]
    tags: dict[str, dict[str, Slice]]
    ranks: dict[str, dict[str, int]]
    absent: Absent
    cost: Cost
    paper: list[PaperRow]
    worst: list[WorstQuery]
    phases: dict[str, float]
    dsl: dict[str, Ways] | None
    probes: dict[str, float]


class GroupFigures(Result):
    """The figures of one group of queries by way, and by two_stage_MODE; `v2t` is empty where it has none."""

    queries: int
    t2v: Ways
    v2t: Ways


class EvaluationSummary(Result):
    """What `reelsift evaluate --json` prints.

    `macs` and `seconds` are of one query: coarse, two_stage, exhaustive, and their `ratio` exhaustive / two_stage.
    `two_stage` is by `recall` with `recall_k` candidates; two_stage_MODE beside it is by another mode with as many.
    """

    queries: int
    clips: int
    t2v: Ways
    v2t: Ways
    macs: dict[str, float]
    seconds: dict[str, float]
    groups: dict[str, GroupFigures]
    tags: dict[str, dict[str, GroupFigures]]
    recall: RecallMode
    recall_k: int
    missing: int
    quarantined: int
    absent_captions: int
    processed: int
    model_id: str
    report: str
