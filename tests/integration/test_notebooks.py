"""The notebooks and the page of queries run on the first run's tables, and their figures are those
of the tables."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from pyspark.sql import DataFrame

from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import rubric_file
from mira_spark.settings.root import Settings

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def run(
    first_lake: Lakehouse, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Run the notebook of a number as a script on the tables; what it names at its end, and as
    `printed` what it said."""
    config = tmp_path / "settings.yaml"
    config.write_text(settings.as_yaml(), encoding="utf-8")

    def runs(number: int) -> dict[str, Any]:
        (file,) = NOTEBOOKS.glob(f"{number:02}_*.py")
        arguments = [file.name, str(config), f"report.path={tmp_path}/report.html"]
        try:
            with mock.patch.object(sys, "argv", arguments):
                names = runpy.run_path(str(file), {"spark": first_lake.spark})
            return names | {"printed": capsys.readouterr().out, "lake": first_lake}
        finally:
            first_lake.spark.sql("USE default")

    return runs


def plots(folder: Path) -> set[str]:
    """The names of the plots; each has data."""
    files = list(folder.glob("*.html"))
    assert all('"type":"' in file.read_text(encoding="utf-8") for file in files)
    return {file.stem for file in files}


def rows(frame: DataFrame) -> list[dict[str, Any]]:
    return [row.asDict() for row in frame.collect()]


def cutoffs(lake: Lakehouse) -> dict[str, Any]:
    return {row["source"]: row for row in lake.read("latest_cutoffs").collect()}


def in_schema(lake: Lakehouse, frame: DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame that was made with the schema in use."""
    lake.use()
    try:
        return rows(frame)
    finally:
        lake.spark.sql("USE default")


def test_exploring_shows_what_each_source_keeps(run: Any, tmp_path: Path) -> None:
    names = run(1)
    kept = {row["source"]: row for row in in_schema(names["lake"], names["kept"])}
    assert {s: (r["kept_documents"], r["kept_tokens"]) for s, r in kept.items()} == {
        s: (r["kept_documents"], r["kept_tokens"]) for s, r in cutoffs(names["lake"]).items()
    }
    assert plots(tmp_path) == {"quality_by_source", "kept_by_source"}


def test_reviewing_rubrics_audits_them_and_leaves_a_file_to_edit(run: Any, tmp_path: Path) -> None:
    names = run(2)
    lake = names["lake"]
    approved = lake.read("rubrics").filter("status = 'approved'")
    anchors = in_schema(lake, names["anchors"])
    assert len(anchors) == approved.count() == 30
    groups = {audit.source_group for audit in names["audits"]}
    assert groups == {row["source_group"] for row in anchors}
    assert plots(tmp_path) == {f"redundancy_{group}" for group in groups}
    drafts = rubric_file.from_yaml((tmp_path / "rubrics.yaml").read_text(encoding="utf-8"))
    assert {d.source_group: len(d.dimensions) for d in drafts} == dict.fromkeys(groups, 15)
    assert {row["reason"] is not None for row in in_schema(lake, names["candidates"])} <= {True}


def test_what_if_has_the_mix_of_each_budget_and_at_the_selections_own_its_cut(
    run: Any, tmp_path: Path
) -> None:
    names = run(3)
    kept: pd.DataFrame = names["kept"]
    assert len(kept) == 2 * 12 * len(cutoffs(names["lake"]))
    assert plots(tmp_path) == {"quality_by_budget", "mix_by_budget_group", "mix_by_budget_global"}
    (selection,) = names["lake"].read("selections").orderBy("created_at").tail(1)
    (answer,) = (
        a for a in names["answers"]
        if a.chosen.policy == selection["policy"] and a.budget_tokens == selection["budget_tokens"]
    )  # fmt: skip
    cuts = {s: row["quality_cut"] for s, row in cutoffs(names["lake"]).items()}
    by_source = {line.source: line.kept.marginal_quality for line in answer.lines if line.source}
    assert {s: cut for s, cut in by_source.items() if cut is not None} == {
        s: cut for s, cut in cuts.items() if by_source[s] is not None
    }


def test_scores_in_sql_are_those_of_the_tables(run: Any, tmp_path: Path) -> None:
    names = run(4)
    lake = names["lake"]
    reasons = in_schema(lake, names["reasons"])
    selected = lake.read("selected").count()
    assert sum(row["documents"] for row in reasons if row["is_in"]) == selected
    assert sum(row["documents"] for row in reasons) == lake.read("scored_documents").count()
    assert len(in_schema(lake, names["near"])) == 20
    assert names["histogram"]["documents"].sum() == lake.read("scores").count()
    groups = {row["source_group"] for row in cutoffs(lake).values()}
    assert plots(tmp_path) == {"histograms", *(f"dimensions_{group}" for group in groups)}


def test_a_judge_is_tried_without_a_trace_in_the_tables(run: Any, first_lake: Lakehouse) -> None:
    before = {table: first_lake.version(table) for table in ("judge_calls", "labels", "rubrics")}
    names = run(5)
    assert len(names["usable"]) == len(names["asked"]) == 2 * names["EACH"]
    assert "16 of 16 answers can be used" in names["printed"]
    assert names["dollars"] > 0
    assert before == {table: first_lake.version(table) for table in before}


def test_whether_it_helps_is_told_by_the_tables_of_the_students(run: Any, tmp_path: Path) -> None:
    names = run(6)
    lake = names["lake"]
    noise = {(r["source_group"], r["kind"]): r["auc"] for r in in_schema(lake, names["noise"])}
    checked = lake.read("noise_checks").filter("source IS NULL").count()
    assert len(noise) == checked > 0
    gains = in_schema(lake, names["gains"])
    assert {row["predictor"] for row in gains} >= {"student", "length", "tfidf_ridge"}
    assert plots(tmp_path) == {"planted_noise", "gains"}
    gain = {row["source_group"]: row["gain"] for row in gains if row["predictor"] == "student"}
    curve = {row["source_group"]: row["gain"] for row in in_schema(lake, names["curve"])}
    assert curve == gain


def test_every_query_of_the_page_of_queries_runs(first_lake: Lakehouse) -> None:
    text = (NOTEBOOKS / "queries.md").read_text(encoding="utf-8")
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(queries) == 10
    first_lake.use()
    try:
        counts = [len(first_lake.spark.sql(query).collect()) for query in queries]
    finally:
        first_lake.spark.sql("USE default")
    empty = {place for place, count in enumerate(counts) if not count}
    assert empty <= {6, 7}, "nothing may be quarantined or rejected"
