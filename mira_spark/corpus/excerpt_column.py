"""What a judge sees of a text, cut in SQL before it travels, as `excerpts` cuts it.

Places count from 0. To find a place in a text of megabytes takes milliseconds, so each is bound to
a name: Spark would look again wherever its expression stands.
"""

from collections.abc import Callable

from pyspark.sql import Column, functions as F

from mira_spark.corpus.conversation_text import TURN_MARK
from mira_spark.corpus.excerpts import CHARACTERS_PER_TOKEN, EXCERPT_MARK, TURN_BREAK


def excerpt_column(text: Column, window_tokens: int) -> Column:
    """The excerpt of each text; the same as `excerpts.excerpt`."""
    size = window_tokens * CHARACTERS_PER_TOKEN

    def cut(length: Column) -> Column:
        windows = F.when(text.startswith(TURN_MARK), _windows_of_turns(text, length, size))
        windows = windows.otherwise(_windows(text, length, size))
        return F.when(length <= 3 * size, text).otherwise(windows)

    return _bound(cut, F.length(text))


def _bound(use: Callable[..., Column], *values: Column) -> Column:
    """What `use` makes of the values, each of which is computed once."""
    names = [f"v{n}" for n in range(len(values))]
    row = F.struct(*(value.alias(name) for name, value in zip(names, values, strict=True)))
    return F.transform(F.array(row), lambda each: use(*(each[name] for name in names)))[0]


def _windows(text: Column, length: Column, size: int) -> Column:
    middle = _middle(length, size)
    return _joined(text, F.lit(size), middle, middle + size, length - size, size)


def _windows_of_turns(text: Column, length: Column, size: int) -> Column:
    middle = _middle(length, size)

    def joined(begin: Column, start: Column, end: Column, last: Column) -> Column:
        alone = F.least(_next_turn(text, length, start + 1, size) - 1, start + size)
        end = F.when(start < end, end).otherwise(alone)
        return _joined(text, begin, start, end, last, size)

    return _bound(
        joined,
        _turn_until(text, length, F.lit(size), size),
        _turn_from(text, length, middle, size),
        _turn_until(text, length, middle + size, size),
        _turn_from(text, length, length - size, size),
    )


def _middle(length: Column, size: int) -> Column:
    return F.floor((length - size) / 2).cast("int")


def _joined(
    text: Column, begin: Column, start: Column, end: Column, last: Column, size: int
) -> Column:
    """The windows that end at `begin`, go from `start` to `end`, and begin at `last`."""
    mark = F.lit(EXCERPT_MARK)
    middle, rest = text.substr(start + 1, end - start), text.substr(last + 1, F.lit(size))
    return F.concat(F.left(text, begin), mark, middle, mark, rest)


def _turn_from(text: Column, length: Column, place: Column, size: int) -> Column:
    def turn(last: Column, following: Column) -> Column:
        is_long = following - 1 > F.greatest(place, last + size)
        return F.when(is_long, place).otherwise(following)

    return _bound(turn, _last_turn(text, place, size), _next_turn(text, length, place, size))


def _turn_until(text: Column, length: Column, place: Column, size: int) -> Column:
    def turn(last: Column, following: Column) -> Column:
        return F.when(following - 1 - last > size, place).otherwise(last - 1)

    behind = place + 1
    return _bound(turn, _last_turn(text, behind, size), _next_turn(text, length, behind, size))


def _last_turn(text: Column, place: Column, size: int) -> Column:
    """Where the last turn that begins at or before `place` begins; where that is so far before it
    that the turn is a long one, another such place."""
    first = F.greatest(place - size - 2, F.lit(0))

    def turn(near: Column) -> Column:
        behind = F.substring_index(near, TURN_BREAK, -1)
        return first + F.greatest(F.length(near) - F.length(behind) - len(TURN_MARK), F.lit(0))

    return _bound(turn, text.substr(first + 1, place - first + len(TURN_MARK)))


def _next_turn(text: Column, length: Column, place: Column, size: int) -> Column:
    """Where the first turn that begins at or behind `place` begins, as in `excerpts`; where that is
    so far behind it that the turn before is a long one, another such place."""
    near = text.substr(place, F.lit(size + len(TURN_BREAK) + 1))
    found = F.nullif(F.position(F.lit(TURN_BREAK), near), F.lit(0))
    return F.coalesce(place - 1 + found, F.least(place + size + 2, length + 1))
