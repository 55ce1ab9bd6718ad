"""What the description of the interface says of keys and of the other refusals of the guard."""

from typing import Any

from fastapi import FastAPI

from pipeline.serving.http.guard import MAX_URL_BYTES, is_open

_SCHEME = "key"
_TOO_LONG = {"414": f"the address is longer than {MAX_URL_BYTES} bytes", "403": "this may not be asked here, or not so"}
_NO_KEY = {"401": "a key is needed, where the service was started with keys"}


def describe_guard(app: FastAPI) -> None:
    """Let /openapi.json tell of what `Guard` answers in the application's place."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        document = plain()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        if _SCHEME not in schemes:
            schemes[_SCHEME] = {"type": "http", "scheme": "bearer"}
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _describe(operation, asks_key=not is_open(path))
        return document

    app.openapi = described  # type: ignore[method-assign]


def _describe(operation: dict[str, Any], *, asks_key: bool) -> None:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    for status, text in (_NO_KEY | _TOO_LONG if asks_key else _TOO_LONG).items():
        operation["responses"].setdefault(status, {"description": text, "content": body})
    if asks_key:
        # One of the two: a service without keys asks for none.
        operation["security"] = [{_SCHEME: []}, {}]
