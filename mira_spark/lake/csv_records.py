"""Records of CSV as they stand in a file, read line by line: quotes, escapes, line breaks."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

LONGEST_RECORD = 2**30
"""Characters. A quote that is never closed would take in the rest of its file."""


@dataclass(frozen=True)
class Dialect:
    """How fields are told apart. `escape` stands before a quote, or before itself, in quotes; where
    it is the quote a quote is doubled. Two quotes in quotes are always one."""

    sep: str = ","
    quote: str = '"'
    escape: str = '"'


@dataclass
class _Record:
    """A record being read. `part` is the field that a line ended in, inside of quotes."""

    line: int
    fields: list[str] = field(default_factory=list)
    part: list[str] | None = None
    lines: list[str] = field(default_factory=list)
    length: int = 0


def csv_records(
    lines: Iterable[str], dialect: Dialect
) -> Iterator[tuple[int, list[str] | None, str]]:
    """(number of its first line, fields, its text) of every record; fields are None where it is
    none: text behind a closing quote, or a quote that is never closed. Blank lines are no records.
    `lines` keep their ends."""
    special = re.compile("[" + re.escape(dialect.quote + dialect.escape) + "]")
    record: _Record | None = None
    for number, line in enumerate(lines, 1):
        if record is None:
            if not line.strip("\r\n"):
                continue
            record = _Record(number)
        record.lines.append(line)
        record.length += len(line)
        is_whole = _read_line(line, record, dialect, special)
        if is_whole is not None or record.length > LONGEST_RECORD:
            yield record.line, record.fields if is_whole else None, "".join(record.lines)
            record = None
    if record is not None:
        yield record.line, None, "".join(record.lines)


def _read_line(
    line: str, record: _Record, dialect: Dialect, special: re.Pattern[str]
) -> bool | None:
    """Add a line to the record: True where it ends there, False where it is no record, None where
    it goes on."""
    content = line.rstrip("\r\n")
    place = 0
    while True:
        if record.part is None and not content.startswith(dialect.quote, place):
            end = content.find(dialect.sep, place)
            if end < 0:
                record.fields.append(content[place:])
                return True
            record.fields.append(content[place:end])
            place = end + len(dialect.sep)
            continue
        if record.part is None:
            record.part = []
            place += len(dialect.quote)
        closed = _read_quoted(line, place, record.part, dialect, special)
        if closed is None:
            return None
        record.fields.append("".join(record.part))
        record.part, place = None, closed
        if place >= len(content):
            return True
        if not content.startswith(dialect.sep, place):
            return False
        place += len(dialect.sep)


def _read_quoted(
    line: str, place: int, part: list[str], dialect: Dialect, special: re.Pattern[str]
) -> int | None:
    """Add what is in quotes to `part`; where the quotes are closed, None where they are not."""
    while match := special.search(line, place):
        part.append(line[place : match.start()])
        follower = line[match.end() : match.end() + 1]
        is_quote = match[0] == dialect.quote
        if follower == dialect.quote or (not is_quote and follower == dialect.escape):
            part.append(follower)
            place = match.end() + 1
        elif is_quote:
            return match.end()
        else:
            part.append(match[0])
            place = match.end()
    part.append(line[place:])
    return None
