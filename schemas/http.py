"""Bodies of the HTTP interface."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.filters import Filter
from schemas.recall import RecallMode
from schemas.results import SearchHit, SearchResult

MAX_QUERY_CHARS = 2000
MAX_K = 1000
MAX_BATCH_QUERIES = 64
MIN_DEADLINE_MS, MAX_DEADLINE_MS = 1, 60_000

QueryText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARS)]


class SearchOptions(BaseModel):
    """What a single search and a batch have in common."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(default=10, ge=1, le=MAX_K, strict=True, description="How many clips to return.")
    recall_k: int = Field(default=50, ge=1, le=MAX_K, strict=True, description="How many candidates are scored finely.")
    recall: RecallMode | None = Field(
        default=None,
        description="How candidates are found: by their coarse vector, by their best frame, or by both (the default "
        "where the index has frame vectors, else coarse).",
    )
    rerank: bool = Field(
        default=True, strict=True, description="False leaves out the second stage: all hits are of stage `coarse`."
    )
    filter: Filter | None = Field(
        default=None,
        description="Which clips may come: a condition on a field of the index, or several under and, or, not. A clip "
        "without a value meets no condition on it but exists: false.",
        examples=[
            {"and": [{"field": "duration_s", "op": ">=", "value": 2}, {"field": "width", "op": ">", "value": 640}]}
        ],
    )
    deadline_ms: int | None = Field(
        default=None,
        ge=MIN_DEADLINE_MS,
        le=MAX_DEADLINE_MS,
        strict=True,
        description="The answer is wanted within this time. When it runs short, less is done, in the steps that "
        "`degraded` of the answer names: fewer_candidates, frames_only, coarse_only.",
    )


class SearchRequest(SearchOptions):
    """Body of POST /v1/search."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"query": "a red star on a blue background", "k": 10}]}
    )

    query: QueryText
    explain: bool = Field(
        default=False,
        strict=True,
        description="Say of each fine hit how much the text attends to each frame and, where the index keeps patches "
        "in their places, to each part of the picture.",
    )


class BatchRequest(SearchOptions):
    """Body of POST /v1/search:batch: many texts, one set of options; the deadline is that of the whole batch."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"queries": ["a red star", "two green circles"], "k": 5}]}
    )

    queries: list[QueryText] = Field(min_length=1, max_length=MAX_BATCH_QUERIES)


class BatchResult(BaseModel):
    """Answer to POST /v1/search:batch; `results` has the order of `queries`."""

    results: list[SearchResult]
    timings_ms: dict[str, float]


class SimilarResult(BaseModel):
    """Answer to GET /v1/similar/{clip_id}: other clips by the likeness of their coarse vectors, the clip itself not."""

    clip_id: str
    version: int
    hits: list[SearchHit]
    timings_ms: dict[str, float]


class ClipInfo(BaseModel):
    """Answer to GET /v1/clips/{clip_id}.

    `fields` are the values that a search can be narrowed down by. `media_url` and `thumbnail_url` are paths on this
    server, signed and good for a while; None where it serves no media.
    """

    clip_id: str
    video_id: str
    version: int
    uri: str
    start_s: float
    end_s: float
    fields: dict[str, bool | int | float | str | None]
    media_url: str | None = None
    thumbnail_url: str | None = None


class AdminIndexRequest(BaseModel):
    """Body of POST /admin/v1/index: look for the published version now.

    With `version`, the answer comes when that version is served, or says why it is not.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}, {"version": 2}]})

    version: int | None = Field(default=None, ge=1, strict=True)


class ErrorDetail(BaseModel):
    """What went wrong; `field` names the part of the request, if one is to blame."""

    code: str
    message: str
    field: str | None = None


class ErrorBody(BaseModel):
    """Body of every answer that is not 2xx."""

    error: ErrorDetail


class IndexField(BaseModel):
    """A field that a filter may name: `type` is int, float, bool or string."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    type: str


class IndexInfo(BaseModel):
    """Body of GET /v1/index.

    `version` is None while nothing is published; `revision` counts its updates and deletes from 1; `frame_rows` is 0
    without frame vectors.
    """

    version: int | None
    revision: int | None
    clips: int
    frame_rows: int
    model_id: str | None
    codec: str | None
    collection: str | None
    fields: list[IndexField] = []


class Health(BaseModel):
    """Body of GET /healthz and /readyz."""

    status: str
    reason: str | None = None
