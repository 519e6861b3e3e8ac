"""What comes in, what is set aside and why, and samples that are the same at any partitioning."""

import hashlib
from datetime import date

import hypothesis
import pytest
from hypothesis import given, strategies as st
from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark.corpus import documents
from mira_spark.corpus.input_rows import NamedInput, text_rows
from mira_spark.corpus.typed_rows import check_columns
from mira_spark.errors import InputError
from mira_spark.lake.names import quoted_name
from mira_spark.settings.corpus import ColumnMapping, InputSettings

BY_ID = ColumnMapping(doc_id="id")
NOT_GIVEN = {name: ["input"] for name in BY_ID.not_given}


def in_ours(raw: DataFrame, columns: ColumnMapping = BY_ID, max_bytes: int = 100) -> DataFrame:
    settings = InputSettings(name="input", format="table", path="somewhere", columns=columns)
    return documents.in_our_columns(text_rows(NamedInput(settings, "corpus"), [raw]), max_bytes)


def mapped(spark: SparkSession, rows: list[tuple[object, ...]]) -> DataFrame:
    return in_ours(spark.createDataFrame(rows, "id string, source string, text binary"))


def judged(spark: SparkSession, rows: list[tuple[object, ...]]) -> dict[str | None, list[str]]:
    """Reason to the ids that have it."""
    found = mapped(spark, rows)
    found = documents.without_repeats(found, documents.repeated_ids(found))
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
    small = in_ours(raw, max_bytes=32 * 2**20)
    assert small.select("reason", "n_bytes").collect() == [("too_large", 50_000_000)]
    assert len(small.select("beginning").collect()[0][0]) == 200
    large = in_ours(raw, max_bytes=2**26)
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
    row = in_ours(raw).collect()[0]
    assert row["metadata"] == {"n": "7", "l": '["x"]'}
    assert row["sendable"] is True


def test_a_row_that_does_not_say_so_may_not_be_sent(spark: SparkSession) -> None:
    raw = spark.createDataFrame(
        [("a", "s", "t", True), ("b", "s", "t", False), ("c", "s", "t", None)],
        "id string, source string, text string, ok boolean",
    )
    columns = ColumnMapping(doc_id="id", sendable="ok")
    found = in_ours(raw, columns)
    assert {r["doc_id"]: r["sendable"] for r in found.collect()} == {
        "a": True,
        "b": False,
        "c": False,
    }


def test_every_missing_column_of_the_mapping_is_named(spark: SparkSession) -> None:
    columns = ColumnMapping(doc_id="uid", text="body", license="licence")
    raw = spark.createDataFrame([], "source string, text string, id string")
    with pytest.raises(InputError) as error:
        check_columns([raw], columns.model_dump(), "corpus.columns")
    assert str(error.value) == (
        "corpus.columns.doc_id: the input has no column uid; it has: source, text, id\n"
        "corpus.columns.text: the input has no column body; it has: source, text, id\n"
        "corpus.columns.license: the input has no column licence; it has: source, text, id"
    )


def test_only_new_and_changed_documents_are_told(spark: SparkSession) -> None:
    before = mapped(spark, [("a", "s", b"1"), ("b", "s", b"1"), ("c", "s", b"1")])
    before = before.withColumn("n_tokens", F.lit(1))
    now = mapped(spark, [("a", "s", b"1"), ("b", "s", b"2"), ("c", "t", b"1"), ("d", "s", b"1")])
    found = {
        r["doc_id"]: r["changed"]
        for r in documents.new_or_changed(now, before, NOT_GIVEN).collect()
    }
    assert found == {"b": True, "c": True, "d": False}


NAMES = ["plain", "a.b", "tick`s", "`", "a`.`b", "dot.", " ", "select", "a b", "é漢", "a[0]", "*"]


@pytest.mark.parametrize("mapped_columns", [True, False])
def test_columns_of_any_name_are_read(spark: SparkSession, mapped_columns: bool) -> None:
    values = [f"value {i}" for i in range(len(NAMES))]
    raw = spark.createDataFrame([tuple(values)], NAMES)
    columns = ColumnMapping(source=NAMES[4], text=NAMES[3])
    if mapped_columns:
        columns = ColumnMapping(doc_id=NAMES[1], source=NAMES[2], text=NAMES[3], domain=NAMES[5],
                                license=NAMES[10], sendable=NAMES[11])  # fmt: skip
    (row,) = in_ours(raw, columns).collect()
    assert row["text"] == "value 3"
    taken = {name for name in columns.model_dump().values() if name}
    assert row["metadata"] == {n: v for n, v in zip(NAMES, values, strict=True) if n not in taken}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@hypothesis.settings(max_examples=500, deadline=None)
def test_a_quoted_name_is_one_name(spark: SparkSession, name: str) -> None:
    row = spark.range(0).select(F.lit(1).alias(name), F.lit(2).alias(f"not {name}"))
    assert row.select(F.col(quoted_name(name))).columns == [name]


@pytest.mark.parametrize(
    ("kind", "values", "sendable", "unclear"),
    [
        (
            "string",
            ["true", "no", "perhaps", "", None, "1"],
            [1, 0, 0, 0, 0, 1],
            [0, 0, 1, 1, 0, 0],
        ),
        ("int", [1, 0, 2, None, -1], [1, 0, 0, 0, 0], [0, 0, 1, 0, 1]),
        ("double", [1.0, 0.0, float("nan"), None, 0.5], [1, 0, 0, 0, 0], [0, 0, 1, 0, 1]),
        ("array<int>", [[1], [], None], [0, 0, 0], [1, 1, 0]),
        ("date", [date(2026, 1, 1), None], [0, 0], [1, 0]),
    ],
)
def test_what_is_no_boolean_may_not_be_sent(
    spark: SparkSession, kind: str, values: list[object], sendable: list[int], unclear: list[int]
) -> None:
    rows = [(f"{i}", "s", "text", value) for i, value in enumerate(values)]
    raw = spark.createDataFrame(rows, f"id string, source string, text string, ok {kind}")
    columns = ColumnMapping(doc_id="id", sendable="ok")
    found = in_ours(raw, columns)
    found = found.orderBy("doc_id").collect()
    assert [int(row["sendable"]) for row in found] == sendable
    assert [int(row["unclear"]) for row in found] == unclear


GIVEN = "id string, source string, text string, host string, law string, ok boolean, note string"
ALL = ColumnMapping(doc_id="id", domain="host", license="law", sendable="ok")


def of_rows(spark: SparkSession, *rows: tuple[object, ...]) -> DataFrame:
    raw = spark.createDataFrame(rows, GIVEN)
    found = in_ours(raw, ALL)
    return found.withColumn("n_tokens", F.lit(7))


def test_any_column_that_changed_is_a_change(spark: SparkSession) -> None:
    old = ("s", "t", "h", "MIT", True, "n")
    rows = {i: [*old[:i], None, *old[i + 1 :]] for i in range(2, 6)} | {6: list(old)}
    before = of_rows(spark, *((str(i), *old) for i in rows))
    now = of_rows(spark, *((str(i), *row) for i, row in rows.items()))
    found = documents.new_or_changed(now, before, {}).orderBy("doc_id").collect()
    assert [(r["doc_id"], r["changed"], r["known_tokens"]) for r in found] == [
        (str(i), True, 7) for i in range(2, 6)
    ], "domain, license, sendable and metadata; not the row that is the same"


def test_of_rows_with_one_id_the_stricter_decides(spark: SparkSession) -> None:
    rows = of_rows(
        spark,
        ("a", "s", "1", None, "MIT", True, None),
        ("a", "s", "2", None, "MIT", False, None),
        ("b", "s", "1", None, "MIT", True, None),
        ("b", "s", "1", None, "GPL", True, None),
        ("c", "s", "1", None, "MIT", True, None),
        ("c", "s", None, None, "MIT", False, None),
        ("d", "s", "1", None, "MIT", True, None),
        ("d", "s", "1", None, "MIT", True, None),
    )
    found = documents.without_repeats(rows, documents.repeated_ids(rows)).filter("reason IS NULL")
    said = [(r["doc_id"], r["license"], r["sendable"]) for r in found.orderBy("doc_id").collect()]
    assert said == [("a", "MIT", False), ("b", None, True), ("c", "MIT", False), ("d", "MIT", True)]


def test_a_row_without_a_text_still_takes_the_leave_to_be_sent(spark: SparkSession) -> None:
    before = of_rows(spark, ("a", "s", "1", None, None, True, None))
    now = of_rows(spark, ("a", "s", None, None, None, False, None))
    (row,) = documents.revoked(now, before).collect()
    assert (row["doc_id"], row["text"], row["sendable"]) == ("a", "1", False)
