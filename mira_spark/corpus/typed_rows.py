"""Rows of typed columns (Parquet, Delta, tables) as rows of text, as files of records have them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DoubleType,
    FloatType,
    MapType,
    NumericType,
    StringType,
    StructType,
    VariantType,
)

from mira_spark.errors import InputError, joined
from mira_spark.lake.file_rows import FILE
from mira_spark.lake.record_files import FIELDS, NOT_TEXT

_NESTED = (ArrayType, MapType, StructType, VariantType)
_EXACT_INTEGERS = 2.0**63
_TEXTS = MapType(StringType(), StringType())


class _Place(NamedTuple):
    """A user's column by its number, and the names of the fields that lead into it."""

    number: int
    fields: tuple[str, ...]
    kind: DataType

    def column(self) -> Column:
        """The value there, of columns named by their numbers."""
        value = F.col(_numbered(self.number))
        for name in self.fields:
            value = value.getField(name)
        return value


def check_columns(frames: Sequence[DataFrame], mapping: Mapping[str, str | None], key: str) -> None:
    """InputError naming every mapped column that no frame has, or that holds lists or structs where
    text belongs."""
    names = dict.fromkeys(c for frame in frames for c in frame.columns if c != FILE)
    problems = []
    for ours, theirs in mapping.items():
        if theirs is None:
            continue
        places = [place for frame in frames if (place := _place(frame.schema, theirs))]
        if not places:
            has = ", ".join(names) or "none"
            problems.append(f"{key}.{ours}: the input has no column {theirs}; it has: {has}")
        elif ours not in NOT_TEXT and any(isinstance(place.kind, _NESTED) for place in places):
            problems.append(f"{key}.{ours}: {nested_problem(ours, theirs)}")
    if problems:
        raise InputError(joined(problems))


def nested_problem(ours: str, name: str) -> str:
    """What is wrong with a column of lists or objects where text belongs."""
    instead = "; or, of conversations, name it as messages" if ours == "text" else ""
    return (
        f"{name} holds lists or objects, no text: name a path into it, as {name}.content, or "
        f"another column{instead}"
    )


def as_text(rows: DataFrame, mapping: Mapping[str, str | None], kept: Column) -> DataFrame:
    """The mapped columns as text, the others as `metadata`; `kept` is a condition over the
    user's own. A column that is not there is null."""
    schema = rows.schema
    numbered = rows.select("*", kept.alias("kept")).toDF(
        *(_numbered(n) for n in range(len(schema.fields))), "kept"
    )  # names that differ by case alone are one for Spark
    places = {n: _place(schema, theirs) if theirs else None for n, theirs in mapping.items()}
    taken = {place.number for place in places.values() if place and not place.fields}
    rest = [n for n, f in enumerate(schema.fields) if n not in taken and f.name != FILE]
    null = F.lit(None).cast("string")
    texts = {n: _text(p.column(), p.kind) if (p := places.get(n)) else null for n in FIELDS}
    if (sendable := places.get("sendable")) and isinstance(sendable.kind, NumericType):
        texts["sendable"] = sendable.column().cast("string")  # not a number is no answer, not none
    file = next((n for n, f in enumerate(schema.fields) if f.name == FILE), None)
    return numbered.select(
        *(column.alias(name) for name, column in texts.items()),
        _metadata(schema, rest).alias("metadata"),
        F.lit(False).alias("nested"),
        null.alias("unreadable"),
        (null if file is None else F.col(_numbered(file))).alias("file"),
        F.lit(None).cast("bigint").alias("line"),
        "kept",
    )


def _numbered(number: int) -> str:
    return f"c{number}"


def _place(schema: StructType, name: str) -> _Place | None:
    """Where a name, or a dotted path into structs, leads; case counts only where two names differ
    by nothing else."""
    number = _matching(schema, name)
    if number is not None and schema.fields[number].name != FILE:
        return _Place(number, (), schema.fields[number].dataType)
    for place, character in enumerate(name):
        head = _matching(schema, name[:place]) if character == "." else None
        if head is not None and isinstance(inner := schema.fields[head].dataType, StructType):
            below = _place(inner, name[place + 1 :])
            if below:
                field = inner.fields[below.number].name
                return _Place(head, (field, *below.fields), below.kind)
    return None


def _matching(schema: StructType, name: str) -> int | None:
    exact = [n for n, field in enumerate(schema.fields) if field.name == name]
    alike = [n for n, field in enumerate(schema.fields) if field.name.lower() == name.lower()]
    same = exact or alike
    return same[0] if len(same) == 1 else None


def _text(value: Column, kind: DataType) -> Column:
    """A scalar as text, exactly; a binary value is taken for text; lists and structs are JSON."""
    if isinstance(kind, _NESTED):
        return F.to_json(value)
    if not isinstance(kind, DoubleType | FloatType):
        return value.try_cast("string")
    is_integer = (value == F.rint(value)) & (F.abs(value) < _EXACT_INTEGERS)
    whole = value.try_cast("bigint").cast("string")
    return F.when(F.isnan(value), None).when(is_integer, whole).otherwise(value.cast("string"))


def _metadata(schema: StructType, rest: Sequence[int]) -> Column:
    """Columns as text by their names; a map column called metadata is taken over as it is."""
    fields = [(schema.fields[n], F.col(_numbered(n))) for n in rest]
    if len(fields) == 1 and fields[0][0].name == "metadata" and fields[0][0].dataType == _TEXTS:
        return F.coalesce(fields[0][1], F.create_map().cast("map<string,string>"))
    pairs = [
        part for f, value in fields for part in (F.lit(f.name), _metadata_text(value, f.dataType))
    ]
    return F.create_map(*pairs).cast("map<string,string>")


def _metadata_text(value: Column, kind: DataType) -> Column:
    if isinstance(kind, BinaryType):
        return F.lower(F.hex(value))
    return value.try_cast("string") if isinstance(kind, NumericType) else _text(value, kind)
