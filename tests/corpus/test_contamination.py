"""What documents hold of items, by either way of joining, against looking at every pair."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from mira_spark.corpus import contamination
from mira_spark.lake.caches import persisted
from mira_spark.settings.evaluation import EvaluationSettings
from tests import contamination_oracle as oracle
from tests.contaminated_texts import FORMS, Planted, planted
from tests.contamination_oracle import Held

RULE = EvaluationSettings()


def documents(spark: SparkSession, texts: Mapping[str, str]) -> DataFrame:
    rows = [(d, hashlib.sha256(text.encode()).digest()[:16], text) for d, text in texts.items()]
    frame = spark.createDataFrame(rows, "doc_id string, content_hash binary, text string")
    return frame.repartition(3)


def items(spark: SparkSession, texts: Mapping[str, str]) -> DataFrame:
    rows = [("a set", "question", item_id, text) for item_id, text in texts.items()]
    columns = "item_set string, item_column string, item_id string, text string"
    return spark.createDataFrame(rows, columns).repartition(2)


def found(
    spark: SparkSession, made: Planted, few: bool, rule: EvaluationSettings = RULE
) -> list[Any]:
    with persisted(contamination.ngrams_of_items(items(spark, made.items), rule)) as of_items:
        passing = contamination.ngram_filter(of_items, of_items.count())
        texts = documents(spark, made.documents)
        of_documents = contamination.ngrams_of_documents(texts, rule, passing)
        with persisted(of_documents) as kept:
            return contamination.contaminated_documents(kept, of_items, few).collect()


def held(rows: list[Any]) -> set[Held]:
    assert len({(r["doc_id"], r["item_id"]) for r in rows}) == len(rows)
    return {Held(*(row[name] for name in Held._fields)) for row in rows}


def test_what_is_found_by_either_join_is_what_every_pair_gives(spark: SparkSession) -> None:
    made = planted(500, 80)
    expected = oracle.contaminated(made.documents, made.items)
    broadcast = held(found(spark, made, few=True))
    assert broadcast == expected
    assert held(found(spark, made, few=False)) == broadcast
    forms = Counter(made.forms.get(each.doc_id) for each in expected)
    assert all(forms[form] > 5 for form in FORMS if form != "nearly"), forms


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "short_words", "share", "few"),
    [(13, 5, "80%", True), (13, 5, "80%", False), (8, 3, "50%", True), (5, 5, "100%", False)],
)
def test_ten_thousand_documents_are_what_every_pair_gives(
    spark: SparkSession, words: int, short_words: int, share: str, few: bool
) -> None:
    made = planted(10_000, 400, seed=words)
    rule = EvaluationSettings(words=words, short_words=short_words, share=share)
    expected = oracle.contaminated(made.documents, made.items, words, short_words, rule.least_share)
    assert held(found(spark, made, few, rule)) == with_a_row(expected)


def with_a_row(expected: set[Held]) -> set[Held]:
    """Of each document the items of the largest share, as many as have a row."""
    by_document: dict[str, list[Held]] = {}
    for each in sorted(expected, key=lambda h: (-h.share, h)):
        by_document.setdefault(each.doc_id, []).append(each)
    return {h for rows in by_document.values() for h in rows[: contamination.MOST_ITEMS]}


def test_of_a_text_that_all_items_share_a_hundred_have_a_row_and_all_are_counted(
    spark: SparkSession,
) -> None:
    begin = "Answer the following question and end with the letter of the right answer only"
    of_items = {f"item {n:03}": f"{begin}: {' '.join(f'w{n}x{i}' for i in range(n))}"
                for n in range(130)}  # fmt: skip
    made = Planted({"d": begin, "e": "none"}, of_items, {})
    rows = found(spark, made, few=False)
    assert held(rows) == with_a_row(oracle.contaminated(made.documents, of_items))
    assert len(rows) == contamination.MOST_ITEMS
    assert {row["items"] for row in rows} == {130}


def test_few_n_grams_are_broadcast_and_many_are_not(spark: SparkSession) -> None:
    texts = {"a": "one two three four five", "b": " ".join(f"w{n}" for n in range(15))}
    ngrams = contamination.ngrams_of_items(items(spark, texts), RULE)
    (sizes,) = contamination.sizes_by_set(ngrams).values()
    lengths = [len(" ".join(f"w{n}" for n in range(first, first + 13))) for first in range(3)]
    assert sizes == (2, 4, len(texts["a"]) + sum(lengths) + 400)
    assert sizes.are_few
    most = contamination.MOST_BROADCAST - sizes.n_bytes
    assert contamination.summed([sizes, contamination.Sizes(1, 1, most)]).are_few
    assert not contamination.summed([sizes, contamination.Sizes(1, 1, most + 1)]).are_few


def test_the_share_of_a_short_item_is_a_share_of_its_n_grams(spark: SparkSession) -> None:
    item = "one two three four five six seven eight nine"
    texts = {str(n): " ".join(item.split()[:n]) for n in range(4, 10)}
    rule = EvaluationSettings(share="3/5")
    rows = held(found(spark, Planted(texts, {"i": item}, {}), few=True, rule=rule))
    assert rows == {Held(str(n), "i", 0, n - 4, (n - 4) / 5) for n in (7, 8, 9)}
    assert rows == oracle.contaminated(texts, {"i": item}, share=Fraction(3, 5))
