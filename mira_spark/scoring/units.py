"""Scoring cut into units of work: each one job and one commit, the same for the same inputs."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from mira_spark.scoring.scorer import Scorer


class Tally(NamedTuple):
    """Rows counted: how many, their tokens, and the sum of a hash of what names each.

    Equal tallies are the same rows, but for a chance of one in 2**64.
    """

    documents: int = 0
    tokens: int = 0
    checksum: int = 0

    def plus(self, other: "Tally") -> "Tally":
        """Of the rows of both."""
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


Bucket = tuple[str, int]
"""Source and bucket."""


@dataclass(frozen=True)
class Unit:
    """The documents of some sources with a bucket in [first, last], for one student: a part of a
    large source, or several small ones, whole.

    `there` counts all of them, `scored` those that have a score already.
    """

    sources: tuple[str, ...]
    source_group: str
    first: int
    last: int
    there: Tally
    scored: Tally
    scorer: Scorer

    @property
    def name(self) -> str:
        """The source, or the first of several and how many others."""
        first, *others = self.sources
        return f"{first} and {len(others)} more" if others else first

    @property
    def place(self) -> str:
        """Its sources and buckets in words."""
        return f"{self.name}, buckets {self.first} to {self.last}"

    @property
    def documents(self) -> int:
        """Documents that are still to be scored."""
        return self.there.documents - self.scored.documents

    @property
    def tokens(self) -> int:
        """Tokens of the documents that are still to be scored."""
        return self.there.tokens - self.scored.tokens

    def unit_id(self, table: str, documents_version: int, origin: str = "documents") -> str:
        """Derived from what is scored and by whom, never from the run: Delta's txnAppId.

        `origin` is what is read: the documents, or the stored scores of another student. What an
        outage left of a unit is another unit: what had a score already is part of the id.
        """
        what = [table, self.scorer.student_id, self.scorer.artefact_sha256, documents_version]
        before = [list(self.scored)] if self.scored.documents else []
        content = json.dumps([*what, origin, *self.sources, self.first, self.last, *before])
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def cut_units(
    documents: Mapping[Bucket, Tally],
    scores: Mapping[Bucket, Tally],
    groups: Mapping[str, str],
    scorers: Mapping[str, Scorer],
    unit_tokens: int,
) -> list[Unit]:
    """Units of about `unit_tokens`, by source and bucket, with something to score in each.

    Sources of a group that are smaller share a unit. Sources whose group has no student are left
    out. All documents decide where units are cut, not those without a score: a unit that was
    interrupted is the same unit again.
    """
    cut: list[Unit] = []
    for (source, bucket), tally in sorted(documents.items()):
        group = groups[source]
        if group not in scorers:
            continue
        scored = scores.get((source, bucket), Tally())
        unit = Unit((source,), group, bucket, bucket, tally, scored, scorers[group])
        if cut and cut[-1].sources == unit.sources and _fit(cut[-1], unit, unit_tokens):
            cut[-1] = _joined(cut[-1], unit)
        else:
            cut.append(unit)
    return [unit for unit in _shared(cut, unit_tokens) if unit.there != unit.scored]


def _shared(cut: list[Unit], unit_tokens: int) -> list[Unit]:
    """The same, but sources of a group that are one unit each together in units as large."""
    parts = Counter(unit.sources for unit in cut)
    shared: list[Unit] = []
    latest: dict[str, int] = {}  # of each group, where the unit stands that others may join
    for unit in cut:
        at = latest.get(unit.source_group)
        if parts[unit.sources] > 1:
            shared.append(unit)
        elif at is not None and _fit(shared[at], unit, unit_tokens):
            shared[at] = _joined(shared[at], unit)
        else:
            latest[unit.source_group] = len(shared)
            shared.append(unit)
    return shared


def _fit(unit: Unit, other: Unit, unit_tokens: int) -> bool:
    return unit.there.tokens + other.there.tokens <= unit_tokens


def _joined(unit: Unit, other: Unit) -> Unit:
    return replace(
        unit,
        sources=tuple(dict.fromkeys(unit.sources + other.sources)),
        first=min(unit.first, other.first),
        last=max(unit.last, other.last),
        there=unit.there.plus(other.there),
        scored=unit.scored.plus(other.scored),
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """Of all rows together."""
    found = Tally()
    for tally in tallies:
        found = found.plus(tally)
    return found
