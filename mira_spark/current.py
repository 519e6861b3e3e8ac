"""What counts now: the grouping, rubrics, students and scores that the settings point at."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from mira_spark.corpus import grouping
from mira_spark.distillation import registry
from mira_spark.errors import ArtefactError, InputError, ReconciliationError, UnsignedError, joined
from mira_spark.judges.protocol import Anchor
from mira_spark.labels import judging, labelling
from mira_spark.lake.inputs import input_version
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import discovery
from mira_spark.rubrics.rubric import Rubric
from mira_spark.rubrics.rubric import rubric_id as rubric_id_of
from mira_spark.scoring import checks as score_checks
from mira_spark.scoring.batches import Scorer
from mira_spark.selection import candidates as competing
from mira_spark.selection import order as selection
from mira_spark.selection import user_tables
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import ScoreColumn, SelectionSettings
from mira_spark.students import artefact

SCORE_KEY = competing.KEY
"""A score belongs to a document while all of these are the same."""
GROUP_KEY = ["source", "source_group"]


def groups(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """Source to group; InputError when nothing was grouped under these settings."""
    wanted = grouping.grouping_id(settings.grouping)
    rows = lake.read("source_groups").filter(F.col("grouping_id") == wanted)
    found = {
        r["source"]: r["source_group"] for r in rows.select("source", "source_group").collect()
    }
    if not found:
        raise InputError(
            f"{lake.name('source_groups')} has no grouping yet: run group_sources first"
        )
    return found


def discovery_ids(settings: Settings, source_groups: Iterable[str]) -> dict[str, str]:
    """Group to the id of its discovery under these settings."""
    grouping_id = grouping.grouping_id(settings.grouping)
    chosen = settings.discovery.model_dump(mode="json", exclude={"require_approval"})
    asked = json.dumps([chosen, judging.asked_as(settings, "discovery")], sort_keys=True)
    return {g: discovery.discovery_id(grouping_id, g, asked) for g in sorted(set(source_groups))}


def signed_rubrics(lake: Lakehouse, settings: Settings) -> dict[str, Rubric]:
    """Group to its approved rubric. InputError when a group has none yet; UnsignedError when all
    that is missing are signatures."""
    discoveries = discovery_ids(settings, groups(lake, settings).values())
    signed = rubrics(lake, discoveries, "approved")
    found: dict[str, Rubric] = {}
    for rubric in signed:  # the last one signed counts
        found[rubric.source_group] = rubric
    missing = sorted(set(discoveries) - set(found))
    if not missing:
        return found
    drafts = {r.source_group for r in rubrics(lake, discoveries, "draft")}
    problems = [
        f"{g}: its rubric waits to be signed: read it with mira rubrics export --out FILE, sign it "
        "with mira rubrics approve --by NAME"
        if g in drafts
        else f"no rubric for {g}: run discover_rubrics first"
        for g in missing
    ]
    kind = UnsignedError if drafts.issuperset(missing) else InputError
    raise kind(joined(problems))


def rubrics(lake: Lakehouse, discoveries: Mapping[str, str], *status: str) -> list[Rubric]:
    """The rubrics of the given discoveries in one of these states, in the order signed.

    Raises InputError for one whose rows are not what its id says: it was changed by hand.
    """
    rows = lake.read("rubrics").filter(F.col("discovery_id").isin(list(discoveries.values())))
    rows = rows.filter(F.col("status").isin(list(status)))
    ordered = rows.orderBy(F.col("approved_at").asc_nulls_last(), "rubric_id", "slot").collect()
    found = []
    for rubric_id, slots in itertools.groupby(ordered, key=lambda row: row["rubric_id"]):
        rubric = rubric_of(list(slots))
        if rubric_id_of(rubric.source_group, rubric.anchors) != rubric_id:
            raise InputError(
                f"{lake.name('rubrics')}: rubric {rubric_id} of {rubric.source_group} is not what "
                "its id says: it was changed in the table, not by mira rubrics export and import"
            )
        found.append(rubric)
    return found


def rubric_of(rows: Sequence[Row]) -> Rubric:
    """The rubric in its rows of `rubrics`, in slot order."""
    anchors = tuple(Anchor(row["slot"], row["name"], row["definition"]) for row in rows)
    return Rubric(rows[0]["rubric_id"], rows[0]["source_group"], anchors)


def labelling_ids(settings: Settings, signed: Mapping[str, Rubric]) -> dict[str, str]:
    """Group to the id that its labels carry under these settings."""
    asked_as = judging.asked_as(settings, "labelling")
    return {g: labelling.labelling_id(r.rubric_id, asked_as) for g, r in signed.items()}


def scorers(lake: Lakehouse, settings: Settings, source_groups: Iterable[str]) -> dict[str, Scorer]:
    """Group to its champion student; groups without a champion are absent."""
    champions = registry.champions(settings.student_registry, sorted(set(source_groups)))
    rows = lake.read("students").filter(F.col("student_id").isin(list(champions.values())))
    return {row["source_group"]: _scorer(row) for row in rows.collect()}


def twins(lake: Lakehouse, scorers: Mapping[str, Scorer]) -> dict[str, str]:
    """Group to the latest other student that gives every text the raw scores this one does, its
    files being the same but for the manifest; groups without one are absent."""
    files = {group: _files(scorer) for group, scorer in scorers.items()}
    weights = [found[artefact.MODEL] for found in files.values() if found]
    alike = lake.read("students").filter(F.col("weights_sha256").isin(weights))
    alike = alike.filter(F.col("kind") != "served").orderBy("created_at", "student_id")
    found = {}
    for row in alike.collect():
        group, other = row["source_group"], _scorer(row)
        if group in scorers and other != scorers[group] and _files(other) == files[group]:
            found[group] = other.student_id
    return found


def _scorer(row: Row) -> Scorer:
    return Scorer(row["student_id"], row["artefact_uri"], row["artefact_sha256"])


def _files(scorer: Scorer) -> dict[str, str]:
    try:
        return artefact.read_manifest(Path(scorer.artefact_uri), scorer.artefact_sha256).files
    except ArtefactError:  # an old artefact may be gone
        return {}


def scores(
    lake: Lakehouse,
    settings: Settings,
    student_ids: Iterable[str],
    documents_version: int,
    scores_version: int | None,
    all_belong: bool | None = None,
) -> DataFrame:
    """The current scores, one row per document: of its source's group by one of the students, for
    the text the document has. None is the version of `scores` as it is now.

    Where every score is known to belong to a document (`all_belong`, looked up when None) no join
    is needed.
    """
    wanted = F.col("grouping_id") == grouping.grouping_id(settings.grouping)
    grouped = lake.read("source_groups").filter(wanted).select(*GROUP_KEY)
    students = sorted(student_ids)
    rows = lake.read("scores", scores_version).filter(F.col("student_id").isin(students))
    rows = rows.join(F.broadcast(grouped), on=GROUP_KEY, how="left_semi")
    if all_belong is None:
        all_belong = score_checks.proof(lake, students).all_belong
    if all_belong:
        return rows
    documents = lake.read("documents", documents_version).select(*SCORE_KEY)
    return rows.join(documents, on=SCORE_KEY, how="left_semi")


def scores_query(
    lake: Lakehouse,
    settings: Settings,
    student_ids: Iterable[str],
    scores_version: int,
    documents_version: int | None,
) -> str:
    """`scores` as SQL, for views: SELECT over the pinned versions. Without the version of
    `documents` also those that belong to none."""
    students = ", ".join("'" + s.replace("'", "") + "'" for s in sorted(student_ids)) or "NULL"
    rows = f"SELECT * FROM {lake.name('scores')} VERSION AS OF {scores_version} AS s"
    grouped = (
        f"SELECT 1 FROM {lake.name('source_groups')} AS g WHERE g.source = s.source AND "
        f"g.grouping_id = '{grouping.grouping_id(settings.grouping)}' AND "
        "g.source_group = s.source_group"
    )
    query = f"{rows} WHERE s.student_id IN ({students}) AND EXISTS ({grouped})"
    if documents_version is None:
        return query
    documents = f"{lake.name('documents')} VERSION AS OF {documents_version}"
    same = " AND ".join(f"d.{key} = s.{key}" for key in SCORE_KEY)
    return f"{query} AND EXISTS (SELECT 1 FROM {documents} AS d WHERE {same})"


@dataclass(frozen=True)
class Pinned:
    """The versions of `documents` and `scores`, in this order, and the students that a selection is
    made from; `others` are users' tables, `table_ids` Delta's ids of ours."""

    versions: tuple[int, int]
    students: Mapping[str, str]
    others: Mapping[str, str]
    table_ids: tuple[str, str] = ("", "")

    def candidates_id(self, chosen: SelectionSettings) -> str:
        """Of who competes by what, in these very tables: with the versions of users' tables, where
        they decide it, and with the students, where one's scores decide which of another's
        documents compete."""
        students = sorted(self.students.values()) if chosen.duplicates == "first" else []
        parts = [competing.candidates_digest(chosen), dict(self.others), students, self.table_ids]
        content = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def selection_id(self, chosen: SelectionSettings) -> str:
        """Of a selection with these settings."""
        tables = dict(zip(("documents", "scores"), self.table_ids, strict=True))
        others = dict(self.others) | tables
        return selection.selection_id(chosen, *self.versions, self.students.values(), others)


def pinned(lake: Lakehouse, settings: Settings) -> Pinned:
    """The state of now. InputError as of `selecting`."""
    students = {g: s.student_id for g, s in selecting(lake, settings).items()}
    # In this order: a document that is scored meanwhile may not have a score and be missing.
    scored, documents = lake.snapshot("scores"), lake.snapshot("documents")
    return Pinned(
        (documents.version, scored.version),
        students,
        others(lake, settings.selection),
        (documents.table_id, scored.table_id),
    )


def selecting(lake: Lakehouse, settings: Settings) -> dict[str, Scorer]:
    """Group to the champion whose scores count. InputError when nothing was scored yet, no group
    has a champion, or one never passed its gate and nobody forced it."""
    if lake.version("scores") == 0:
        raise InputError(f"{lake.name('scores')} is empty: run score_documents first")
    found = scorers(lake, settings, groups(lake, settings).values())
    if not found:
        raise InputError("no group has a champion student: run distill_students first")
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


def others(lake: Lakehouse, chosen: SelectionSettings) -> dict[str, str]:
    """Users' tables that the selection reads, to their versions; InputError where one is gone."""
    names = [one.table for one in chosen.exclude]
    if isinstance(chosen.score, ScoreColumn):
        names.append(chosen.score.table)
    return {name: input_version(lake.spark, name) for name in names}


def candidates(lake: Lakehouse, settings: Settings, state: Pinned) -> DataFrame:
    """`candidates.of` for the pinned state. ReconciliationError when a document has two scores of
    one student, which is looked for where it is not known."""
    chosen, students = settings.selection, state.students.values()
    known = score_checks.proof(lake, students)
    rows = scores(lake, settings, students, *state.versions, known.all_belong)
    if not known.one_each and not score_checks.doubles(rows).isEmpty():
        raise ReconciliationError(
            f"{lake.name('scores')} has two scores of one document and student: run mira scores "
            "repair, then mira run"
        )
    documents = lake.read("documents", state.versions[0])
    return competing.of(rows, documents, *user_tables.read(lake.spark, chosen), chosen)
