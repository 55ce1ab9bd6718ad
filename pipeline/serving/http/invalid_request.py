"""What is wrong with a request that is not well-formed, in one line."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.serving.errors import INVALID_REQUEST, Failure, failure
from schemas.filters import explain_filter

_SHOWN_CHARS = 60
_JSON = "application/json"
_PLACES = ("body", "path", "query")


def explain_invalid(errors: Sequence[Any], content_type: str, known: Iterable[str] = ()) -> Failure:
    """One line for the first thing that is wrong with a request.

    Args:
        errors: what FastAPI found.
        content_type: of the body.
        known: fields that the body may have.

    >>> error = {"type": "less_than_equal", "loc": ("body", "k"), "msg": "Input should be <= 1000", "input": 2000}
    >>> explain_invalid([error], "application/json").detail.message
    'k = 2000: Input should be <= 1000'
    """
    first = errors[0]
    # The first step says where the value stood; a field of a body may be called "query" as well.
    steps = first["loc"][1:] if first["loc"][0] in _PLACES else first["loc"]
    path = [str(step) for step in steps]
    if first["type"] == "json_invalid":
        at = f" (character {path[0]})" if path else ""
        reason = first.get("ctx", {}).get("error", first["msg"])
        return failure(422, INVALID_REQUEST, f"the body is not JSON: {reason}{at}", "body")
    if not path:
        return failure(422, INVALID_REQUEST, _explain_body(first, content_type), "body")
    if path[0] == "filter":
        field, message = explain_filter({**first, "loc": steps[1:]})
        return failure(422, INVALID_REQUEST, f"{field}: {message}", field)
    field = ".".join(path)[:_SHOWN_CHARS]
    if first["type"] == "missing":
        return failure(422, INVALID_REQUEST, f"{field} is missing", field)
    if first["type"] == "extra_forbidden":
        return failure(422, INVALID_REQUEST, f"unknown field {field!r}: known are {', '.join(known)}", field)
    shown = ascii(first["input"])
    shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
    return failure(422, INVALID_REQUEST, f"{field} = {shown}: {first['msg']}", field)


def _explain_body(error: dict[str, Any], content_type: str) -> str:
    if error["type"] == "missing":
        return "the body is missing: send a JSON object"
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != _JSON and not kind.endswith("+json"):
        return f"the content type is {kind[:_SHOWN_CHARS]!a}: send 'Content-Type: application/json'"
    return 'the body must be a JSON object, such as {"query": "a red star"}'
