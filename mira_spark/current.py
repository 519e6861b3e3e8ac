"""What counts now: the grouping, rubrics, students and scores that the settings point at."""

from collections.abc import Iterable, Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mira_spark import discovery, grouping, registry
from mira_spark.errors import InputError
from mira_spark.judges.protocol import Anchor
from mira_spark.rubrics import Rubric
from mira_spark.scoring import Scorer
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

SCORE_KEY = ["doc_id", "content_hash", "source", "bucket"]
"""A score belongs to a document while all of these are the same."""


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


def discovery_ids(settings: Settings, source_groups: Iterable[str], judge: str) -> dict[str, str]:
    """Group to the id of its discovery under these settings."""
    grouping_id = grouping.grouping_id(settings.grouping)
    digest = settings.digest(["discovery", "judge"])
    return {
        g: discovery.discovery_id(grouping_id, g, judge, digest) for g in sorted(set(source_groups))
    }


def rubrics(lake: Lakehouse, discoveries: Mapping[str, str]) -> dict[str, Rubric]:
    """Group to its approved rubric of the given discoveries; groups without one are absent."""
    rows = (
        lake.read("rubrics")
        .filter(F.col("discovery_id").isin(list(discoveries.values())))
        .filter(F.col("status") == "approved")
        .orderBy("source_group", "slot")
        .collect()
    )
    found: dict[str, Rubric] = {}
    for row in rows:
        anchor = Anchor(row["slot"], row["name"], row["definition"])
        before = found.get(row["source_group"])
        anchors = (*before.anchors, anchor) if before else (anchor,)
        found[row["source_group"]] = Rubric(row["rubric_id"], row["source_group"], anchors)
    return found


def scorers(lake: Lakehouse, settings: Settings, source_groups: Iterable[str]) -> dict[str, Scorer]:
    """Group to its champion student; groups without a champion are absent."""
    champions = registry.champions(settings, sorted(set(source_groups)))
    rows = lake.read("students").filter(F.col("student_id").isin(list(champions.values())))
    return {
        r["source_group"]: Scorer(r["student_id"], r["artefact_uri"], r["artefact_sha256"])
        for r in rows.collect()
    }


def scores(
    lake: Lakehouse, student_ids: Iterable[str], documents_version: int, scores_version: int
) -> DataFrame:
    """The current scores, one row per document: of the champions, for the text the document has.

    Where `documents` only ever had appends no join is needed: every score's text is still there.
    """
    of_students = F.col("student_id").isin(sorted(student_ids))
    rows = lake.read("scores", scores_version).filter(of_students)
    if lake.only_appends_since("documents", 0):
        return rows
    documents = lake.read("documents", documents_version).select(*SCORE_KEY)
    return rows.join(documents, on=SCORE_KEY, how="left_semi")


def scores_query(
    lake: Lakehouse, student_ids: Iterable[str], documents_version: int, scores_version: int
) -> str:
    """`scores` as SQL, for views: SELECT over the pinned versions."""
    students = ", ".join("'" + s.replace("'", "") + "'" for s in sorted(student_ids)) or "NULL"
    rows = f"SELECT * FROM {lake.name('scores')} VERSION AS OF {scores_version} AS s"
    query = f"{rows} WHERE s.student_id IN ({students})"
    if lake.only_appends_since("documents", 0):
        return query
    documents = f"{lake.name('documents')} VERSION AS OF {documents_version}"
    same = " AND ".join(f"d.{key} = s.{key}" for key in SCORE_KEY)
    return f"{query} AND EXISTS (SELECT 1 FROM {documents} AS d WHERE {same})"
