"""Annotation files read whole, with errors that name the file and the place in it."""

import csv
import io
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from schemas.errors import InputError

_T = TypeVar("_T", list[Any], dict[str, Any])
_KINDS: dict[type, str] = {list: "a list", dict: "an object"}


def read_text(path: Path) -> str:
    """The text of a file, a byte order mark left out.

    Raises:
        InputError: it is missing, cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no {path.name} in {path.parent}; see docs/datasets.md") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); get it again or convert it") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    return parse_json(read_text(path), path, None)


def parse_json(text: str, path: Path, line: int | None) -> Any:
    """JSON out of a file or, with `line`, out of one line of it; NaN and infinities are no JSON.

    Raises:
        InputError: it is no JSON.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        place = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        malformed(path, f"line {line or place}", f"no JSON ({reason})")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank, from 1.

    Raises:
        InputError: the file cannot be read.
    """
    # Not splitlines(): captions hold characters such as U+2028, which end no line of a file.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def read_csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row of a CSV file with a header.

    Raises:
        InputError: the file cannot be read, lacks a column, or a row has no value for one.
    """
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        for column in columns:
            if column not in (rows.fieldnames or ()):
                malformed(path, "line 1", f"no column {column!r}")
        for row in rows:
            for column in columns:
                if row[column] is None:
                    malformed(path, f"line {rows.line_num}", f"no value for {column!r}")
            yield rows.line_num, {column: row[column] for column in columns}
    except csv.Error as error:
        malformed(path, f"line {rows.reader.line_num}", f"no CSV ({error})")


def fold(text: str) -> str:
    """Text with every run of blanks as one space, and none at its ends.

    >>> fold("  a man   is  cooking ")
    'a man is cooking'
    """
    return " ".join(text.split())


def text_field(entry: Any, name: str, path: Path, place: str) -> str:
    """A field of an entry that must be text and not blank, blanks folded.

    Raises:
        InputError: the entry is no object, or has no such text.
    """
    if not isinstance(entry, dict):
        malformed(path, place, "not an object")
    return checked_text(entry.get(name), name, path, place)


def checked_text(value: Any, name: str, path: Path, place: str) -> str:
    """A value that must be text and not blank, blanks folded.

    Raises:
        InputError: it is something else, or holds half a character.
    """
    text = maybe_blank(value, name, path, place) if isinstance(value, str) else ""
    if not text:
        malformed(path, place, f"no text in {name!r}")
    return text


def maybe_blank(value: Any, name: str, path: Path, place: str) -> str:
    """A value that must be text, blanks folded.

    Raises:
        InputError: it is something else, or holds half a character.
    """
    if not isinstance(value, str):
        malformed(path, place, f"{name!r} is no text")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        malformed(path, place, f"{name!r} holds half a character (a lone surrogate)")
    return fold(value)


def entries(value: Any, kind: type[_T], path: Path, place: str) -> _T:
    """A value that must be a list, or an object.

    Args:
        value: read from the file.
        kind: list or dict.
        path: the file.
        place: of the value.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, kind):
        malformed(path, place, f"not {_KINDS[kind]}")
    return value


def find_file(folder: Path, *names: str) -> Path | None:
    """The first of these files that is in the folder, or in its subfolder `annotations`."""
    for name in names:
        for place in (folder / name, folder / "annotations" / name):
            if os.path.isfile(place):  # unlike Path.is_file, false where access is denied
                return place
    return None


def need_file(folder: Path, *names: str) -> Path:
    """The first of these files that is in the folder, or in its subfolder `annotations`.

    Raises:
        InputError: none of them is.
    """
    path = find_file(folder, *names)
    if path is None:
        raise InputError(f"no {' or '.join(names)} in {folder} or its annotations/; see docs/datasets.md")
    return path


def read_list(path: Path) -> tuple[str, ...]:
    """The names in a file, one a line, each once.

    Raises:
        InputError: the file cannot be read.
    """
    return tuple(dict.fromkeys(fold(line) for _, line in read_lines(path)))


def malformed(path: Path, place: str, why: str) -> NoReturn:
    """Refuse a file.

    Raises:
        InputError: always.
    """
    raise InputError(f"{path}, {place}: {why}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large a number")
    return value
