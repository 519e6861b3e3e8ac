"""Users' tables in a selection: other types are cast or refused, no row of theirs doubles ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark.errors import InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import candidates, explanation, record, unscored, user_tables
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import Exclusion, Filter, ScoreColumn, SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake
from tests.selection_lake import ids

Made = tuple[Lakehouse, Settings]
SHA = "00112233445566778899AABBCCDDEEFF"


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "theirs", home, tmp_path_factory) as made:
        yield made


def run(made: Made, **changes: Any) -> str:
    """The step's message."""
    lake, settings = made
    chosen = SelectionSettings.model_validate(changes)
    asked = settings.model_copy(update={"selection": chosen})
    select_documents.inputs(lake, asked)
    return select_documents.run(lake, asked, "r").message


def view(spark: SparkSession, query: str) -> str:
    """A view with these rows, by name."""
    spark.sql(f"CREATE OR REPLACE TEMP VIEW given AS {query}")
    return "given"


KEYS = [
    ("doc_id", "SELECT explode(array(7, 7, NULL)) AS doc_id", ["7"]),
    ("doc_id", "SELECT CAST('12345678901234567890' AS decimal(20,0)) AS doc_id",
     ["12345678901234567890"]),
    ("doc_id", "SELECT explode(array('a', 'a', NULL, '')) AS doc_id", ["", "a"]),
    ("content_hash", f"SELECT explode(array('{SHA}', lower('{SHA}'), NULL)) AS content_hash",
     [bytes.fromhex(SHA)]),
    ("content_hash", f"SELECT explode(array(unhex('{SHA}'), NULL)) AS content_hash",
     [bytes.fromhex(SHA)]),
]  # fmt: skip


@pytest.mark.parametrize(("by", "query", "keys"), KEYS)
def test_keys_of_another_type_are_ours_once_each(
    spark: SparkSession, by: Any, query: str, keys: list[Any]
) -> None:
    rows = user_tables.exclusions(spark, Exclusion(table=view(spark, query), by=by)).collect()
    assert sorted(row[by] for row in rows) == keys


@pytest.mark.parametrize(
    ("by", "query", "problem"),
    [
        ("doc_id", "SELECT 1.5D AS doc_id",
         "given: column doc_id is double, should be a string or a whole number"),
        ("doc_id", "SELECT X'00' AS doc_id",
         "given: column doc_id is binary, should be a string or a whole number"),
        ("content_hash", "SELECT 1 AS content_hash",
         "given: column content_hash is int, should be a hash of 16 bytes, as binary or as 32 hex "
         "digits"),
        ("content_hash", f"SELECT explode(array('{SHA}', '{SHA}00', 'x')) AS content_hash",
         "given: 2 values of content_hash are not a hash of 16 bytes, as binary or as 32 hex "
         f"digits, e.g. '{SHA}00'"),
        ("content_hash", f"SELECT unhex('{SHA}{SHA}') AS content_hash",
         "given: 1 values of content_hash are not a hash of 16 bytes, as binary or as 32 hex "
         f"digits, e.g. '{(SHA + SHA).lower()}'"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_ours_are_one_line(
    spark: SparkSession, by: Any, query: str, problem: str
) -> None:
    with pytest.raises(InputError) as error:
        user_tables.exclusions(spark, Exclusion(table=view(spark, query), by=by))
    assert str(error.value) == problem


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT * FROM VALUES ('a', 1), ('a', 2), ('b', 1), ('b', NULL), ('c', 1) AS t(doc_id, v)",
         "given: 2 of its doc_ids are in several rows, e.g. 'a'; each document should have one v"),
        ("SELECT 'a' AS doc_id, 'high' AS v", "given: column v is string, should be a number"),
        ("SELECT 'a' AS doc_id, true AS v", "given: column v is boolean, should be a number"),
        ("SELECT true AS doc_id, 1 AS v",
         "given: column doc_id is boolean, should be a string or a whole number"),
    ],
)  # fmt: skip
def test_scores_that_cannot_order_are_one_line(
    spark: SparkSession, query: str, problem: str
) -> None:
    with pytest.raises(InputError) as error:
        user_tables.scores(spark, ScoreColumn(table=view(spark, query), column="v"))
    assert str(error.value) == problem


def test_doubled_ids_of_scores_select_nothing(made: Made) -> None:
    lake, _ = made
    lake.spark.sql(
        "CREATE OR REPLACE TABLE theirs.doubled USING delta AS SELECT doc_id, 1 AS v "
        "FROM theirs.documents UNION ALL SELECT 'web 1', 2"
    )
    before = lake.version("selections"), lake.version("score_histogram")
    with pytest.raises(InputError, match=r"theirs.doubled: 1 of its doc_ids are in several rows"):
        run(made, score={"table": "theirs.doubled", "column": "v"})
    assert (lake.version("selections"), lake.version("score_histogram")) == before


@pytest.mark.long
def test_values_that_are_not_finite_are_set_aside_and_counted(made: Made) -> None:
    lake, _ = made
    lake.spark.sql(
        "CREATE OR REPLACE TABLE theirs.judged USING delta AS SELECT doc_id, "
        "CASE doc_id WHEN 'web 1' THEN double('inf') WHEN 'web 2' THEN double('-inf') "
        "WHEN 'web 3' THEN double('nan') WHEN 'web 4' THEN NULL WHEN 'web 6' THEN 1.5E308D "
        "WHEN 'web 7' THEN -1.5E308D ELSE 0 END AS v FROM theirs.documents"
    )
    score = {"table": "theirs.judged", "column": "v"}
    said = run(made, policy="global", budget="99%", score=score)
    assert said.endswith("; 4 quarantined; 3 without a finite score; 1 without a score")
    one = record.selection_named(lake, "default")
    first, _, last, infinite = explanation.explain_all(
        lake, one, ["web 6", "web 8", "web 7", "web 1"]
    )
    assert (first.level, last.level) == (10_000, 0)
    assert infinite.because == "its v in theirs.judged is not finite"


@pytest.mark.long
def test_a_column_of_one_value_is_one_level(made: Made) -> None:
    lake, _ = made
    lake.spark.sql(
        "CREATE OR REPLACE TABLE theirs.constant USING delta AS SELECT doc_id, 5 AS v "
        "FROM theirs.documents"
    )
    run(made, budget="50%", policy="global", score={"table": "theirs.constant", "column": "v"})
    by_column = ids(lake)
    run(made, budget="50%", policy="global", score="random")
    assert ids(lake) == by_column != set()


def test_an_exclusion_that_excludes_nothing_says_so(made: Made) -> None:
    lake, _ = made
    lake.spark.sql("CREATE OR REPLACE VIEW theirs.none AS SELECT explode(array(1, NULL)) AS doc_id")
    lake.spark.sql(
        "CREATE OR REPLACE VIEW theirs.hashes AS SELECT lower(hex(content_hash)) AS content_hash "
        "FROM theirs.documents WHERE doc_id IN ('web 1', 'web 9')"
    )
    exclude = [{"table": "theirs.none"}, {"table": "theirs.hashes", "by": "content_hash"}]
    said = run(made, budget="90%", exclude=exclude)
    assert "; 2 excluded; " in said
    assert said.endswith(
        "; nothing is excluded by theirs.none: none of its doc_id is that of a scored document"
    )
    assert not {"web 1", "web 9"} & ids(lake)


def test_a_filter_that_matches_nothing_is_refused(made: Made) -> None:
    lake, _ = made
    before = lake.version("selections")
    with pytest.raises(InputError) as error:
        run(made, where=[{"column": "license", "operator": "=", "value": "none"}])
    assert str(error.value) == (
        "selection: no document competes, 160 filtered: see selection.where, exclude and score"
    )
    assert lake.version("selections") == before


FILTERS = [
    (">=", 10, {"10", "11", "1e2", " 12"}),
    (">=", "10", {"10", "11", "1e2", " 12", "many", "nan", "2024-01-01"}),
    ("<", 10.5, {"9", "10"}),
    ("<", "2024-05", {"2024-01-01", "10", "11", "1e2", " 12"}),
    ("=", 100, {"1e2"}),
    ("=", "100", set()),
    ("!=", 9, {"10", "11", "1e2", " 12"}),
    ("in", [9, "many"], {"9", "many"}),
    ("not in", [9, 10], {"11", "1e2", " 12"}),
]


def test_metadata_are_compared_as_numbers_where_both_are(spark: SparkSession) -> None:
    values = ["9", "10", "11", "1e2", " 12", "many", "nan", "2024-01-01", None]
    rows = spark.createDataFrame([({"n": v},) for v in values], "metadata map<string,string>")
    filters = [
        Filter.model_validate({"column": "metadata.n", "operator": operator, "value": value})
        for operator, value, _ in FILTERS
    ]
    passing = [
        F.collect_set(F.when(candidates.filter_condition(f), F.col("metadata")["n"]))
        for f in filters
    ]
    found = list(rows.coalesce(1).agg(*passing).collect()[0])
    assert list(map(set, found)) == [expected for *_, expected in FILTERS]
    candidates.check(SelectionSettings(where=tuple(filters)))


def test_missing_scores_are_told_with_the_step_to_run(made: Made) -> None:
    """Scoring was interrupted: of web nothing has a score, of code one is missing."""
    lake, _ = made
    version = lake.version("scores")
    lake.delete("scores", F.expr("source = 'web' OR doc_id = 'code 1'"))
    try:
        said = run(made, name="partly", budget="30%")
        assert said.endswith("; 41 not scored (code, web): run mira score-documents")
        one = record.selection_named(lake, "partly")
        corpus = lake.read("documents").agg(F.sum("n_tokens")).collect()[0][0]
        assert one.budget_tokens == corpus * 30 // 100
        for changes in ({"floors": {"web": "0.1"}}, {"caps": {"web": "0.1"}}):
            with pytest.raises(InputError) as error:
                run(made, **changes)
            assert str(error.value) == (
                f"selection.{next(iter(changes))}.web: no document of web is scored: "
                "run mira score-documents first"
            )
        assert unscored.unscored_when_made(lake, one) == (
            f"41 documents had no score when {one.title} was made: run mira score-documents, then "
            "mira select-documents"
        )
        assert explanation.explain(lake, one, "code 1").because.endswith(
            ": run mira score-documents, then mira select-documents"
        )
    finally:
        lake.spark.sql(f"RESTORE TABLE {lake.name('scores')} TO VERSION AS OF {version}")


def test_dropping_a_selection_shows_the_latest_other(made: Made) -> None:
    lake, _ = made
    run(made, name="older", budget="20%")
    older = ids(lake, "selected_older")
    run(made, name="newer", budget="60%")
    for name in {one.name for one in record.all_selections(lake)} - {"older", "newer"}:
        record.drop_selections(lake, name)
    assert ids(lake) == ids(lake, "selected_newer") > older
    title = record.selection_named(lake, "older").title
    assert record.drop_selections(lake, "newer") == [
        "dropped the view selected_newer and 1 selections made under this name",
        f"the view selected, which showed it, shows {title} now",
    ]
    assert ids(lake) == older
    record.drop_selections(lake, "older")
    assert lake.view_query("selected") is None
