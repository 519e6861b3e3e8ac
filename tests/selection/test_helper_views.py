"""The views for SQL users agree with the selection and with what `mira selection explain` says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mira_spark.lake import creation, runs
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import explanation, helper_views, record
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake

Made = tuple[Lakehouse, Settings]


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "helping", home, tmp_path_factory) as (lake, settings):
        creation.create_tables(lake, ["runs"])
        slots = "map('a', 1000S, 'b', CAST(NULL AS SMALLINT)) AS dimensions"
        lake.create_view("scored_documents", f"SELECT *, {slots} FROM {lake.name('scores')}", "")
        yield lake, settings


def select(made: Made, **changes: object) -> record.Selection:
    lake, settings = made
    chosen = settings.model_copy(update={"selection": SelectionSettings.model_validate(changes)})
    select_documents.run(lake, chosen, "r")
    return record.selection_named(lake, chosen.selection.name)


def test_decisions_are_those_that_explain_gives(made: Made) -> None:
    lake, _ = made
    one = select(made, budget="40%")
    rows = {row["doc_id"]: row for row in lake.read("decisions").collect()}
    explained = explanation.explain_all(lake, one, sorted(rows))
    assert len(explained) == len(selection_lake.texts())
    for each in explained:
        row = rows[each.doc_id]
        assert row["is_in"] == each.is_in, each
        if each.set_aside is None and each.cut is not None and each.quality is not None:
            assert row["from_cut"] == each.quality - each.cut.quality_cut
    by_reason = {(row["is_in"], row["reason"]): row for row in rows.values()}
    assert {reason for is_in, reason in by_reason if is_in} == {
        "above the cut", "at the cut, among those that fit",
    }  # fmt: skip
    out = {reason for is_in, reason in by_reason if not is_in}
    assert {"quarantined", "below the cut", "at the cut, not among those that fit"} <= out
    aside = [r for r in rows.values() if not r["is_in"] and (r["from_cut"] or 0) > 0]
    assert {r["reason"] for r in aside} <= {
        "oversized", "set aside, or newer than the selection: mira selection explain says which",
    }  # fmt: skip


@pytest.mark.long
def test_a_selection_by_another_score_has_no_distance_in_quality(made: Made) -> None:
    lake, _ = made
    for changes in ({"score": "length"}, {"temperature": 0.5}):
        one = select(made, budget="40%", name="other", **changes)
        rows = lake.read("decisions").collect()
        assert {row["from_cut"] for row in rows} == {None}
        assert not any("cut" in row["reason"] and "not by" not in row["reason"] for row in rows)
        assert sum(row["is_in"] for row in rows) == one.selected_documents
        assert lake.read("near_cut").isEmpty()


@pytest.mark.long
def test_sums_and_cuts_are_those_of_the_latest_selection(made: Made) -> None:
    lake, _ = made
    select(made, budget="30%", name="first")
    one = select(made, budget="20%", name="second")
    sums = lake.execute(f"SELECT sum(documents), sum(tokens) FROM {lake.name('kept_by')}").first()
    assert tuple(sums or ()) == (one.selected_documents, one.selected_tokens)
    cuts = lake.read("latest_cutoffs")
    assert {row["selection_id"] for row in cuts.collect()} == {one.selection_id}
    assert cuts.count() == record.cutoffs(lake, one).count()
    record.drop_selections(lake, "second")
    ((documents,),) = lake.execute(f"SELECT sum(documents) FROM {lake.name('kept_by')}").collect()
    assert documents == record.selection_named(lake, "first").selected_documents


def test_near_the_cut_are_documents_of_both_sides_with_their_beginning(made: Made) -> None:
    lake, _ = made
    select(made, budget="40%")
    near = lake.read("near_cut").collect()
    decided = lake.read("decisions").filter(f"abs(from_cut) <= {helper_views.NEAR}").collect()
    assert {row["doc_id"] for row in near} == {row["doc_id"] for row in decided}
    assert {row["is_in"] for row in near} == {True, False}
    assert all(row["beginning"].startswith("text ") for row in near)


def test_dimension_scores_are_a_row_each_and_null_where_none_applies(made: Made) -> None:
    lake, _ = made
    select(made, budget="40%")
    rows = lake.read("dimension_scores_long").collect()
    scored = lake.read("scores").filter("status = 'scored'").count()
    assert sorted({(row["dimension"], row["score"]) for row in rows}) == [("a", 1000), ("b", None)]
    assert len(rows) == 2 * scored


def test_last_runs_have_what_each_step_last_did(made: Made) -> None:
    lake, _ = made
    select(made, budget="40%")
    now = runs.StepInputs("select_documents", "digest")
    for run_id in ("one", "two"):
        with runs.record_run(lake, now, run_id) as outcomes:
            outcomes.append(runs.Outcome(f"kept by {run_id}"))
    last = lake.read("runs").filter("run_id = 'two' AND finished_at IS NOT NULL").collect()[0]
    lake.append_rows([runs.idle_row(now, last, "three")], "runs", "three")
    (row,) = lake.read("last_runs").collect()
    assert (row["step"], row["run_id"], row["message"]) == (
        "select_documents",
        "two",
        "kept by two",
    )


@pytest.mark.long
def test_a_lake_without_scored_documents_is_selected_from_all_the_same(made: Made) -> None:
    lake, _ = made
    query = lake.view_query("scored_documents") or ""
    lake.drop_view("scored_documents")
    try:
        assert select(made, budget="40%").selected_documents
    finally:
        lake.create_view("scored_documents", query, "")


@pytest.mark.long
def test_views_of_another_version_are_made_anew(made: Made) -> None:
    lake, _ = made
    select(made, budget="40%")
    lake.create_view("decisions", "SELECT 1 AS old", "")
    select(made, budget="50%")
    assert "from_cut" in lake.read("decisions").columns
