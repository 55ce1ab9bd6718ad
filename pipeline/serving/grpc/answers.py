"""Answers as messages. Each has the name and the fields of its model in schemas."""

from typing import Any

from google.protobuf.message import Message
from pydantic import BaseModel

from pipeline.serving.grpc import reelsift_pb2 as pb
from schemas.http import ClipInfo


def message_of(answer: BaseModel) -> Message:
    """The message of an answer.

    >>> message_of(ClipInfo(clip_id="c", video_id="v", version=1, uri="u", start_s=0, end_s=1, fields={"w": 2})).fields
    {'w': int_value: 2
    }
    """
    facts = _shaped(answer.model_dump(exclude_none=True))
    if isinstance(answer, ClipInfo):
        facts["fields"] = {name: _field_value(value) for name, value in answer.fields.items()}
    kind: type[Message] = getattr(pb, type(answer).__name__)
    return kind(**facts)


def _shaped(value: Any) -> Any:
    """A list of lists is a list of rows, which protobuf has no other form for."""
    if isinstance(value, dict):
        return {name: _rows(part) if name == "patch_weights" else _shaped(part) for name, part in value.items()}
    return [_shaped(part) for part in value] if isinstance(value, list) else value


def _rows(weights: list[list[float]]) -> list[dict[str, list[float]]]:
    return [{"weights": row} for row in weights]


def _field_value(value: bool | int | float | str | None) -> pb.FieldValue:
    match value:
        case None:
            return pb.FieldValue()
        case bool():
            return pb.FieldValue(bool_value=value)
        case int():
            return pb.FieldValue(int_value=value)
        case float():
            return pb.FieldValue(float_value=value)
        case str():
            return pb.FieldValue(string_value=value)
