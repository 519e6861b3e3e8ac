"""How far a scoring is: documents, tokens, tokens a second, time left, by source."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from mira_spark.scoring.units import Unit


@dataclass
class Advance:
    """What is to be scored and what is done, documents by source, or by `Unit.name`."""

    wanted: Mapping[str, int]
    tokens: int
    started: float = field(default_factory=time.monotonic)
    done: dict[str, int] = field(default_factory=dict)
    done_tokens: int = 0
    quarantined: int = 0

    @classmethod
    def start(cls, units: Iterable[Unit]) -> Self:
        """Nothing done yet."""
        wanted: dict[str, int] = {}
        tokens = 0
        for unit in units:
            wanted[unit.name] = wanted.get(unit.name, 0) + unit.documents
            tokens += unit.tokens
        return cls(wanted, tokens)

    def add(self, unit: Unit, quarantined: int) -> None:
        """The unit is done."""
        self.done[unit.name] = self.done.get(unit.name, 0) + unit.documents
        self.done_tokens += unit.tokens
        self.quarantined += quarantined

    def line(self, now: float | None = None) -> str:
        """For example `3.1 of 9.8 M tokens, 1.2 M/s, 6 s left, 2 quarantined; code 12%, web 0%`; of
        the sources at most five, those begun and not done first."""
        seconds = (time.monotonic() if now is None else now) - self.started
        rate = self.done_tokens / max(seconds, 1e-9)
        left = (self.tokens - self.done_tokens) / rate if rate else float("inf")
        text = f"{self.done_tokens / 1e6:,.1f} of {self.tokens / 1e6:,.1f} M tokens"
        if rate:
            text += f", {rate / 1e6:,.2f} M/s, {_duration(left)} left"
        text += f", {self.quarantined:,} quarantined"
        shares = {s: self.done.get(s, 0) / max(n, 1) for s, n in self.wanted.items()}
        sources = sorted(shares, key=lambda s: (shares[s] in (0, 1), s))[:5]
        return text + "; " + ", ".join(f"{source} {shares[source]:.0%}" for source in sources)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
