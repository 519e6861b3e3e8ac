"""Which baselines are recorded, and the scores that count of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.errors import ReconciliationError
from mira_spark.lake.clock import clock_after
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring import units
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.units import Bucket, Tally, Unit
from mira_spark.scoring.work import append_unit, tallies
from mira_spark.settings.baselines import Section
from mira_spark.settings.scoring import ScoringSettings


class MadeBaseline(NamedTuple):
    """A baseline as it is recorded: what it scores by, and what that follows from."""

    name: str
    scorer: Scorer
    settings: str
    made_from: Mapping[str, str]
    target: str | None = None


@dataclass(frozen=True)
class BaselineWork:
    """A baseline that scores the documents of a pinned version."""

    lake: Lakehouse
    settings: ScoringSettings
    run_id: str
    version: int
    made: MadeBaseline

    def documents(self) -> DataFrame:
        """The documents as pinned."""
        return self.lake.read("documents", self.version)

    def scores(self, version: int | None = None) -> DataFrame:
        """`baseline_scores` of them."""
        return baseline_scores(self.lake, self.made.scorer.student_id, self.version, version)

    def open_units(self, documents: Mapping[Bucket, Tally]) -> list[Unit]:
        """Units of these documents, each with something to score."""
        there = tallies(self.scores(self.lake.version("baseline_scores")))
        groups = {source: self.made.name for source, _ in documents}
        scorers = {self.made.name: self.made.scorer}
        return units.cut_units(documents, there, groups, scorers, self.settings.unit_tokens)

    def append(self, rows: DataFrame, unit: Unit) -> None:
        """One commit, once for a unit; errors as of `append_unit`."""
        names = {"baseline": self.made.name, "baseline_id": self.made.scorer.student_id}
        stamped = rows.withColumns({column: F.lit(name) for column, name in names.items()})
        append_unit(self.lake, stamped, "baseline_scores", unit, self.version, self.run_id)

    def unlike(self, where: str, wanted: Tally, found: Tally) -> ReconciliationError:
        """The error that the scores are not of the documents."""
        name, baseline_id = self.lake.name("baseline_scores"), self.made.scorer.student_id
        return ReconciliationError(
            f"{name}: {where}: {wanted.documents:,} documents at version {self.version}, "
            f'{found.documents:,} scores of {self.made.name}: run mira sql --write "DELETE FROM '
            f"{name} WHERE baseline_id = '{baseline_id}'\", then mira score-baselines"
        )


def settings_json(section: Section) -> str:
    """A baseline's section of the settings, as `baselines` keeps it."""
    said = section if isinstance(section, bool) else section.model_dump(mode="json")
    return json.dumps(said, sort_keys=True)


def latest_baseline(lake: Lakehouse, name: str) -> MadeBaseline | None:
    """The baseline of this name that counts; None before one has scored all documents."""
    rows = lake.read("baselines").filter(F.col("baseline") == name)
    latest = rows.orderBy(F.desc("made_at")).limit(1).collect()
    return _made_baseline(latest[0]) if latest else None


def record_baseline(lake: Lakehouse, made: MadeBaseline, run_id: str) -> None:
    """From now on the baseline counts; nothing is recorded where it does already."""
    if latest_baseline(lake, made.name) == made:
        return
    row = {
        "baseline": made.name,
        "baseline_id": made.scorer.student_id,
        "settings": made.settings,
        "made_from": dict(made.made_from),
        "target": made.target,
        "folder": made.scorer.artefact_uri,
        "sha256": made.scorer.artefact_sha256,
        "run_id": run_id,
        "made_at": clock_after(lake, "baselines", "made_at")(),
    }
    lake.append_rows([row], "baselines", run_id)


def baseline_scores(
    lake: Lakehouse, baseline_id: str, documents_version: int, version: int | None = None
) -> DataFrame:
    """What the baseline says of these documents, one row each of those it has seen; None is the
    version of `baseline_scores` as it is now."""
    documents = lake.read("documents", documents_version).select(*SCORE_KEY)
    rows = lake.read("baseline_scores", version).filter(F.col("baseline_id") == baseline_id)
    return rows.join(documents, on=SCORE_KEY, how="left_semi")


def _made_baseline(row: Row) -> MadeBaseline:
    scorer = Scorer(row["baseline_id"], row["folder"], row["sha256"])
    rest = (row["settings"], row["made_from"], row["target"])
    return MadeBaseline(row["baseline"], scorer, *rest)
