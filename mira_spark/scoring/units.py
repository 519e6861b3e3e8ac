"""Scoring cut into units of work: each one job and one commit, the same for the same inputs."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """The documents of one source with a bucket in [first, last], for one student.

    `there` counts all of them, `scored` those that have a score already.
    """

    source: str
    source_group: str
    first: int
    last: int
    there: Tally
    scored: Tally
    scorer: Scorer

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
        content = json.dumps([*what, origin, self.source, self.first, self.last, *before])
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def cut_units(
    documents: Mapping[Bucket, Tally],
    scores: Mapping[Bucket, Tally],
    groups: Mapping[str, str],
    scorers: Mapping[str, Scorer],
    unit_tokens: int,
) -> list[Unit]:
    """Units of about `unit_tokens`, by source and bucket, with something to score in each.

    Sources whose group has no student are left out. All documents decide where units are cut, not
    those without a score: a unit that was interrupted is the same unit again.
    """
    cut: list[Unit] = []
    for (source, bucket), tally in sorted(documents.items()):
        group = groups[source]
        if group not in scorers:
            continue
        scored = scores.get((source, bucket), Tally())
        last = cut[-1] if cut else None
        if last and last.source == source and last.there.tokens + tally.tokens <= unit_tokens:
            there, scored = last.there.plus(tally), last.scored.plus(scored)
            cut[-1] = Unit(source, group, last.first, bucket, there, scored, scorers[group])
        else:
            cut.append(Unit(source, group, bucket, bucket, tally, scored, scorers[group]))
    return [unit for unit in cut if unit.there != unit.scored]


def total(tallies: Iterable[Tally]) -> Tally:
    """Of all rows together."""
    found = Tally()
    for tally in tallies:
        found = found.plus(tally)
    return found
