"""Documents that a selection cannot consider because no student has scored them yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import functions as F

from mira_spark.errors import InputError, joined
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import lost_versions, record
from mira_spark.selection.histogram import Bins
from mira_spark.selection.pinned import Pinned
from mira_spark.selection.record import Selection
from mira_spark.settings.selection import SelectionSettings

_SHOWN = 5


@dataclass(frozen=True)
class Unscored:
    """Of the documents as pinned: all their tokens, and by source how many have no score.

    `steps` names the step that is to be run for each of these sources; `absent` are sources and
    groups of which no document is scored.
    """

    corpus_tokens: int
    documents: Mapping[str, int]
    steps: Mapping[str, str]
    absent: Mapping[str, str]

    def lines(self) -> list[str]:
        """How many are not scored, of which sources, and what to run; a line for each step."""
        found = []
        for step in sorted(set(self.steps.values())):
            sources = sorted(source for source, run in self.steps.items() if run == step)
            count = sum(self.documents[source] for source in sources)
            more = f" and {len(sources) - _SHOWN:,} more" if len(sources) > _SHOWN else ""
            names = ", ".join(sources[:_SHOWN]) + more
            found.append(f"{count:,} not scored ({names}): run {_command(step)}")
        return found

    def check(self, settings: SelectionSettings) -> None:
        """InputError for each source or group that floors, caps or shares name and that has no
        score at all."""
        given = {"floors": settings.floors, "caps": settings.caps, "shares": settings.shares}
        problems = [
            f"selection.{name}.{key}: no document of {key} is scored: "
            f"run {_command(self.absent[key])} first"
            for name, shares in given.items()
            if not isinstance(shares, str)
            for key in shares
            if key in self.absent
        ]
        if problems:
            raise InputError(joined(problems))


def count_unscored(
    lake: Lakehouse, groups: Mapping[str, str], state: Pinned, found: Bins
) -> Unscored:
    """From one narrow scan of `documents`; `groups` is source to group, `found` are the bins of
    what is scored."""
    rows = lake.read("documents", state.versions[0]).groupBy("source")
    there = rows.agg(F.count("*"), F.sum("n_tokens")).collect()
    scored = {source: own.documents for source, own in found.by_source().items()}
    documents = {s: n - scored.get(s, 0) for s, n, _ in there if n > scored.get(s, 0)}
    steps = {source: _step(groups.get(source), state) for source in documents}
    by_key = {source: step for source, step in steps.items() if source not in scored}
    with_scores = {groups[source] for source in scored}
    by_key |= {
        groups[source]: step
        for source, step in by_key.items()
        if source in groups and groups[source] not in with_scores
    }
    return Unscored(sum(tokens for *_, tokens in there), documents, steps, by_key)


def _command(step: str) -> str:
    return f"mira {step.replace('_', '-')}"


def _step(group: str | None, state: Pinned) -> str:
    if group is None:
        return "group_sources"
    return "score_documents" if group in state.students else "distill_students"


def unscored_when_made(lake: Lakehouse, one: Selection) -> str | None:
    """How many documents had no score when the selection was made, and what to do. None when all
    had one, or the documents it was made from cannot be read any more."""
    if lost_versions.lost_versions(lake, [one], ["documents"]):
        return None
    scored = record.cutoffs(lake, one).agg(F.sum("total_documents")).collect()[0][0] or 0
    missing = lake.read("documents", one.version("documents")).count() - scored
    if not missing:
        return None
    return (
        f"{missing:,} documents had no score when {one.title} was made: run mira score-documents, "
        "then mira select-documents"
    )
