"""What the tables say is left to score, for `mira plan`; nothing is written."""

from pyspark.sql import functions as F

from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.current_scores import current_scores
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.scoring.units import Unit, cut_units
from mira_spark.scoring.work import tallies
from mira_spark.settings.root import Settings
from mira_spark.settings.students import StudentKind

TO_COME = Scorer("", "", "")
"""Stands for the student of a group that has no champion yet."""


def corpus_size(lake: Lakehouse) -> CorpusSize:
    """Of the documents there are; an empty corpus counts as 1 of each."""
    sums = (F.count("*"), F.sum("n_tokens"), F.sum("n_bytes"), F.count_distinct("source"))
    row = lake.read("documents").agg(*sums).collect()[0]
    return CorpusSize(*(max(1, value or 0) for value in row))


def open_units(lake: Lakehouse, settings: Settings) -> list[Unit]:
    """The units that scoring would cut now; of a group without a champion all documents are left.
    Sources without a group are left out. InputError before there are groups."""
    groups = source_groups(lake, settings.source_grouping)
    scorers = champion_scorers(lake, settings.student_registry, groups.values())
    students = [scorer.student_id for scorer in scorers.values()]
    versions = lake.version("documents"), lake.version("scores")
    grouping_id = current_grouping_id(lake, settings.source_grouping)
    scores = current_scores(lake, grouping_id, students, *versions)
    documents = {
        place: tally
        for place, tally in tallies(lake.read("documents", versions[0])).items()
        if place[0] in groups
    }
    planned = {group: scorers.get(group, TO_COME) for group in groups.values()}
    return cut_units(documents, tallies(scores), groups, planned, settings.scoring.unit_tokens)


def sources_without_group(lake: Lakehouse, settings: Settings) -> list[str]:
    """Those that came in since sources were grouped, in order: `open_units` has none of theirs."""
    groups = source_groups(lake, settings.source_grouping)
    there = lake.read("documents").select("source").distinct().collect()
    return sorted({row["source"] for row in there} - set(groups))


def student_kinds(lake: Lakehouse, settings: Settings) -> dict[str, StudentKind]:
    """Of each group's champion; of a group without one the kind that would be distilled."""
    groups = source_groups(lake, settings.source_grouping)
    scorers = champion_scorers(lake, settings.student_registry, groups.values())
    ids = [scorer.student_id for scorer in scorers.values()]
    rows = lake.read("students").filter(F.col("student_id").isin(ids))
    kinds = {row["source_group"]: row["kind"] for row in rows.collect()}
    return {group: kinds.get(group, settings.distillation.kind) for group in groups.values()}
