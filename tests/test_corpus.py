"""What comes in, what is set aside and why, and samples that are the same at any partitioning."""

import hashlib

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mira_spark import corpus, prompts
from mira_spark.corpus import ColumnMapping, CorpusSettings
from mira_spark.errors import InputError

SETTINGS = CorpusSettings(
    input="json", path="somewhere", columns=ColumnMapping(doc_id="id"), max_document_bytes=100
)


def mapped(spark: SparkSession, rows: list[tuple[object, ...]], **changes: object) -> DataFrame:
    raw = spark.createDataFrame(rows, "id string, source string, text binary")
    return corpus.mapped(raw, SETTINGS.model_copy(update=changes))


def judged(spark: SparkSession, rows: list[tuple[object, ...]]) -> dict[str | None, list[str]]:
    """Reason to the ids that have it."""
    found = mapped(spark, rows)
    found = corpus.without_repeats(found, corpus.repeated_ids(found))
    reasons: dict[str | None, list[str]] = {}
    for row in found.orderBy("doc_id").collect():
        reasons.setdefault(row["reason"], []).append(row["doc_id"])
    return reasons


def test_every_unusable_row_has_its_reason(spark: SparkSession) -> None:
    rows: list[tuple[object, ...]] = [
        ("good", "s", b"text"),
        ("null", "s", None),
        ("empty", "s", b""),
        ("blank", "s", b" \n\t "),
        ("large", "s", b"x" * 101),
        ("limit", "s", b"x" * 100),
        ("nowhere", None, b"text"),
        ("spaces", "  ", b"text"),
        ("twice", "s", b"one"),
        ("twice", "s", b"two"),
        ("same", "s", b"text"),
        ("same", "s", b"text"),
    ]
    assert judged(spark, rows) == {
        None: ["good", "limit", "same", "twice"],
        "empty": ["blank", "empty", "null"],
        "too_large": ["large"],
        "no_source": ["nowhere", "spaces"],
        "duplicate_id": ["same", "twice"],
    }


def test_a_document_of_50_mb_comes_in_or_is_set_aside_but_never_fails(spark: SparkSession) -> None:
    raw = spark.createDataFrame([("big", "s")], "id string, source string").select(
        "id", "source", F.expr("repeat('abcdefghi\\n', 5000000)").alias("text")
    )
    small = corpus.mapped(raw, SETTINGS.model_copy(update={"max_document_bytes": 32 * 2**20}))
    assert small.select("reason", "n_bytes").collect() == [("too_large", 50_000_000)]
    assert len(small.select("beginning").collect()[0][0]) == 200
    large = corpus.mapped(raw, SETTINGS.model_copy(update={"max_document_bytes": 2**26}))
    assert large.select("reason", "n_bytes").collect() == [(None, 50_000_000)]


def test_invalid_utf8_is_mended_and_marked(spark: SparkSession) -> None:
    rows: list[tuple[object, ...]] = [
        ("bad", "s", b"caf\xe9 \xff ok"),
        ("good", "s", "café".encode()),
    ]
    found = {r["doc_id"]: r for r in mapped(spark, rows).collect()}
    assert found["bad"]["repaired"] is True
    assert found["bad"]["text"] == "caf\ufffd \ufffd ok"
    assert found["good"]["repaired"] is False
    assert found["good"]["text"] == "café"


def test_an_id_is_computed_where_the_caller_gives_none(spark: SparkSession) -> None:
    rows: list[tuple[object, ...]] = [(None, "s", b"text"), ("", "t", b"text")]
    found = {r["source"]: r for r in mapped(spark, rows).collect()}
    assert found["s"]["doc_id"] == hashlib.sha256(b"s\x00text").hexdigest()[:32]
    assert found["t"]["doc_id"] == hashlib.sha256(b"t\x00text").hexdigest()[:32]
    assert bytes(found["s"]["content_hash"]) == hashlib.sha256(b"text").digest()[:16]


def test_a_rejected_text_is_shown_without_control_characters(spark: SparkSession) -> None:
    row = mapped(spark, [("large", "s", b"a\x00\x1b[31m\nb" * 50)]).collect()[0]
    assert row["beginning"].startswith("a\ufffd\ufffd[31m\ufffdb")


def test_other_columns_become_metadata(spark: SparkSession) -> None:
    raw = spark.createDataFrame(
        [("a", "s", "text", 7, ["x"])],
        "id string, source string, text string, n int, l array<string>",
    )
    row = corpus.mapped(raw, SETTINGS).collect()[0]
    assert row["metadata"] == {"n": "7", "l": '["x"]'}
    assert row["sendable"] is True


def test_a_row_that_does_not_say_so_may_not_be_sent(spark: SparkSession) -> None:
    raw = spark.createDataFrame(
        [("a", "s", "t", True), ("b", "s", "t", False), ("c", "s", "t", None)],
        "id string, source string, text string, ok boolean",
    )
    columns = ColumnMapping(doc_id="id", sendable="ok")
    found = corpus.mapped(raw, SETTINGS.model_copy(update={"columns": columns}))
    assert {r["doc_id"]: r["sendable"] for r in found.collect()} == {
        "a": True,
        "b": False,
        "c": False,
    }


def test_every_missing_column_of_the_mapping_is_named() -> None:
    columns = ColumnMapping(doc_id="uid", text="body", license="licence")
    settings = SETTINGS.model_copy(update={"columns": columns})
    with pytest.raises(InputError) as error:
        corpus.missing_columns(settings, ["source", "text", "id"])
    assert str(error.value) == (
        "corpus.columns.doc_id: the input has no column uid; it has: source, text, id\n"
        "corpus.columns.text: the input has no column body; it has: source, text, id\n"
        "corpus.columns.license: the input has no column licence; it has: source, text, id"
    )


def test_only_new_and_changed_documents_are_told(spark: SparkSession) -> None:
    before = mapped(spark, [("a", "s", b"1"), ("b", "s", b"1"), ("c", "s", b"1")])
    now = mapped(spark, [("a", "s", b"1"), ("b", "s", b"2"), ("c", "t", b"1"), ("d", "s", b"1")])
    found = {r["doc_id"]: r["changed"] for r in corpus.new_or_changed(now, before).collect()}
    assert found == {"b": True, "c": True, "d": False}


@pytest.mark.parametrize("length", [0, 1, 191, 192, 193, 194, 1000, 5001])
def test_windows_in_sql_are_those_of_the_prompt(spark: SparkSession, length: int) -> None:
    text = ("aé漢😀\n" * (length // 5 + 1))[:length]
    row = spark.createDataFrame([(text,)], "text string")
    cut = row.select(corpus.windows_column(F.col("text"), 16)).collect()[0][0]
    assert cut == prompts.windows(text, 16)


def documents(spark: SparkSession) -> DataFrame:
    return spark.range(3000).select(
        F.concat(F.lit("d"), "id").alias("doc_id"),
        F.when(F.col("id") < 2990, "large").otherwise("small").alias("source"),
        F.when(F.col("id") % 2 == 0, "one").alias("domain"),
    )


def ids(frame: DataFrame) -> set[str]:
    return {r["doc_id"] for r in frame.select("doc_id").collect()}


def test_a_sample_is_the_same_at_any_partitioning_and_another_by_seed(spark: SparkSession) -> None:
    all_of = documents(spark)
    first = ids(corpus.sample(all_of.repartition(1), 50, 0))
    assert first == ids(corpus.sample(all_of.repartition(7, "doc_id"), 50, 0))
    assert len(first) == 60, "fifty of the large source and all ten of the small"
    assert first != ids(corpus.sample(all_of, 50, 1))


def test_a_larger_sample_holds_the_smaller(spark: SparkSession) -> None:
    all_of = documents(spark)
    assert ids(corpus.sample(all_of, 20, 0)) < ids(corpus.sample(all_of, 200, 0))


def test_one_domain_cannot_fill_a_sample(spark: SparkSession) -> None:
    found = corpus.sample(documents(spark), 50, 0, per_domain=3)
    by_domain = {
        (r["source"], r["domain"]): r["count"]
        for r in found.groupBy("source", "domain").count().collect()
    }
    assert by_domain == {
        ("large", "one"): 3,
        ("large", None): 47,
        ("small", "one"): 3,
        ("small", None): 5,
    }
