"""The rows that warnings are written from: languages, oversized documents, repeats."""

from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import SparkSession

from mira_spark.lake.runs import NOTHING_TO_DO
from mira_spark.report import rows

DOCUMENT = "source STRING, bucket INT, doc_id STRING, content_hash BINARY"


def key(doc_id: str, text: bytes = b"x") -> tuple[Any, ...]:
    return ("web", 3, doc_id, text)


def test_a_language_is_counted_under_either_key_with_what_is_kept_of_it(
    spark: SparkSession,
) -> None:
    metadata = [{"language": "de"}, {"lang": "de"}, {"language": "fr"}, {"other": "fr"}, None]
    documents = spark.createDataFrame(
        [(*key(f"d{i}"), each) for i, each in enumerate(metadata)],
        f"{DOCUMENT}, metadata MAP<STRING, STRING>",
    )
    selected = spark.createDataFrame([key("d1"), key("d2", b"older"), key("d3")], DOCUMENT)
    counted = [tuple(row) for row in rows.languages(documents, selected).collect()]
    assert counted == [("de", 2, 1), ("fr", 1, 0)]


def test_documents_above_the_most_tokens_of_their_source_are_oversized(spark: SparkSession) -> None:
    scores = spark.createDataFrame(
        [("web", 100), ("web", 101), ("web", 300), ("code", 101), ("wiki", 9_999)],
        "source STRING, n_tokens BIGINT",
    )
    cutoffs = spark.createDataFrame(
        [("web", 100), ("code", 101), ("wiki", None)], "source STRING, most_tokens BIGINT"
    )
    assert [tuple(row) for row in rows.oversized(scores, cutoffs).collect()] == [("web", 2, 401)]


def test_a_selected_document_repeats_only_another_that_is_selected_with_the_same_text(
    spark: SparkSession,
) -> None:
    selected = spark.createDataFrame(
        [("a", b"a", 10), ("b", b"b", 20), ("c", b"c", 40), ("d", b"new", 80)],
        "doc_id STRING, content_hash BINARY, n_tokens BIGINT",
    )
    near = spark.createDataFrame(
        [("b", b"b", "a"), ("c", b"c", "not selected"), ("d", b"old", "a"), ("e", b"e", "a")],
        "doc_id STRING, content_hash BINARY, representative STRING",
    )
    assert [tuple(row) for row in rows.repeats(selected, near).collect()] == [(1, 20)]
    nothing = rows.repeats(selected.limit(0), near).collect()
    assert [tuple(row) for row in nothing] == [(0, 0)]


def test_a_step_s_time_is_of_all_its_runs_that_had_something_to_do(spark: SparkSession) -> None:
    began = datetime(2026, 3, 4, 5)

    def run(hour: int, seconds: int | None, message: str) -> tuple[Any, ...]:
        start = began + timedelta(hours=hour)
        end = None if seconds is None else start + timedelta(seconds=seconds)
        return (f"run {hour}", "score_documents", "done", start, end, message)

    runs = spark.createDataFrame(
        [run(0, 30, "first"), run(1, 12, "second"), run(2, 5, NOTHING_TO_DO), run(3, None, "")],
        "run_id STRING, step STRING, status STRING, started_at TIMESTAMP, finished_at TIMESTAMP, "
        "message STRING",
    )
    (last,) = rows.last_runs(runs).collect()
    assert (last["run_id"], last["all_runs"], last["all_seconds"]) == ("run 1", 2, 42.0)
