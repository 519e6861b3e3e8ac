"""Numbers and texts as a page shows them."""

import re
from collections.abc import Mapping
from typing import Any

_Row = Mapping[str, Any]

NOTHING = "\N{EN DASH}"
LONGEST_TEXT = 500
"""Characters that are shown of a name or a text."""
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What controls a terminal, turns the direction of the text after it, or is half a letter."""


def page_text(value: Any) -> Any:
    """A text with its first LONGEST_TEXT characters, a mark in place of each that cannot be seen;
    anything else, and what is HTML already, as it is."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    cut = value if len(value) <= LONGEST_TEXT else f"{value[: LONGEST_TEXT - 1]}…"
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", cut)


def count(number: int | None) -> str:
    """With thousands separators."""
    return NOTHING if number is None else f"{number:,}"


def points(thousandths: float | None) -> str:
    """Thousandths of a point as points, two decimals."""
    return NOTHING if thousandths is None else f"{thousandths / 1000:.2f}"


def percent(share: float | None) -> str:
    """A share of 1 in per cent, one decimal."""
    return NOTHING if share is None else f"{share:.1%}"


def dollars(amount: float) -> str:
    """US dollars; four decimals below one dollar, where cents hide the cost."""
    return f"${amount:,.4f}" if 0 < amount < 1 else f"${amount:,.2f}"


def estimate(row: _Row, name: str) -> str:
    """A figure of `judge_agreement` with its interval, two decimals."""
    if row[name] is None:
        return NOTHING
    interval = row[f"{name}_interval"]
    shown = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{row[name]:.2f}{shown}"


def interval(row: _Row, name: str, prefix: str) -> str:
    """A figure of a student with its interval (columns `<prefix>low`, `<prefix>high`), two
    decimals."""
    if row[name] is None:
        return NOTHING
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    known = low is not None and high is not None
    return f"{row[name]:.2f}" + (f" ({low:.2f} to {high:.2f})" if known else "")


def duration(run: _Row) -> str:
    """How long a row of `runs` took."""
    if run["finished_at"] is None:
        return NOTHING
    return elapsed((run["finished_at"] - run["started_at"]).total_seconds())


def elapsed(seconds: float) -> str:
    """Hours, minutes and whole seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


FILTERS = {
    each.__name__: each
    for each in (count, points, percent, dollars, duration, elapsed, estimate, interval)
}
"""The template's words for them."""
