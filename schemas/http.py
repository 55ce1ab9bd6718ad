"""Bodies of the HTTP interface."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.filters import Filter
from schemas.recall import RecallMode

MAX_QUERY_CHARS = 2000
MAX_K = 1000

QueryText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARS)]


class SearchRequest(BaseModel):
    """Body of POST /v1/search."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"query": "a red star on a blue background", "k": 10}]}
    )

    query: QueryText
    k: int = Field(default=10, ge=1, le=MAX_K, strict=True)
    recall_k: int = Field(default=50, ge=1, le=MAX_K, strict=True)
    recall: RecallMode | None = Field(
        default=None,
        description="How candidates are found: by their coarse vector, by their best frame, or by both (the default "
        "where the index has frame vectors, else coarse).",
    )
    filter: Filter | None = Field(
        default=None,
        description="Which clips may come: a condition on a field of the index, or several under and, or, not. A clip "
        "without a value meets no condition on it but exists: false.",
        examples=[
            {"and": [{"field": "duration_s", "op": ">=", "value": 2}, {"field": "width", "op": ">", "value": 640}]}
        ],
    )


class ErrorDetail(BaseModel):
    """What went wrong; `field` names the part of the request, if one is to blame."""

    code: str
    message: str
    field: str | None = None


class ErrorBody(BaseModel):
    """Body of every answer that is not 2xx."""

    error: ErrorDetail


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


class Health(BaseModel):
    """Body of GET /healthz and /readyz."""

    status: str
    reason: str | None = None
