"""What a run of scoring has in hand: pinned documents, who scores them, what is done."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Observation, functions as F

from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.lake.history import Snapshot
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.scoring import checks, job_failures, units
from mira_spark.scoring.batches import UNSCORED_STATUS
from mira_spark.scoring.current_scores import current_scores
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.scoring.units import Bucket, Tally, Unit
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.scoring import ScoringSettings
from mira_spark.settings.students import Registry

OBSERVED_WITHIN_S = 20.0
"""What Spark counted while it wrote rows comes a moment after they are written."""


@dataclass(frozen=True)
class Work:
    """The state that a run began with.

    `all_belong`: every score belongs to one of the documents, so that no join need tell.
    """

    lake: Lakehouse
    settings: ScoringSettings
    grouping_id: str
    run_id: str
    pinned: Snapshot
    groups: Mapping[str, str]
    scorers: Mapping[str, Scorer]
    all_belong: bool

    @property
    def version(self) -> int:
        """The pinned version of `documents`."""
        return self.pinned.version

    @property
    def students(self) -> list[str]:
        """The ids of all that score."""
        return [scorer.student_id for scorer in self.scorers.values()]

    def documents(self) -> DataFrame:
        """The documents as pinned."""
        return self.lake.read("documents", self.version)

    def scores(self, version: int | None = None) -> DataFrame:
        """The current scores."""
        return self.scores_of(self.students, version)

    def scores_of(self, students: Iterable[str], version: int | None) -> DataFrame:
        """What these students' scores are now of the documents as pinned."""
        pinned = (self.version, version, self.all_belong)
        return current_scores(self.lake, self.grouping_id, students, *pinned)

    def open_units(
        self, documents: Mapping[Bucket, Tally], scorers: Mapping[str, Scorer]
    ) -> list[Unit]:
        """Units of these documents, each with something to score."""
        # Pinned: a query of the table as it is now would conflict with a commit beside it.
        there = tallies(self.scores(self.lake.version("scores")))
        tokens = self.settings.unit_tokens
        return units.cut_units(documents, there, self.groups, scorers, tokens)

    def append(self, rows: DataFrame, unit: Unit, origin: str) -> None:
        """One commit of `scores`, once for a unit; errors as of `append_unit`."""
        stamped = rows.withColumn("student_id", F.lit(unit.scorer.student_id))
        append_unit(self.lake, stamped, "scores", unit, self.version, self.run_id, origin)


def append_unit(
    lake: Lakehouse,
    rows: DataFrame,
    table: str,
    unit: Unit,
    documents_version: int,
    run_id: str,
    origin: str = "documents",
) -> None:
    """One commit of the table, once for a unit of these documents.

    BusyError when another driver has taken the lease, OutageError when a disk, a memory or a worker
    failed.
    """
    unit_id = unit.unit_id(lake.name(table), documents_version, origin)
    stamped = rows.withColumns(
        {
            "documents_version": F.lit(documents_version),
            "unit_id": F.lit(unit_id),
            "run_id": F.lit(run_id),
            "scored_at": F.current_timestamp(),
        }
    )
    reach("unit.appending")
    try:
        lake.append(stamped, table, run_id, transaction=(unit_id, 1))
    except PySparkException as failure:
        ours = job_failures.as_our_error(failure)
        if ours is None:
            raise
        raise ours from failure
    reach("unit.committed")


def work_now(
    lake: Lakehouse,
    settings: ScoringSettings,
    grouping: Grouping,
    place: Registry,
    run_id: str,
) -> Work:
    """The work as it stands now. InputError before there are groups."""
    groups = source_groups(lake, grouping)
    scorers = champion_scorers(lake, place, groups.values())
    documents = lake.snapshot("documents")
    all_belong = checks.latest_proof(lake, ()).all_belong
    if not all_belong and lake.read("scores").isEmpty():
        checks.record_check(lake, documents, (), True, run_id)
        all_belong = True
    pinned = (current_grouping_id(lake, grouping), run_id, documents)
    return Work(lake, settings, *pinned, groups, scorers, all_belong)


class UnscoredRows(NamedTuple):
    """The documents of a unit that an outage left without scores, and why the first of them."""

    tally: Tally = Tally()
    reason: str = ""


class UnscoredCounter:
    """Counts, while rows of `scoring.OUTPUT` are written, those that an outage left without scores:
    `taken_out` gives the others."""

    def __init__(self) -> None:
        self._observation = Observation()

    def taken_out(self, rows: DataFrame) -> DataFrame:
        """The rows that have scores or are quarantined."""
        left = F.col("status") == UNSCORED_STATUS
        names = ("documents", "tokens", "checksum")
        sums = zip(names, _sums(left), strict=True)
        counted = [total.alias(name) for name, total in sums]
        reason = F.min(F.when(left, F.col("reason"))).alias("reason")
        return rows.observe(self._observation, *counted, reason).filter(~left)

    def counted(self) -> UnscoredRows:
        """Of the rows written; nothing where none were, because Delta had them already."""
        metrics: list[dict[str, Any]] = []
        # Without a write there is nothing to wait for, and Spark would wait for ever.
        asking = threading.Thread(target=lambda: metrics.append(self._observation.get), daemon=True)
        asking.start()
        asking.join(OBSERVED_WITHIN_S)
        if not metrics:
            return UnscoredRows()
        row = metrics[0]
        tally = _tally(row["documents"], row["tokens"], row["checksum"])
        return UnscoredRows(tally, row["reason"] or "")


def unit_rows(rows: DataFrame, unit: Unit) -> DataFrame:
    """Those of the unit."""
    sources = F.col("source").isin(*unit.sources)
    return rows.filter(sources & F.col("bucket").between(unit.first, unit.last))


def tallies(rows: DataFrame) -> dict[Bucket, Tally]:
    """By source and bucket, rows, tokens, and the sum of a hash of doc_id and content_hash."""
    found = rows.groupBy("source", "bucket").agg(*_sums()).collect()
    return {(source, bucket): _tally(*sums) for source, bucket, *sums in found}


def tally(scores: DataFrame) -> tuple[Tally, int]:
    """Of all these scores together, and how many are quarantined."""
    quarantined = F.count_if(F.col("status") == "quarantined")
    *sums, bad = scores.agg(*_sums(), quarantined).collect()[0]
    return _tally(*sums), int(bad)


def _sums(which: Column | None = None) -> tuple[Column, Column, Column]:
    """Rows, tokens and checksum of all rows, or of those which."""
    chosen = F.lit(True) if which is None else which
    hashed = F.xxhash64("doc_id", "content_hash").cast("decimal(38,0)")
    tokens, checksum = (F.sum(F.when(chosen, value)) for value in (F.col("n_tokens"), hashed))
    return F.count_if(chosen), tokens, checksum


def _tally(rows: int, tokens: int | None, checksum: Decimal | None) -> Tally:
    return Tally(rows, tokens or 0, int(checksum or 0))
