"""What kinds of values columns of records hold, so that filters compare numbers as numbers."""

import re
from collections.abc import Mapping
from typing import Any

ValueKind = Any
"""null, boolean, bigint, double or string; ["array", kind]; ["struct", {name: kind}]."""
NULL_KIND: ValueKind = "null"
_MOST_FIELDS = 1_000
"""An object with more is a mapping whose keys are data."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def kind(value: Any) -> ValueKind:
    """The kind of a value of JSON."""
    if value is None:
        return NULL_KIND
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint" if -(2**63) <= value < 2**63 else "double"
    if isinstance(value, float):
        return "double"
    if isinstance(value, list):
        inner = NULL_KIND
        for each in value:
            inner = merged(inner, kind(each))
        return ["array", inner]
    if isinstance(value, Mapping):
        return ["struct", {name: kind(each) for name, each in value.items()}]
    return "string"


def merged(one: ValueKind, other: ValueKind) -> ValueKind:
    """The kind of values that are of the one or of the other."""
    if one == other or other == NULL_KIND:
        return one
    if one == NULL_KIND:
        return other
    if {str(one), str(other)} == {"bigint", "double"}:
        return "double"
    if isinstance(one, str) or isinstance(other, str) or one[0] != other[0]:
        return "string"
    if one[0] == "array":
        return ["array", merged(one[1], other[1])]
    fields = dict(one[1])
    for name, inner in other[1].items():
        fields[name] = merged(fields.get(name, NULL_KIND), inner)
    return ["struct", fields] if len(fields) <= _MOST_FIELDS else "string"


def spark_type(value_kind: ValueKind) -> str:
    """The kind as a type of Spark's, a null as a string."""
    if isinstance(value_kind, str):
        return "string" if value_kind == NULL_KIND else value_kind
    shape, inner = value_kind
    if shape == "array":
        return f"array<{spark_type(inner)}>"
    fields = [f"`{name.replace('`', '``')}`: {spark_type(each)}" for name, each in inner.items()]
    return f"struct<{', '.join(fields)}>" if fields else "string"


def number_or_text(value: Any) -> Any:
    """A text that spells a number, as JSON does, as that number; anything else as it is."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return value
    return float(value) if set(value) & set(".eE") else int(value)
