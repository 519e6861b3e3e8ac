"""Names of users' tables and columns, whatever they hold, as SQL takes them."""

import re

_PART = r"(?:`(?:[^`]|``)+`|[^`.\s][^`.]*)"
_TABLE = re.compile(rf"{_PART}(?:\.{_PART}){{0,2}}")


def quoted_name(name: str) -> str:
    """The name as one part of an identifier of Spark's."""
    return "`" + name.replace("`", "``") + "`"


def table_identifier(name: str) -> str:
    """A table's name with each part quoted; ValueError where it is none.

    A part that holds a dot stands in backticks.
    """
    if not _TABLE.fullmatch(name):
        raise ValueError("should be a table's name: table, schema.table or with a catalog")
    parts = re.findall(_PART, name)
    return ".".join(p if p.startswith("`") else quoted_name(p) for p in parts)
