"""Fields that searches may be filtered by: some of every clip, and the user's own columns that a build names."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

FieldType = Literal["int", "float", "bool", "string"]
FIELD_TYPES: Final = ("int", "float", "bool", "string")
MAX_FIELDS: Final = 20
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")


class FilterField(BaseModel):
    """A field, and where its values are in Milvus.

    Attributes:
        name: what a filter calls it.
        type: of its values.
        column: where they are.
        present: the column that says whether a clip has a value; None where every clip has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: FieldType
    column: str
    present: str | None = None

    @classmethod
    def own(cls, text: str) -> Self:
        """A field of the user's, out of NAME:TYPE. The columns cannot be named like others of Milvus.

        >>> FilterField.own("year:int").column
        'f_year'

        Raises:
            ValueError: it is not NAME:TYPE, or a built-in field has that name.
        """
        name, _, kind = text.partition(":")
        if not _NAME.fullmatch(name) or kind not in FIELD_TYPES:
            raise ValueError(f"write NAME:TYPE, TYPE one of {', '.join(FIELD_TYPES)}, NAME of letters, digits and _")
        if name in BUILT_IN_NAMES:
            raise ValueError(f"{name} is a field of every clip already")
        return cls.model_validate({"name": name, "type": kind, "column": f"f_{name}", "present": f"has_{name}"})


def _built_in(name: str, kind: FieldType) -> FilterField:
    return FilterField(name=name, type=kind, column=name)


BUILT_IN: Final = (
    _built_in("video_id", "string"),
    _built_in("uri", "string"),
    _built_in("start_s", "float"),
    _built_in("end_s", "float"),
    _built_in("duration_s", "float"),
    _built_in("width", "int"),
    _built_in("height", "int"),
    _built_in("fps", "float"),
)
BUILT_IN_NAMES: Final = tuple(field.name for field in BUILT_IN)


def _own(value: Any) -> Any:
    return FilterField.own(value) if isinstance(value, str) else value


# As a setting is written: "year:int".
OwnField = Annotated[FilterField, BeforeValidator(_own)]
