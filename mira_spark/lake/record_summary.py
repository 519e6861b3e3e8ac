"""What files of records hold, told by reading them once: rows, columns, damage. Without Spark."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mira_spark.lake.compression import DAMAGED
from mira_spark.lake.record_files import (
    MISSING,
    RecordFile,
    RecordFormat,
    UnusableFileError,
    file_records,
    value_at,
)
from mira_spark.lake.value_kinds import NULL_KIND, ValueKind, kind, merged

SUMMARY = pa.schema({"path": pa.string(), "rows": pa.int64(), "problem": pa.string(),
                     "summary": pa.string()})  # fmt: skip
_MOST_NAMES = 5_000


@dataclass
class Summary:
    """What the records of several files have: their columns, and of each of FIELDS in how many
    records it is there, is no null, and is a list or an object."""

    names: dict[str, None] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    kinds: ValueKind = NULL_KIND

    def add(self, other: "Summary") -> None:
        """Take in what others have."""
        for name in other.names:
            if len(self.names) < _MOST_NAMES:
                self.names.setdefault(name)
        for name, counts in other.counts.items():
            mine = self.counts.get(name, [0, 0, 0])
            self.counts[name] = [a + b for a, b in zip(mine, counts, strict=True)]
        self.kinds = merged(self.kinds, other.kinds)

    def as_json(self) -> str:
        """For `from_json`."""
        return json.dumps([list(self.names), self.counts, self.kinds])

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """What `as_json` wrote."""
        names, counts, kinds = json.loads(text)
        return cls(dict.fromkeys(names), counts, kinds)


def summarise(files: Iterable[RecordFile], form: RecordFormat) -> Iterator[pa.RecordBatch]:
    """A row of SUMMARY for each file, with its number of rows or why it cannot be read, and one
    without a path with the summary of all."""
    rows: list[tuple[str | None, int, str | None, str | None]] = []
    summary = Summary()
    for file in files:
        count = 0
        problem: str | None = None
        try:
            for _, record, _ in file_records(file, form):
                count += 1
                if record is not None:
                    _note(summary, record | dict(file.partition), form)
        except UnusableFileError as error:
            problem = str(error)
        except FileNotFoundError:
            problem = "is there no more"
        except PermissionError:
            problem = "may not be read"
        except DAMAGED as error:
            problem = f"is damaged or cut short: {str(error) or type(error).__name__}"
        rows.append((file.path, count, problem, None))
    rows.append((None, 0, None, summary.as_json()))
    yield pa.record_batch(
        [pa.array(c, t) for c, t in zip(zip(*rows, strict=True), SUMMARY.types, strict=True)],
        schema=SUMMARY,
    )


def _note(summary: Summary, record: Mapping[str, Any], form: RecordFormat) -> None:
    for column in record:
        if column not in summary.names and len(summary.names) < _MOST_NAMES:
            summary.names[column] = None
    for ours, name in form.columns.items():
        if name is None:
            continue
        _, value = value_at(record, name)
        if value is not MISSING:
            counts = summary.counts.setdefault(ours, [0, 0, 0])
            counts[0] += 1
            counts[1] += value is not None
            counts[2] += isinstance(value, dict | list)
    if form.with_record:
        summary.kinds = merged(summary.kinds, kind(record))
