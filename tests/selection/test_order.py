"""The cut: exactly the longest prefix of each group's order within its share of the budget."""

import pytest
from pyspark.sql import SparkSession

from mira_spark.errors import InputError
from mira_spark.selection import order
from mira_spark.settings.selection import SelectionSettings


@pytest.mark.parametrize(
    ("budget", "tokens"),
    [
        ("40%", 4_000),
        ("100%", 10_000),
        ("33.3%", 3_330),
        ("0.07%", 7),
        ("2_500", 2_500),
        (300, 300),
    ],
)
def test_a_budget_is_whole_tokens(budget: str | int, tokens: int) -> None:
    chosen = SelectionSettings.model_validate({"budget": budget})
    assert order.budget_tokens(chosen.budget, 10_000, 7) == tokens


def test_a_budget_below_the_smallest_document_is_refused() -> None:
    with pytest.raises(InputError) as error:
        order.budget_tokens("1%", 1_000, 400)
    assert str(error.value) == (
        "selection.budget: 1% is 10 of 1,000 tokens, less than the smallest document (400 tokens); "
        "nothing could be selected: set a larger one"
    )


def test_the_predicate_in_sql_agrees_with_the_cut(spark: SparkSession) -> None:
    hashed = spark.range(200).selectExpr("concat('d', id) AS doc_id")
    rows = hashed.withColumn("h", order.tie_hash(7)).orderBy("h", "doc_id").collect()
    middle = rows[100]
    table = hashed.selectExpr(
        "doc_id", "CAST(CASE WHEN doc_id = 'd0' THEN NULL ELSE 5 END AS SMALLINT) AS quality",
        "5 AS quality_cut", f"{middle['h']} AS tie_hash_cut",
        f"'{middle['doc_id']}' AS tie_doc_id_cut",
    )  # fmt: skip
    kept = {r["doc_id"] for r in table.filter(order.is_selected(7)).collect()}
    assert kept == {r["doc_id"] for r in rows[:101]} - {"d0"}
    other = {r["doc_id"] for r in table.filter(order.is_selected(8)).collect()}
    assert other != kept, "another seed is another order"
