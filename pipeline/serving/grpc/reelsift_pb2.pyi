from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchRequest(_message.Message):
    __slots__ = ("query", "k", "recall_k", "recall", "rerank", "filter", "deadline_ms", "explain")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    RECALL_K_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RERANK_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    query: str
    k: int
    recall_k: int
    recall: str
    rerank: bool
    filter: str
    deadline_ms: int
    explain: bool
    def __init__(self, query: _Optional[str] = ..., k: _Optional[int] = ..., recall_k: _Optional[int] = ..., recall: _Optional[str] = ..., rerank: _Optional[bool] = ..., filter: _Optional[str] = ..., deadline_ms: _Optional[int] = ..., explain: _Optional[bool] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("queries", "k", "recall_k", "recall", "rerank", "filter", "deadline_ms")
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    RECALL_K_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RERANK_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    queries: _containers.RepeatedScalarFieldContainer[str]
    k: int
    recall_k: int
    recall: str
    rerank: bool
    filter: str
    deadline_ms: int
    def __init__(self, queries: _Optional[_Iterable[str]] = ..., k: _Optional[int] = ..., recall_k: _Optional[int] = ..., recall: _Optional[str] = ..., rerank: _Optional[bool] = ..., filter: _Optional[str] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class SimilarRequest(_message.Message):
    __slots__ = ("clip_id", "k")
    CLIP_ID_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    clip_id: str
    k: int
    def __init__(self, clip_id: _Optional[str] = ..., k: _Optional[int] = ...) -> None: ...

class ClipRequest(_message.Message):
    __slots__ = ("clip_id",)
    CLIP_ID_FIELD_NUMBER: _ClassVar[int]
    clip_id: str
    def __init__(self, clip_id: _Optional[str] = ...) -> None: ...

class IndexRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PatchRow(_message.Message):
    __slots__ = ("weights",)
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, weights: _Optional[_Iterable[float]] = ...) -> None: ...

class HitExplanation(_message.Message):
    __slots__ = ("frame_times_s", "frame_weights", "patch_weights", "heatmap_png")
    FRAME_TIMES_S_FIELD_NUMBER: _ClassVar[int]
    FRAME_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    PATCH_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    HEATMAP_PNG_FIELD_NUMBER: _ClassVar[int]
    frame_times_s: _containers.RepeatedScalarFieldContainer[float]
    frame_weights: _containers.RepeatedScalarFieldContainer[float]
    patch_weights: _containers.RepeatedCompositeFieldContainer[PatchRow]
    heatmap_png: str
    def __init__(self, frame_times_s: _Optional[_Iterable[float]] = ..., frame_weights: _Optional[_Iterable[float]] = ..., patch_weights: _Optional[_Iterable[_Union[PatchRow, _Mapping]]] = ..., heatmap_png: _Optional[str] = ...) -> None: ...

class SearchHit(_message.Message):
    __slots__ = ("rank", "clip_id", "video_id", "uri", "start_s", "end_s", "best_s", "score", "coarse_score", "stage", "media_url", "thumbnail_url", "explanation")
    RANK_FIELD_NUMBER: _ClassVar[int]
    CLIP_ID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_ID_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    START_S_FIELD_NUMBER: _ClassVar[int]
    END_S_FIELD_NUMBER: _ClassVar[int]
    BEST_S_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    COARSE_SCORE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    MEDIA_URL_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_URL_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    rank: int
    clip_id: str
    video_id: str
    uri: str
    start_s: float
    end_s: float
    best_s: float
    score: float
    coarse_score: float
    stage: str
    media_url: str
    thumbnail_url: str
    explanation: HitExplanation
    def __init__(self, rank: _Optional[int] = ..., clip_id: _Optional[str] = ..., video_id: _Optional[str] = ..., uri: _Optional[str] = ..., start_s: _Optional[float] = ..., end_s: _Optional[float] = ..., best_s: _Optional[float] = ..., score: _Optional[float] = ..., coarse_score: _Optional[float] = ..., stage: _Optional[str] = ..., media_url: _Optional[str] = ..., thumbnail_url: _Optional[str] = ..., explanation: _Optional[_Union[HitExplanation, _Mapping]] = ...) -> None: ...

class SearchResult(_message.Message):
    __slots__ = ("query", "version", "recall", "hits", "timings_ms", "degraded")
    class TimingsMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    QUERY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_MS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    query: str
    version: int
    recall: str
    hits: _containers.RepeatedCompositeFieldContainer[SearchHit]
    timings_ms: _containers.ScalarMap[str, float]
    degraded: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, query: _Optional[str] = ..., version: _Optional[int] = ..., recall: _Optional[str] = ..., hits: _Optional[_Iterable[_Union[SearchHit, _Mapping]]] = ..., timings_ms: _Optional[_Mapping[str, float]] = ..., degraded: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("results", "timings_ms")
    class TimingsMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_MS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SearchResult]
    timings_ms: _containers.ScalarMap[str, float]
    def __init__(self, results: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ..., timings_ms: _Optional[_Mapping[str, float]] = ...) -> None: ...

class SimilarResult(_message.Message):
    __slots__ = ("clip_id", "version", "hits", "timings_ms")
    class TimingsMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CLIP_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_MS_FIELD_NUMBER: _ClassVar[int]
    clip_id: str
    version: int
    hits: _containers.RepeatedCompositeFieldContainer[SearchHit]
    timings_ms: _containers.ScalarMap[str, float]
    def __init__(self, clip_id: _Optional[str] = ..., version: _Optional[int] = ..., hits: _Optional[_Iterable[_Union[SearchHit, _Mapping]]] = ..., timings_ms: _Optional[_Mapping[str, float]] = ...) -> None: ...

class FieldValue(_message.Message):
    __slots__ = ("bool_value", "int_value", "float_value", "string_value")
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    FLOAT_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    bool_value: bool
    int_value: int
    float_value: float
    string_value: str
    def __init__(self, bool_value: _Optional[bool] = ..., int_value: _Optional[int] = ..., float_value: _Optional[float] = ..., string_value: _Optional[str] = ...) -> None: ...

class ClipInfo(_message.Message):
    __slots__ = ("clip_id", "video_id", "version", "uri", "start_s", "end_s", "fields", "media_url", "thumbnail_url")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FieldValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FieldValue, _Mapping]] = ...) -> None: ...
    CLIP_ID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    START_S_FIELD_NUMBER: _ClassVar[int]
    END_S_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_URL_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_URL_FIELD_NUMBER: _ClassVar[int]
    clip_id: str
    video_id: str
    version: int
    uri: str
    start_s: float
    end_s: float
    fields: _containers.MessageMap[str, FieldValue]
    media_url: str
    thumbnail_url: str
    def __init__(self, clip_id: _Optional[str] = ..., video_id: _Optional[str] = ..., version: _Optional[int] = ..., uri: _Optional[str] = ..., start_s: _Optional[float] = ..., end_s: _Optional[float] = ..., fields: _Optional[_Mapping[str, FieldValue]] = ..., media_url: _Optional[str] = ..., thumbnail_url: _Optional[str] = ...) -> None: ...

class IndexField(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class IndexInfo(_message.Message):
    __slots__ = ("version", "revision", "clips", "frame_rows", "model_id", "codec", "collection", "fields")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    FRAME_ROWS_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    version: int
    revision: int
    clips: int
    frame_rows: int
    model_id: str
    codec: str
    collection: str
    fields: _containers.RepeatedCompositeFieldContainer[IndexField]
    def __init__(self, version: _Optional[int] = ..., revision: _Optional[int] = ..., clips: _Optional[int] = ..., frame_rows: _Optional[int] = ..., model_id: _Optional[str] = ..., codec: _Optional[str] = ..., collection: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[IndexField, _Mapping]]] = ...) -> None: ...
