"""Examples of answers, for the description of the interface."""

from typing import Any, Final

from pydantic import BaseModel

from schemas.http import (
    BatchResult,
    ClipInfo,
    ErrorBody,
    ErrorDetail,
    Health,
    IndexField,
    IndexInfo,
    SimilarResult,
)
from schemas.results import SearchHit, SearchResult

_CLIP: Final = "c1f0d9a47be2235c0a991"
_TIMINGS_MS: Final = {"encode": 3.1, "recall": 6.4, "recall_coarse": 6.3, "read": 0.8, "score": 2.2, "total": 15.0}
_HIT: Final = SearchHit(
    rank=1,
    clip_id=_CLIP,
    video_id="v77ab0c4419e05d2f6c30",
    uri="s3://videos/parade.mp4",
    start_s=12.0,
    end_s=20.0,
    best_s=15.24,
    score=0.431907,
    coarse_score=0.258114,
    stage="fine",
)
_COARSE: Final = _HIT.model_copy(update={"best_s": None, "score": 0.258114, "stage": "coarse"})
_SEARCH: Final = SearchResult(
    query="a red star on a blue background", version=2, recall="both", hits=[_HIT], timings_ms=_TIMINGS_MS, degraded=[]
)
_EXAMPLES: Final[tuple[BaseModel, ...]] = (
    _SEARCH,
    BatchResult(results=[_SEARCH.model_copy(update={"query": "a red star"})], timings_ms=_TIMINGS_MS),
    SimilarResult(clip_id="c8d2770fe1b5a34c90e17", version=2, hits=[_COARSE], timings_ms={"total": 7.9}),
    ClipInfo(
        clip_id=_CLIP,
        video_id=_HIT.video_id,
        version=2,
        uri=_HIT.uri,
        start_s=12.0,
        end_s=20.0,
        fields={"duration_s": 8.0, "width": 1280, "year": 2019, "category": None},
    ),
    IndexInfo(
        version=2,
        revision=1,
        clips=120_000,
        frame_rows=1_436_210,
        model_id="reelsift-tiny-dd495fb3a7cb",
        codec="fp16",
        collection="reelsift_93bc0f586d80_v2",
        fields=[IndexField(name="width", type="int"), IndexField(name="year", type="int")],
    ),
    Health(status="ready"),
)
_CODES: Final = {
    403: ("bad_signature", "this address was not made here: take it from an answer", None),
    404: ("no_such_clip", f"no clip '{_CLIP}' in the published version", None),
    409: (
        "another_version",
        "version 2 is published, not 3: run 'reelsift index publish --version 3'",
        "version",
    ),
    413: ("body_too_large", "the body is larger than 65536 bytes: shorten it", "body"),
    416: ("range_not_satisfiable", "the video has 48213 bytes", "Range"),
    422: ("invalid_request", "k = 2000: Input should be less than or equal to 1000", "k"),
    429: ("overloaded", "12 searches are under way, the limit now: try again", None),
    500: ("internal", "internal error: the server's log has it under request id 5f0c", None),
    503: ("milvus_unavailable", "Milvus at http://milvus:19530 does not answer: start it, or check the address", None),
    504: ("timeout", "no answer in time: allow a longer deadline_ms, or ask for a smaller recall_k", None),
}


def answered(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The description of a 200 with an example.

    >>> answered(Health)[200]["content"]["application/json"]["example"]
    {'status': 'ready', 'reason': None}
    """
    example = next(one for one in _EXAMPLES if type(one) is model)
    return {200: {"content": {"application/json": {"example": example.model_dump(mode="json")}}}}


def error_example(status: int) -> dict[str, Any]:
    """The body of an error answer.

    >>> error_example(429)["error"]["code"]
    'overloaded'
    """
    code, message, field = _CODES[status]
    return ErrorBody(error=ErrorDetail(code=code, message=message, field=field)).model_dump(mode="json")
