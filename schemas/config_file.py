"""Merge of settings: file, then flags, then --set key=value; the last one wins."""

import contextlib
import json
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import ConfigError


def read_config_file(path: str) -> dict[str, Any]:
    """Read a YAML (or JSON, its subset) file that holds one mapping.

    Raises:
        ConfigError: the file cannot be read, or is not a mapping.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read --config {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        # Beside bad syntax: no UTF-8, a date or a number that cannot be, brackets without end.
        raise ConfigError(f"--config {path} is not YAML: check its syntax") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"--config {path} must hold 'key: value' lines, not a {type(values).__name__}")
    return {str(key): value for key, value in values.items()}


def parse_set(pairs: list[str]) -> dict[str, Any]:
    r"""Values of --set: JSON where it parses, a list as in YAML, else text.

    >>> parse_set(["k=5", "model=tiny", 'input=["a"]', "freeze=[clip, temporal]"])
    {'k': 5, 'model': 'tiny', 'input': ['a'], 'freeze': ['clip', 'temporal']}

    Raises:
        ConfigError: a pair without "=".
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair!r}: write it as key=value")
        values[key] = _value(text)
    return values


def _value(text: str) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    # Only what begins as a list: YAML would read much else, such as "no" and "1:30", as no text.
    if text.startswith("["):
        with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
            return yaml.safe_load(text)
    return text
