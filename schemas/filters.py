"""What a search may be narrowed down to: a tree of conditions on fields, as JSON.

    {"and": [{"field": "width", "op": ">=", "value": 1280},
             {"field": "category", "op": "in", "value": ["a", "b"]},
             {"not": {"field": "title", "op": "prefix", "value": "draft"}}]}

A condition on a field that a clip has no value of is not met, whatever it is; `not` turns that round, and `exists`
asks for it. Strings are ordered by their code points.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    TypeAdapter,
    ValidationError,
)

from schemas.errors import UsageError

MAX_DEPTH: Final = 8
MAX_CONDITIONS: Final = 64
MAX_VALUES: Final = 200
MAX_CHARS: Final = 1000
MAX_INT: Final = 2**63 - 1

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in", "prefix", "exists"]
_Text = Annotated[StrictStr, Field(max_length=MAX_CHARS)]
_Whole = Annotated[StrictInt, Field(ge=-MAX_INT, le=MAX_INT)]
_Real = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Scalar = Annotated[StrictBool | _Whole | _Real | _Text, Field(union_mode="left_to_right")]


_EXAMPLE: Final = """{"field": "duration_s", "op": "<", "value": 60}"""


class FilterError(UsageError):
    """A filter that cannot be: `path` leads to the part, such as "filter.and.0"."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _counted(value: Any) -> Any:
    if isinstance(value, list) and not 1 <= len(value) <= MAX_VALUES:
        raise ValueError(f"a list of {len(value)} values: 1 to {MAX_VALUES} are taken")
    return value


class Condition(_Node):
    """One field against a value: a scalar, a list for `in` and `not in`, none for `exists`."""

    field: Annotated[str, Field(max_length=60)]
    op: Operator
    value: Annotated[Scalar | list[Scalar] | None, BeforeValidator(_counted)] = None


class AllOf(_Node):
    """Met where all parts are."""

    parts: Annotated[list["Tree"], Field(alias="and", min_length=1)]


class AnyOf(_Node):
    """Met where one part is."""

    parts: Annotated[list["Tree"], Field(alias="or", min_length=1)]


class Not(_Node):
    """Met where its part is not."""

    part: Annotated["Tree", Field(alias="not")]


def _kind(node: Any) -> str:
    if isinstance(node, BaseModel):
        return {AllOf: "and", AnyOf: "or", Not: "not"}.get(type(node), "condition")
    return next((key for key in ("and", "or", "not") if isinstance(node, dict) and key in node), "condition")


Tree = Annotated[
    Annotated[AllOf, Tag("and")]
    | Annotated[AnyOf, Tag("or")]
    | Annotated[Not, Tag("not")]
    | Annotated[Condition, Tag("condition")],
    Discriminator(_kind),
]


def _bounded(value: Any) -> Any:
    """Refuse what is too deep or too large before anything looks at it closely."""
    depths = list(_conditions(value, 1)) if not isinstance(value, BaseModel) else []
    if max(depths, default=0) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if len(depths) > MAX_CONDITIONS:
        raise ValueError(f"{len(depths)} conditions, at most {MAX_CONDITIONS}")
    return value


def _conditions(node: Any, depth: int) -> Iterator[int]:
    """The depth of every leaf; it goes no deeper than it must to know."""
    parts: list[Any] = []
    if isinstance(node, dict) and depth <= MAX_DEPTH:
        for key in ("and", "or", "not"):
            part = node.get(key)
            parts += part if isinstance(part, list) else [] if part is None else [part]
    if not parts:
        yield depth
    for part in parts:
        yield from _conditions(part, depth + 1)


AllOf.model_rebuild()
AnyOf.model_rebuild()
Not.model_rebuild()
# The type of a whole filter, for other models.
Filter = Annotated[Tree, BeforeValidator(_bounded)]
_FILTER: Final[TypeAdapter[Tree]] = TypeAdapter(Filter)


def parse_filter(text: str) -> Tree:
    """A filter out of JSON.

    Raises:
        FilterError: it is not JSON, or no filter.
    """
    try:
        return _FILTER.validate_json(text)
    except ValidationError as error:
        raise FilterError(*explain_filter(error.errors()[0])) from None


def explain_filter(error: Any, root: str = "filter") -> tuple[str, str]:
    """The path to what is wrong, and what it is, out of an error of pydantic's.

    Args:
        error: one of `ValidationError.errors()`, of a filter.
        root: what the path begins with.
    """
    steps = error["loc"]
    if error["type"] == "json_invalid":
        message = f"is no JSON; write it as {_EXAMPLE}"
    elif "value" in steps and error["type"] != "value_error":
        # The rest of the path names kinds of values, which nobody wrote.
        steps = steps[: steps.index("value")]
        message = f"value must be a number, text of at most {MAX_CHARS} characters, true, false, or a list of these"
    else:
        message = error["msg"].removeprefix("Value error, ")
    shown = [str(step) for i, step in enumerate(steps) if not _is_tag(steps, i)]
    return ".".join([root, *shown]), message


def _is_tag(path: tuple[int | str, ...], place: int) -> bool:
    """Whether a step is the member of the union that pydantic took: "and" stands twice then."""
    step = path[place]
    return step == "condition" or (step in ("and", "or", "not") and path[place + 1 : place + 2] == (step,))
