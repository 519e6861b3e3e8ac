"""What a selection is made from: pinned versions, the students that count, and who competes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.contamination_checks import pinned_contamination
from mira_spark.corpus.groups import source_groups
from mira_spark.corpus.ngram_batches import DOCUMENT
from mira_spark.errors import InputError, ReconciliationError, joined
from mira_spark.lake.history import Snapshot
from mira_spark.lake.inputs import input_version
from mira_spark.lake.runs import last_finished
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring import checks
from mira_spark.scoring.current_scores import current_scores
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.selection import candidates, order, user_tables
from mira_spark.selection.given_scores import baseline_versions, given_scores
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.evaluation import EvaluationSettings
from mira_spark.settings.selection import SMALLEST_DOCUMENT_SHARE, ScoreColumn, SelectionSettings
from mira_spark.settings.students import Registry

PINNED = ("documents", "scores")
"""The tables of ours that every selection is made from."""


@dataclass(frozen=True)
class Pinned:
    """The versions of `documents` and `scores`, in this order, and the students that a selection is
    made from; `others` are users' tables and a baseline, `table_ids` Delta's ids of ours. `further`
    tables of ours decide who competes: `near_duplicates` and `contaminated`, where they count."""

    versions: tuple[int, int]
    students: Mapping[str, str]
    others: Mapping[str, str]
    table_ids: tuple[str, str] = ("", "")
    further: Mapping[str, Snapshot] = field(default_factory=dict)

    def candidates_id(self, chosen: SelectionSettings) -> str:
        """Of who competes by what, in these very tables: with the versions of `others`, where they
        decide it, with the students, where one's scores decide which of another's documents
        compete, and with the size from which the histogram tells documents apart."""
        students = sorted(self.students.values()) if chosen.duplicates != "keep" else []
        digest, large = candidates.candidates_digest(chosen), str(SMALLEST_DOCUMENT_SHARE)
        others = {**self.others, **self._further_versions}
        parts = [digest, others, students, self.table_ids, large]
        content = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def selection_id(self, chosen: SelectionSettings) -> str:
        """Of a selection with these settings."""
        tables = dict(zip(PINNED, self.table_ids, strict=True))
        others = {**self.others, **tables, **self._further_versions}
        return order.selection_id(chosen, *self.versions, self.students.values(), others)

    def settings_text(self, chosen: SelectionSettings) -> str:
        """As `selections` keeps them: JSON, with the versions of users' tables as `tables`, those
        of further tables of ours as `further`, and the ids of all of ours as `table_ids`."""
        ids = dict(zip(PINNED, self.table_ids, strict=True))
        ids |= {table: snapshot.table_id for table, snapshot in self.further.items()}
        further = {table: snapshot.version for table, snapshot in self.further.items()}
        pinned = {"tables": dict(self.others), "table_ids": ids, "further": further}
        return json.dumps(chosen.model_dump(mode="json") | pinned, sort_keys=True)

    @property
    def _further_versions(self) -> dict[str, str]:
        return {f"our {table}": str(snapshot) for table, snapshot in self.further.items()}


def pinned_state(
    lake: Lakehouse,
    grouping: Grouping,
    place: Registry,
    chosen: SelectionSettings,
    evaluation: EvaluationSettings,
) -> Pinned:
    """The state of now. InputError as of `scored_champions` and `further_tables`."""
    students = {g: s.student_id for g, s in scored_champions(lake, grouping, place).items()}
    # In this order: a document that is scored meanwhile may not have a score and be missing.
    scored, documents = lake.snapshot("scores"), lake.snapshot("documents")
    return Pinned(
        (documents.version, scored.version),
        students,
        other_versions(lake, chosen),
        (documents.table_id, scored.table_id),
        further_tables(lake, chosen, evaluation, documents),
    )


def further_tables(
    lake: Lakehouse,
    chosen: SelectionSettings,
    evaluation: EvaluationSettings,
    documents: Snapshot,
) -> dict[str, Snapshot]:
    """The states of `near_duplicates` and `contaminated`, each where the selection asks for it.
    InputError when they were not found in these very documents."""
    further = {}
    if chosen.duplicates == "near":
        last = last_finished(lake, chosen.name).get("find_duplicates")
        if last is None or last["inputs"].get("documents") != str(documents):
            raise InputError(
                f"selection.duplicates: near needs {lake.name('near_duplicates')} of the documents "
                "as they are now: run mira find-duplicates first"
            )
        further["near_duplicates"] = lake.snapshot("near_duplicates")
    if chosen.contaminated == "exclude":
        contaminated = pinned_contamination(lake, evaluation, documents)
        if contaminated is not None:
            further["contaminated"] = contaminated
    return further


def scored_champions(lake: Lakehouse, grouping: Grouping, place: Registry) -> dict[str, Scorer]:
    """Group to the champion whose scores count. InputError when nothing was scored yet, no group
    has a champion, or one never passed its gate and nobody forced it."""
    if lake.read("scores").isEmpty():
        raise InputError(f"{lake.name('scores')} is empty: run mira score-documents first")
    found = champion_scorers(lake, place, source_groups(lake, grouping).values())
    if not found:
        raise InputError("no group has a champion student: run mira distill-students first")
    ids = [scorer.student_id for scorer in found.values()]
    rows = lake.read("students").filter(F.col("student_id").isin(ids) & (F.col("gate") == "failed"))
    problems = [
        f"{row['student_id']}: is the champion of {row['source_group']} and failed its gate: "
        "mira students promote another, or this one with --force"
        for row in rows.select("student_id", "source_group").collect()
    ]
    if problems:
        raise InputError(joined(problems))
    return found


def other_versions(lake: Lakehouse, chosen: SelectionSettings) -> dict[str, str]:
    """What else the selection reads, to its version: users' tables, and a baseline's scores.
    InputError where a table is gone or there are no scores."""
    names = [one.table for one in chosen.exclude]
    if isinstance(chosen.score, ScoreColumn):
        names.append(chosen.score.table)
    versions = {name: input_version(lake.spark, name) for name in names}
    return versions | (baseline_versions(lake, chosen.baseline) if chosen.baseline else {})


def pinned_candidates(
    lake: Lakehouse, grouping_id: str, chosen: SelectionSettings, state: Pinned
) -> DataFrame:
    """`candidates.competing_documents` for the pinned state. ReconciliationError when a document
    has two scores of one student, which is looked for where it is not known."""
    students = state.students.values()
    known = checks.latest_proof(lake, students)
    rows = current_scores(lake, grouping_id, students, *state.versions, known.all_belong)
    if not known.one_each and not checks.doubles(rows).isEmpty():
        raise ReconciliationError(
            f"{lake.name('scores')} has two scores of one document and student: run mira scores "
            "repair, then mira run"
        )
    documents = lake.read("documents", state.versions[0])
    versions = {table: snapshot.version for table, snapshot in state.further.items()}
    excluded = excluded_documents(lake, chosen, versions)
    given = given_scores(lake, chosen, state.versions[0], state.others)
    near = near_duplicates(lake, versions)
    return candidates.competing_documents(rows, documents, excluded, given, near, chosen)


def near_duplicates(lake: Lakehouse, further: Mapping[str, int]) -> DataFrame | None:
    """`near_duplicates` at its version in `further`, where they count."""
    version = further.get("near_duplicates")
    return None if version is None else lake.read("near_duplicates", version)


def excluded_documents(
    lake: Lakehouse, chosen: SelectionSettings, further: Mapping[str, int]
) -> list[tuple[str, DataFrame]]:
    """Documents that are never selected, (reason, keys) as of `competing_documents`; `further` has
    the version of `contaminated`, where that counts."""
    excluded = [
        (candidates.EXCLUDED, user_tables.exclusions(lake.spark, one)) for one in chosen.exclude
    ]
    if "contaminated" in further:
        keys = lake.read("contaminated", further["contaminated"]).select(*DOCUMENT).distinct()
        excluded.insert(0, (candidates.CONTAMINATED, keys))
    return excluded
