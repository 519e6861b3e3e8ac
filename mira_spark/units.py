"""Scoring cut into units of work: each one job and one commit, the same for the same inputs."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mira_spark.scoring import Scorer


@dataclass(frozen=True)
class Unit:
    """The documents of one source with a bucket in [first, last], to be scored by one student.

    `whole`: none of the source has a score yet, so nothing needs to be left out.
    """

    source: str
    source_group: str
    first: int
    last: int
    documents: int
    tokens: int
    whole: bool
    scorer: Scorer

    def unit_id(self, table: str, documents_version: int) -> str:
        """Derived from what is scored and by whom, never from the run: Delta's txnAppId."""
        what = [table, self.scorer.student_id, self.scorer.artefact_sha256, documents_version]
        content = json.dumps([*what, self.source, self.first, self.last])
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def plan(
    sizes: Iterable[tuple[str, int, int, int]],
    there: Mapping[str, int],
    groups: Mapping[str, str],
    scorers: Mapping[str, Scorer],
    unit_tokens: int,
) -> list[Unit]:
    """Units of about `unit_tokens`, by source and bucket; sources whose group has no student are
    left out.

    `sizes` are (source, bucket, documents to score, their tokens), buckets without anything to
    score left out; `there` is how many documents each source has.
    """
    rows = sorted(sizes)
    to_score = Counter[str]()
    for source, _, documents, _ in rows:
        to_score[source] += documents
    units: list[Unit] = []
    for source, bucket, documents, tokens in rows:
        group = groups[source]
        if group not in scorers:
            continue
        whole = to_score[source] == there[source]
        new = Unit(source, group, bucket, bucket, documents, tokens, whole, scorers[group])
        last = units[-1] if units else new
        if last.source == source and units and last.tokens + tokens <= unit_tokens:
            units[-1] = _joined(last, new)
        else:
            units.append(new)
    return units


def _joined(a: Unit, b: Unit) -> Unit:
    return replace(
        a,
        last=b.last,
        documents=a.documents + b.documents,
        tokens=a.tokens + b.tokens,
    )
