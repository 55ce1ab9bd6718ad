r"""A filter as an expression of Milvus, for every release alike.

Milvus Lite takes no values beside an expression, so they stand in it: numbers as Python writes them, text between
double quotes with the five escapes that Milvus Lite and Milvus 2.3 both know (\\ \" \n \r \t). All else of a text
stands as it is; nothing of it can end the quotes. Fields stand as the columns of the manifest, never as the user wrote
them.

`prefix` is a range and not LIKE, in which % and _ would need escapes that the releases do not share: a text begins with
p if it is at least p and less than the next text of p's length.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from schemas.fields import FilterField
from schemas.filters import AllOf, Condition, FilterError, Not, Tree

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
_KINDS: Final = {"int": (int,), "float": (int, float), "bool": (bool,), "string": (str,)}
_OPS: Final = {
    "int": ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "exists"),
    "float": ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "exists"),
    "bool": ("==", "!=", "exists"),
    "string": ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "prefix", "exists"),
}
_LISTS: Final = ("in", "not in")
_LAST_BEFORE_SURROGATES, _FIRST_BEHIND, _LAST = "\ud7ff", "\ue000", "\U0010ffff"
# A condition that all rows meet, and one that none does: `clip_id` is never empty.
_ALWAYS, _NEVER = 'clip_id != ""', 'clip_id == ""'


def filter_expression(tree: Tree, fields: Sequence[FilterField], path: str = "filter") -> str:
    """The expression.

    Args:
        tree: the filter.
        fields: those of the version.
        path: of the tree, for messages.

    >>> from schemas.fields import BUILT_IN
    >>> from schemas.filters import parse_filter
    >>> filter_expression(parse_filter('{"field": "width", "op": ">=", "value": 1280}'), BUILT_IN)
    '(width >= 1280)'

    Raises:
        FilterError: a field that the version does not have, or a value or an operator that does not suit it.
    """
    return _compiled(tree, {field.name: field for field in fields}, path)


def quoted(text: str) -> str:
    r"""A text as a literal.

    >>> quoted('a "b"\n')
    '"a \\"b\\"\\n"'
    """
    return f'"{text.translate(_ESCAPES)}"'


def _compiled(tree: Tree, fields: Mapping[str, FilterField], path: str) -> str:
    if isinstance(tree, Condition):
        return _condition(tree, _checked(tree, fields, path))
    if isinstance(tree, Not):
        return f"(not {_compiled(tree.part, fields, f'{path}.not')})"
    word = "and" if isinstance(tree, AllOf) else "or"
    return _joined(word, [_compiled(part, fields, f"{path}.{word}.{i}") for i, part in enumerate(tree.parts)])


def _joined(word: str, parts: Sequence[str]) -> str:
    return "(" + f" {word} ".join(parts) + ")"


def _checked(condition: Condition, fields: Mapping[str, FilterField], path: str) -> FilterField:
    field = fields.get(condition.field)
    if field is None:
        raise FilterError(path, f"no field {condition.field!r}; this version has {', '.join(sorted(fields)) or 'none'}")
    if condition.op not in _OPS[field.type]:
        raise FilterError(path, f"{field.name} is {field.type}, which takes {', '.join(_OPS[field.type])}")
    if condition.op == "exists":
        if not isinstance(condition.value, bool | None):
            raise FilterError(path, "exists takes true, false or nothing")
        return field
    if isinstance(condition.value, list) != (condition.op in _LISTS) or condition.value is None:
        raise FilterError(path, f"{condition.op} takes {'a list of values' if condition.op in _LISTS else 'one value'}")
    for value in condition.value if isinstance(condition.value, list) else [condition.value]:
        _check_value(value, field, path)
    return field


def _check_value(value: object, field: FilterField, path: str) -> None:
    # To Python, true is a number.
    if not isinstance(value, _KINDS[field.type]) or (isinstance(value, bool) and field.type != "bool"):
        raise FilterError(path, f"{field.name} is {field.type}, {ascii(value)[:40]} is not")
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise FilterError(path, "the text is not valid Unicode")


def _condition(condition: Condition, field: FilterField) -> str:
    if condition.op == "exists":
        wanted = condition.value is not False
        if field.present is None:
            return f"({_ALWAYS if wanted else _NEVER})"
        return f"({field.present} == {_literal(wanted, 'bool')})"
    test = _test(condition, field)
    return test if field.present is None else f"({field.present} == true and {test})"


def _test(condition: Condition, field: FilterField) -> str:
    value, kind = condition.value, field.type
    if isinstance(value, list):
        # Milvus looks for the bits of a number in a list, and both zeros are the same number.
        values = [*value, 0.0, -0.0] if kind == "float" and 0 in value else value
        return f"({field.column} {condition.op} [{', '.join(_literal(one, kind) for one in values)}])"
    if condition.op == "prefix":
        return _prefix(field.column, str(value))
    return f"({field.column} {condition.op} {_literal(value, kind)})"


def _prefix(column: str, prefix: str) -> str:
    least = f"{column} >= {quoted(prefix)}"
    behind = _next_text(prefix)
    return f"({least})" if behind is None else f"({least} and {column} < {quoted(behind)})"


def _next_text(prefix: str) -> str | None:
    """The least text behind all that begin so, by code points; None where there is none.

    >>> _next_text("ab"), _next_text("a" + chr(0x10FFFF)), _next_text("")
    ('ac', 'b', None)
    """
    kept = prefix.rstrip(_LAST)
    if not kept:
        return None
    last = kept[-1]
    return kept[:-1] + (_FIRST_BEHIND if last == _LAST_BEFORE_SURROGATES else chr(ord(last) + 1))


def _literal(value: object, kind: str) -> str:
    if kind == "string":
        return quoted(str(value))
    if kind == "bool":
        return "true" if value else "false"
    # A sign is an operator to Milvus: in brackets it stands wherever a number may.
    return repr(float(str(value))) if kind == "float" else str(value)
