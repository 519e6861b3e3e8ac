"""Selections by baselines: by the ranks of the scores that counted, those without one set aside."""

import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mira_spark.cli import what_if
from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.scoring.baseline_record import MadeBaseline, record_baseline
from mira_spark.scoring.scorer import Scorer
from mira_spark.selection import explanation, given_scores, record
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake
from tests.scoring_lake import NOW
from tests.selection_lake import ids

Made = tuple[Lakehouse, Settings]
MISSING = {"web 1", "web 2", "code 7"}


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "by_baseline", home, tmp_path_factory) as made:
        create_tables(made[0], ("baselines", "baseline_scores"))
        yield made


def add_scores(lake: Lakehouse, baseline_id: str, given: Mapping[str, float | None]) -> None:
    """What a baseline says of these documents, recorded as the one of `dsir` that counts."""
    columns = ("doc_id", "source", "bucket", "content_hash", "n_tokens")
    documents = [row for row in lake.read("documents").select(*columns).collect()
                 if row["doc_id"] in given]  # fmt: skip
    stamp = {"baseline": "dsir", "baseline_id": baseline_id, "documents_version": 1,
             "unit_id": "u", "run_id": "r", "scored_at": NOW}  # fmt: skip
    rows = [
        row.asDict() | stamp | {"score": given[row["doc_id"]], "status": "scored"}
        for row in documents
    ]
    lake.append_rows(rows, "baseline_scores", "r")
    record_baseline(lake, MadeBaseline("dsir", Scorer(baseline_id, "/", "0"), "{}", {}), "r")


def select(made: Made, **changes: Any) -> str:
    """The step's message."""
    lake, settings = made
    chosen = SelectionSettings.model_validate({"score": "dsir", "policy": "global"} | changes)
    asked = settings.model_copy(update={"selection": chosen})
    select_documents.inputs(lake, asked)
    return select_documents.run(lake, asked, "r").message


def test_a_baseline_that_was_not_computed_is_one_line(made: Made) -> None:
    with pytest.raises(InputError) as error:
        select(made, score="educational")
    assert str(error.value) == (
        "selection.score: there are no scores of educational: set baselines.educational and run "
        "mira score-baselines first"
    )


def test_the_best_by_the_scores_that_counted_are_selected(made: Made) -> None:
    lake, settings = made
    draw = random.Random(3)
    all_ids = sorted(row["doc_id"] for row in lake.read("documents").select("doc_id").collect())
    # Some are far off, as of long documents: the others are told apart all the same.
    scores = {d: draw.gauss(-300, 200) * (1e6 if i % 9 == 0 else 1)
              for i, d in enumerate(all_ids) if d not in MISSING}  # fmt: skip
    scores["chat 3"] = None
    add_scores(lake, "another", dict.fromkeys(all_ids, 1.0))
    add_scores(lake, "now", scores)
    said = select(made, name="by_dsir", budget="30%")
    assert said.endswith("; 4 quarantined; 4 without a score")
    chosen = ids(lake, "selected_by_dsir")
    one = record.selection_named(lake, "by_dsir")
    explained = explanation.explain_all(lake, one, all_ids)
    competing = {e.doc_id for e in explained if e.set_aside is None}
    assert MISSING | {"chat 3"} == {
        e.doc_id for e in explained if e.because == "baseline_scores has no dsir of it"
    }
    assert {e.doc_id for e in explained if e.is_in} == chosen
    worst = min(scores[d] for d in chosen)
    assert all(scores[d] <= worst for d in competing - chosen)
    assert len({e.level for e in explained}) > 150

    asked = settings.model_copy(update={"selection": one.settings})
    with console.capture() as output:
        what_if.show(lake, asked, "30%", "global", "r")
    assert f"{one.selected_documents:,}" in output.get()

    assert one.made_from.startswith("documents version ")
    assert "baseline dsir version now" in one.made_from
    add_scores(lake, "now", {"web 1": 1e9})
    assert explanation.explain(lake, one, "web 1").because == "baseline_scores has no dsir of it"
    select(made, name="by_dsir", budget="30%")
    assert "web 1" in ids(lake, "selected_by_dsir")


def test_ranks_are_the_shares_of_documents_that_have_less(spark: SparkSession) -> None:
    draw = random.Random(5)
    values = [draw.choice((-1, 1)) * math.exp(draw.uniform(-4, 40)) for _ in range(298)]
    values += [0.0, values[0]]
    given = spark.createDataFrame(list(enumerate(values)), "doc_id int, given double")
    rows = given_scores.levels(given, SelectionSettings(score="dsir")).collect()
    levels = {row["doc_id"]: row["level"] for row in rows}
    for place, value in enumerate(values):
        exact = sum(other < value for other in values) * FULL_SCALE / len(values)
        assert abs(levels[place] - exact) <= FULL_SCALE / len(values) + 1  # two may be of one step
