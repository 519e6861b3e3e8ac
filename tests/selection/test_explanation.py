"""Why a document is in or out: the same answer as the view's, with the reason and by how much."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark.cli.selection_tables import show_explanation
from mira_spark.errors import InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.selection import explanation, order, record
from mira_spark.selection.explanation import share_below
from mira_spark.selection.explanation_wording import Explanation, explanation_line, is_kept
from mira_spark.selection.record import Selection
from mira_spark.selection.walk import Cut
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from mira_spark.students import artefact
from tests import selection_lake
from tests.counting import counted_bins
from tests.quality_tables import a_table
from tests.scoring.test_batches import a_manifest, linear
from tests.selection_lake import ids

Made = tuple[Lakehouse, Settings, Selection]

SELECTION = Selection("0" * 16, "default", SelectionSettings(), "all", (1, 2), 9, 9, 9, None,
                      datetime(2026, 1, 1))  # fmt: skip
OUT = Explanation("d", "web", SELECTION, level=4000, tie_hash=7, cut=Cut(5230, 3, "a"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "out: 1.230 points below the cut of its source"),
        ({"level": 6000}, "in: 0.770 points above the cut of its source"),
        ({"level": 5230}, "out: it ties with the cut of its source; its hash 7 and id are after "
                          "the last kept there, 3 'a'"),
        ({"level": 5230, "tie_hash": 2}, "in: it ties with the cut of its source; its hash 2 and "
                                         "id are before or at the last kept there, 3 'a'"),
        ({"level": 5230, "cut": Cut(5230)}, "out: at the cut of its source, where none is kept"),
        ({"cut": Cut(-1)}, "in: all that compete of its source fit, there is no cut"),
        ({"cut": Cut(10_001)}, "out: no document of its source fits"),
        ({"level": None, "set_aside": "quarantined", "because": "quarantined: too long"},
         "out: it did not compete, quarantined: too long"),
        ({"level": 9000, "set_aside": "filtered"}, "out: it did not compete, filtered"),
        ({"is_listed": True}, "in: so says the list of the selection; by what the users' tables "
                              "say now it would be out"),
    ],
)  # fmt: skip
def test_the_line_says_in_or_out_and_by_how_much(changes: dict[str, Any], said: str) -> None:
    assert explanation_line(replace(OUT, **changes)) == said


def test_better_than_counts_what_competes() -> None:
    levels = counted_bins(
        ("s", "g", "web", 3000, None, 6, 1),
        ("s", "g", "web", 4000, None, 2, 1),
        ("s", "g", "chat", 9000, None, 8, 1),
        ("s", "g", "web", 1000, "filtered", 50, 1),
        ("s", "g", "web", None, None, 50, 1),
    ).levels
    assert [share_below(levels, ["web"], q) for q in (3000, 4000, 4001)] == [0, 0.75, 1]
    assert share_below(levels, ["web", "chat"], 5000) == 0.5
    assert share_below(levels, ["books"], 5) == 0


@pytest.mark.parametrize("tie", [True, False])
def test_it_is_decided_as_in_sql_for_10_000_documents(spark: SparkSession, tie: bool) -> None:
    """Qualities of four levels and none; ids of several scripts, hashes that are equal too."""
    rows = spark.range(10_000).selectExpr(
        "concat(array('é', 'z', 'Z', '\U0001f600')[id % 4], id) AS doc_id",
        "CAST(nullif(id % 5, 4) AS SMALLINT) AS quality",
    )
    rows = rows.withColumn("tie_hash", order.tie_hash(3))
    middle = rows.filter("quality = 2").orderBy("tie_hash", "doc_id").limit(1000).collect()[-1]
    cut = Cut(2, middle["tie_hash"], middle["doc_id"]) if tie else Cut(2)
    for name, value in vars(cut).items():
        kind = "string" if name == "tie_doc_id_cut" else "bigint"
        rows = rows.withColumn(name, F.lit(value).cast(kind))
    found = rows.withColumn("is_in", order.is_selected(3)).collect()
    decided = [is_kept(r["quality"], r["tie_hash"], r["doc_id"], cut) for r in found]
    assert decided == [r["is_in"] for r in found]
    assert sum(decided) == 2000 + 1000 * tie


def test_equal_hashes_are_told_apart_by_the_bytes_of_their_ids() -> None:
    cut = Cut(5, 9, "z")
    assert [is_kept(5, 9, doc_id, cut) for doc_id in ("Z", "z", "é")] == [True, True, False]


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "explaining", home, tmp_path_factory) as (lake, settings):
        manifest = a_manifest(quality=a_table((True, True, True), {"code": (True, False, True)}))
        digest = artefact.write(settings.folder / "student", linear(1), manifest)
        lake.update(
            "students",
            F.col("source_group") == "group_a",
            {
                "artefact_uri": F.lit(str(settings.folder / "student")),
                "artefact_sha256": F.lit(digest),
            },
        )
        slots = F.expr("array(1000S, 2000S, 3000S)")
        lake.update("scores", F.col("quality").isNotNull(), {"dimension_scores": slots})
        yield lake, settings, selected(lake, settings, budget="40%")


def selected(lake: Lakehouse, settings: Settings, **changes: object) -> Selection:
    chosen = settings.model_copy(update={"selection": SelectionSettings.model_validate(changes)})
    select_documents.run(lake, chosen, "r")
    return record.selection_named(lake, chosen.selection.name)


@pytest.mark.long
def test_explanations_agree_with_the_view(made: Made) -> None:
    lake, _, one = made
    cuts = {row["source"]: record.cut_from_row(row) for row in record.cutoffs(lake, one).collect()}
    rows = record.competing_rows(lake, one, record.pinned_scores(lake, one)).collect()
    told = explanation.explain_all(lake, one, sorted(row["doc_id"] for row in rows))
    assert len(told) == len(rows) == len(selection_lake.texts())
    assert (
        {each.doc_id for each in told if each.is_in}
        == ids(lake, "selected_default")
        == {r["doc_id"] for r in record.selection_documents(lake, one).collect()}
    )
    found = explanation.explain(lake, one, "code 1")
    own = next(row for row in rows if row["doc_id"] == "code 1")
    assert found in told
    assert (found.level, found.cut) == (own["quality"], cuts["code"])
    assert [(d.name, d.score, d.is_counted) for d in found.dimensions] == [
        ("a", 1000, True), ("b", 2000, False), ("c", 3000, True),
    ]  # fmt: skip
    of_code = [r["quality"] for r in rows if r["source"] == "code" and r["quality"] is not None]
    assert found.better_than is not None
    below = sum(q < own["quality"] for q in of_code)
    assert found.better_than[0] == pytest.approx(below / len(of_code))
    with console.capture() as shown:
        show_explanation(found)
    for part in (one.selection_id, "documents version 1, scores version 2", "seed 0", "rubric r",
                 f"student {own['student_id']}", explanation_line(found)):  # fmt: skip
        assert part in shown.get()


@pytest.mark.long
def test_what_did_not_compete_says_why(made: Made) -> None:
    """`code 3` has the text of `code 2`: one of them is set aside for the other."""
    lake, settings, _ = made
    one = selected(
        lake,
        settings,
        name="firsts",
        duplicates="first",
        where=[{"column": "source", "operator": "!=", "value": "chat"}],
    )
    wanted = ("code 2", "code 3", "code 5", "chat 1")
    said = dict(zip(wanted, explanation.explain_all(lake, one, wanted), strict=True))
    assert said == {d: explanation.explain(lake, one, d) for d in wanted}
    told = explanation.explain_all(lake, one, list(selection_lake.texts()))
    assert {each.doc_id for each in told if each.is_in} == ids(lake, "selected_firsts")
    repeated = {d for d in ("code 2", "code 3") if said[d].set_aside}
    assert len(repeated) == 1
    first = ({"code 2", "code 3"} - repeated).pop()
    assert said[repeated.pop()].because == f"a duplicate of {first}"
    assert said["code 5"].because == "quarantined: unreadable"
    assert said["chat 1"].because == "filtered by the settings of the selection"
    assert {d for d in said if said[d].is_in} == set(said) & ids(lake, "selected_firsts")
    assert [found.is_counted for found in said["chat 1"].dimensions] == [None] * 3


@pytest.mark.long
def test_a_document_that_is_not_there_or_came_later_is_told_apart(made: Made) -> None:
    lake, _, one = made
    with pytest.raises(InputError, match=r"no document 'nosuch' in explaining.documents, neither"):
        explanation.explain(lake, one, "nosuch")
    with pytest.raises(InputError, match=r"no document '\\udcff' in"):
        explanation.explain(lake, one, "\udcff")
    row = lake.read("documents").filter("doc_id = 'code 1'").withColumn("doc_id", F.lit("later"))
    lake.append(row, "documents", "r")
    assert explanation_line(explanation.explain(lake, one, "later")) == (
        "out: it did not compete, it is not in version 1 of documents, only in a later one"
    )
