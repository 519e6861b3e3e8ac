"""Values of ours as those that JSON has."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel


def plain(value: Any) -> Any:
    """The value for `json.dumps`: what has fields (a dataclass, a named tuple, a row, settings) as
    an object of them, times in ISO 8601, bytes in hex, and null for what is no finite number."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    elif isinstance(value, tuple):
        value = _with_names(value)
    elif hasattr(value, "tolist"):  # an array, or a number of one
        value = value.tolist()
    match value:
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case Decimal():
            return plain(float(value)) if value.is_finite() else None
        case float():
            return value if math.isfinite(value) else None
        case bytes() | bytearray():
            return value.hex()
        case datetime():
            return value.isoformat()
        case None | bool() | int() | str():
            return value
    return str(value)


def _with_names(values: tuple[Any, ...]) -> Any:
    """As a mapping where the parts of the tuple have names: of Spark's rows and of named tuples."""
    for method in ("asDict", "_asdict"):
        if hasattr(values, method):
            return getattr(values, method)()
    return values
