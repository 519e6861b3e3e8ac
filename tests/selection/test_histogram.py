"""The histogram of candidates: what is counted, and what cannot count."""

import pytest
from pyspark.sql import SparkSession

from mira_spark.errors import InputError, ReconciliationError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import histogram
from mira_spark.selection.histogram import Part
from mira_spark.selection.pinned import Pinned
from mira_spark.settings.selection import SelectionSettings
from tests.counting import counted_bins

ROWS = (
    ("s/1", "x", "web", 9000, None, 4, 40),
    ("s/1", "x", "web", 7000, None, 2, 20),
    ("s/1", "x", "web", None, None, 3, 30),
    ("s/1", "x", "web", 7000, "filtered", 5, 50),
    ("s/1", "x", "web", None, "filtered", 1, 10),
    ("s/2", "y", "chat", 5000, None, 7, 70),
)


def test_documents_are_counted_by_why_they_do_not_compete() -> None:
    found = counted_bins(*ROWS)
    assert set(found.parts) == {
        Part("s/1", "x", "web", None, 6, 60),
        Part("s/1", "x", "web", "quarantined", 3, 30),
        Part("s/1", "x", "web", "filtered", 6, 60),
        Part("s/2", "y", "chat", None, 7, 70),
    }
    assert (found.documents, found.tokens, found.groups) == (22, 220, {"web": "x", "chat": "y"})
    by_source = found.by_source()
    assert (by_source["web"].documents, by_source["chat"].tokens) == (15, 70)
    assert found.levels.source_positions("web").documents.tolist() == [0, 4, 6]


@pytest.mark.parametrize(
    ("rows", "champions", "problem"),
    [
        ((), {"x": "s/1"}, "scores has none of the champions"),
        (ROWS, {"x": "s/1", "y": "s/3"}, "y has no scores of its champion s/3"),
        ((*ROWS, ("s/2", "x", "web", 1, None, 1, 1)), {"x": "s/1", "y": "s/2"},
         "x has scores of s/1 and s/2: they cannot be compared"),
    ],
)  # fmt: skip
def test_scores_that_cannot_be_compared_are_refused(
    rows: tuple[tuple[str, str, str, int | None, str | None, int, int], ...],
    champions: dict[str, str],
    problem: str,
) -> None:
    with pytest.raises(InputError, match=problem):
        histogram._check(counted_bins(*rows), champions)


def test_bins_recorded_twice_are_refused() -> None:
    with pytest.raises(ReconciliationError, match="some of these bins twice"):
        histogram._check(counted_bins(*ROWS, ROWS[0]), {"x": "s/1", "y": "s/2"})


@pytest.mark.long
def test_a_students_scores_are_counted_once(lake: Lakehouse, spark: SparkSession) -> None:
    """After one of two champions changed only the new one's are counted and recorded."""
    create_tables(lake, ["score_histogram"])
    scores = spark.createDataFrame(
        [("s/1", "x", "web", 5, None, 10), ("s/2", "y", "chat", 6, None, 20),
         ("s/3", "y", "chat", None, None, 20)],
        "student_id string, source_group string, source string, quality smallint, "
        "set_aside string, n_tokens bigint",
    )  # fmt: skip
    recorded = []
    for champion in ("s/2", "s/3", "s/2"):
        state = Pinned((1, 1), {"x": "s/1", "y": champion}, {})
        of_both = scores.filter(scores["student_id"].isin("s/1", champion))
        found = histogram.counted_bins(lake, SelectionSettings(), state, lambda r=of_both: r, "r")
        assert {(p.student_id, p.aside, p.documents) for p in found.parts} == {
            ("s/1", None, 1), (champion, None if champion == "s/2" else "quarantined", 1),
        }  # fmt: skip
        standing = histogram.recorded_bins(lake, SelectionSettings(), state)
        assert standing is not None
        assert standing.parts == found.parts
        recorded.append(lake.read("score_histogram").count())
    assert recorded == [2, 3, 3]
