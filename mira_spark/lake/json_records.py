"""Records of JSON as they stand in a file: lines, or one array, or objects over several lines."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Self

FileRecord = tuple[int, dict[str, Any] | None, str]
"""The number of its first line; the object, None where it is no JSON or no object; its text."""
LONGEST_VALUE = 2**30
"""Characters. What begins like a value and never ends would take in the rest of its file."""


class Number(float):
    """A number with the text that it has in its file."""

    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number


_DECODER = json.JSONDecoder(parse_float=Number, parse_constant=Number)
_BLANK = " \t\r\n\ufeff"
_NOT_BETWEEN = re.compile(r"[^\s\ufeff,\[\]]")


def json_records(lines: Iterable[str]) -> Iterator[FileRecord]:
    """Every object of a file, in order; `lines` end in a line feed. An array of objects on a line
    is a record each; what stands behind the first value of a line is a record that is none."""
    numbered = enumerate(lines, 1)
    first = next(((number, line) for number, line in numbered if line.strip(_BLANK)), None)
    if first is None:
        return
    opening, numbered_all = first[1].strip(_BLANK), itertools.chain([first], numbered)
    if opening == "{" or (opening.startswith("[") and _decode(opening, 0) is None):
        yield from _records_over_lines(numbered_all)
        return
    for number, line in numbered_all:
        if text := line.strip(_BLANK):
            yield from _line_records(number, text)


def _decode(text: str, start: int) -> tuple[Any, int] | None:
    """The value that begins at `start` and where it ends; None where it is no JSON."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):  # also an integer of more digits than Python reads
        return None


def _line_records(number: int, text: str) -> Iterator[FileRecord]:
    decoded = _decode(text, 0)
    if decoded is None:
        yield number, None, text
        return
    value, end = decoded
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        yield from ((number, each, text[:end]) for each in value)
    else:
        yield number, value if isinstance(value, dict) else None, text[:end]
    if (behind := text[end:].strip(_BLANK)) not in ("", ","):
        yield number, None, behind


def _records_over_lines(numbered: Iterable[tuple[int, str]]) -> Iterator[FileRecord]:
    """Values that need not end where lines do. What follows one that is no JSON is part of it, and
    an array that is not closed ends in a record that is none."""
    waiting: list[str] = []
    number, length, wanted = 0, 0, 0
    first = last = ""
    for place, line in numbered:
        number, first, last = number or place, first or line, line.strip(_BLANK) or last
        waiting.append(line)
        length += len(line)
        if length < wanted:
            continue  # decoding what is not whole yet at every line would take a square of them
        records, rest, number = _whole_values("".join(waiting), number)
        yield from records
        waiting, length, wanted = [rest], len(rest), 2 * len(rest)
        if length > LONGEST_VALUE:
            break
    records, rest, number = _whole_values("".join(waiting), number)
    yield from records
    if rest or (first.lstrip(_BLANK).startswith("[") and not last.endswith("]")):
        yield number, None, rest or last


def _whole_values(text: str, number: int) -> tuple[list[FileRecord], str, int]:
    """The records of the values that `text`, of a line `number`, begins with, what follows them,
    and its line."""
    records: list[FileRecord] = []
    start = 0
    while True:
        begin = _first_of_value(text, start)
        number += text.count("\n", start, begin)
        decoded = _decode(text, begin) if begin < len(text) else None
        if decoded is None:
            return records, text[begin:], number
        value, start = decoded
        records.append((number, value if isinstance(value, dict) else None, text[begin:start]))
        number += text.count("\n", begin, start)


def _first_of_value(text: str, start: int) -> int:
    """Where a value begins at or after `start`, brackets of arrays and commas left out."""
    found = _NOT_BETWEEN.search(text, start)
    return found.start() if found else len(text)
