"""What a run of scoring has in hand: pinned documents, who scores them, what is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mira_spark import current, units
from mira_spark.failpoints import reach
from mira_spark.scoring import Scorer
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse
from mira_spark.units import Bucket, Tally, Unit


@dataclass(frozen=True)
class Work:
    """The state that a run began with.

    `appended_only`: no document was ever changed. `transaction` is above that of every unit
    committed before rows of `scores` were last removed: Delta would skip a unit it has seen.
    """

    lake: Lakehouse
    settings: Settings
    run_id: str
    version: int
    groups: Mapping[str, str]
    scorers: Mapping[str, Scorer]
    transaction: int
    appended_only: bool

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
        pinned = (self.version, version, self.appended_only)
        return current.scores(self.lake, self.settings, students, *pinned)

    def planned(
        self, documents: Mapping[Bucket, Tally], scorers: Mapping[str, Scorer]
    ) -> list[Unit]:
        """Units of these documents, each with something to score."""
        # Pinned: a query of the table as it is now would conflict with a commit beside it.
        there = tallies(self.scores(self.lake.version("scores")))
        tokens = self.settings.scoring.unit_tokens
        return units.plan(documents, there, self.groups, scorers, tokens)

    def append(self, rows: DataFrame, unit: Unit, origin: str) -> None:
        """One commit of `scores`, which Delta skips if it saw the unit before; the caller proves
        that it is there."""
        unit_id = unit.unit_id(self.lake.name("scores"), self.version, origin)
        stamped = rows.withColumns(
            {
                "student_id": F.lit(unit.scorer.student_id),
                "documents_version": F.lit(self.version),
                "unit_id": F.lit(unit_id),
                "run_id": F.lit(self.run_id),
                "scored_at": F.current_timestamp(),
            }
        )
        reach("unit.planned")
        self.lake.append(stamped, "scores", self.run_id, transaction=(unit_id, self.transaction))
        reach("unit.committed")


def begun(lake: Lakehouse, settings: Settings, run_id: str, groups: Mapping[str, str]) -> Work:
    """The work as it stands now."""
    return Work(
        lake,
        settings,
        run_id,
        lake.version("documents"),
        groups,
        current.scorers(lake, settings, groups.values()),
        lake.last_removal("scores") + 1,
        lake.only_appends_since("documents", 0),
    )


def of_unit(rows: DataFrame, unit: Unit) -> DataFrame:
    """Those of the unit."""
    here = (F.col("source") == unit.source) & F.col("bucket").between(unit.first, unit.last)
    return rows.filter(here)


def tallies(rows: DataFrame) -> dict[Bucket, Tally]:
    """By source and bucket, rows, tokens, and the sum of a hash of doc_id and content_hash."""
    found = rows.groupBy("source", "bucket").agg(*_sums()).collect()
    return {(source, bucket): _tally(*sums) for source, bucket, *sums in found}


def tally(scores: DataFrame) -> tuple[Tally, int]:
    """Of all these scores together, and how many are quarantined."""
    quarantined = F.count_if(F.col("status") == "quarantined")
    *sums, bad = scores.agg(*_sums(), quarantined).collect()[0]
    return _tally(*sums), int(bad)


def _sums() -> tuple[Column, Column, Column]:
    hashed = F.xxhash64("doc_id", "content_hash").cast("decimal(38,0)")
    return F.count("*"), F.sum("n_tokens"), F.sum(hashed)


def _tally(rows: int, tokens: int | None, checksum: Decimal | None) -> Tally:
    return Tally(rows, tokens or 0, int(checksum or 0))
