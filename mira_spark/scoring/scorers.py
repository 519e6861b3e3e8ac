"""Which students score: the champions, and others that give the same raw scores."""

from collections.abc import Iterable, Mapping

from pyspark.sql import Row, functions as F

from mira_spark.distillation.champions import champion_rows
from mira_spark.errors import ArtefactError
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.scorer import Scorer
from mira_spark.settings.students import Registry
from mira_spark.students import artefact


def champion_scorers(
    lake: Lakehouse, place: Registry, source_groups: Iterable[str]
) -> dict[str, Scorer]:
    """Group to its champion student, see `champion_rows`; groups without one are absent."""
    rows = champion_rows(lake, place, source_groups)
    return {group: recorded_scorer(row) for group, row in rows.items()}


def champions_without_artefact(
    lake: Lakehouse, place: Registry, source_groups: Iterable[str]
) -> dict[str, Scorer]:
    """Group to its champion, of those whose artefact is not where executors read it."""
    champions = champion_scorers(lake, place, source_groups)
    return {group: each for group, each in champions.items() if not each.is_there()}


def equal_students(lake: Lakehouse, scorers: Mapping[str, Scorer]) -> dict[str, str]:
    """Group to the latest other student that gives every text the raw scores this one does, its
    files being the same but for the manifest; groups without one are absent."""
    files = {group: _files(scorer) for group, scorer in scorers.items()}
    weights = [digests[artefact.MODEL] for digests in files.values() if digests]
    alike = lake.read("students").filter(F.col("weights_sha256").isin(weights))
    alike = alike.filter(F.col("kind") != "served").orderBy("created_at", "student_id")
    equal = {}
    for row in alike.collect():
        group, other = row["source_group"], recorded_scorer(row)
        if group in scorers and other != scorers[group] and _files(other) == files[group]:
            equal[group] = other.student_id
    return equal


def recorded_scorer(row: Row) -> Scorer:
    """The student of a row of `students`."""
    return Scorer(row["student_id"], row["artefact_uri"], row["artefact_sha256"])


def _files(scorer: Scorer) -> dict[str, str]:
    try:
        return scorer.manifest().files
    except ArtefactError:  # an old artefact may be gone
        return {}
