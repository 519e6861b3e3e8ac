"""From the tables to the few rows a report shows: DataFrames summed, rows chosen."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, functions as F

from mira_spark.lake.runs import NOTHING_TO_DO
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.report.plots import BIN

EXAMPLES = 3
EXAMPLE_SOURCES = 4
EXCERPT_LENGTH = 200
_DOCUMENT = ("source", "bucket", "doc_id", "content_hash")
Row = Mapping[str, Any]


def sizes(documents: DataFrame) -> DataFrame:
    """Documents and tokens by source."""
    return documents.groupBy("source").agg(
        F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens")
    )


def binned(histogram: DataFrame, cutoffs: DataFrame) -> DataFrame:
    """The histogram in bins of BIN thousandths, each split into above, at and below the cut.

    By source_group, source, bin and place: documents, tokens and quality_sum over the documents.
    The last bin holds the highest quality too; bin and place are null for quarantined documents.
    """
    cuts = F.broadcast(cutoffs.select("source", "student_id", "quality_cut"))
    last = FULL_SCALE - BIN
    places = {
        "bin": F.expr(f"IF(quality > {last}, {last}, quality div {BIN} * {BIN})"),
        "place": F.expr(
            "CASE WHEN quality > quality_cut THEN 'above' WHEN quality = quality_cut THEN 'at' "
            "WHEN quality < quality_cut THEN 'below' END"
        ),
    }
    placed = histogram.join(cuts, on=["source", "student_id"], how="inner").withColumns(places)
    return placed.groupBy("source_group", "source", "bin", "place").agg(
        F.sum("documents").alias("documents"),
        F.sum("tokens").alias("tokens"),
        F.expr("sum(CAST(quality AS BIGINT) * documents)").alias("quality_sum"),
    )


def anchors(rubrics: DataFrame) -> DataFrame:
    """One row per group, rubric and slot, in slot order; two discoveries may have found the same
    rubric, then the shares are of the last one approved."""
    columns = ("name", "definition", "document_share", "score_sd", "stability")
    last = F.max_by(F.struct(*columns), F.struct("approved_at", "discovery_id"))
    found = rubrics.groupBy("source_group", "rubric_id", "slot").agg(last.alias("anchor"))
    return found.select("source_group", "slot", "anchor.*").orderBy("rubric_id", "slot")


def summed_calls(judge_calls: DataFrame) -> DataFrame:
    """Calls, tokens and cost by judge, purpose and outcome."""
    sums = ("input_tokens", "cached_input_tokens", "output_tokens", "cost_usd")
    of = ("judge", "purpose", "outcome")
    summed = judge_calls.groupBy(*of).agg(
        F.count("*").alias("calls"), *(F.sum(name).alias(name) for name in sums)
    )
    return summed.orderBy(*of)


def judges(
    judge_calls: DataFrame, rubrics: DataFrame, points: DataFrame, labels: DataFrame
) -> DataFrame:
    """Who gave the answers that the rubrics, and the labels on them, are made of."""
    discovered = points.join(rubrics, on="discovery_id", how="left_semi").select("call_key")
    labelled = labels.join(rubrics, on="rubric_id", how="left_semi").select("call_key")
    answers = discovered.unionByName(labelled)
    used = judge_calls.join(answers, on="call_key", how="left_semi")
    return used.select("judge").distinct().orderBy("judge")


def last_runs(runs: DataFrame) -> DataFrame:
    """Per step its last run that ended and had something to do, in the order they began; all_runs
    and all_seconds are of all of these, the time between their start and their end."""
    worked = runs.filter(f"finished_at IS NOT NULL AND message <> '{NOTHING_TO_DO}'")
    columns = ("run_id", "status", "started_at", "finished_at", "message")
    took = F.col("finished_at").cast("double") - F.col("started_at").cast("double")
    latest = worked.groupBy("step").agg(
        F.max_by(F.struct(*columns), "started_at").alias("last"),
        F.count("*").alias("all_runs"),
        F.sum(took).alias("all_seconds"),
    )
    return latest.select("step", "last.*", "all_runs", "all_seconds").orderBy("started_at")


def languages(documents: DataFrame, selected: DataFrame) -> DataFrame:
    """documents and kept_documents of each `language` that documents have in their metadata, under
    the key language or lang; without rows where none has one."""
    named = F.coalesce(F.col("metadata")["language"], F.col("metadata")["lang"])
    having = documents.select(*_DOCUMENT, named.alias("language")).filter("language IS NOT NULL")
    kept = selected.select(*_DOCUMENT, F.lit(1).alias("is_kept"))
    both = having.join(kept, on=[*_DOCUMENT], how="left").groupBy("language")
    sums = (F.count("*").alias("documents"), F.count("is_kept").alias("kept_documents"))
    return both.agg(*sums).orderBy(F.col("documents").desc(), "language")


def oversized(scores: DataFrame, cutoffs: DataFrame) -> DataFrame:
    """documents and tokens of those that are too large to be selected, by source."""
    most = F.broadcast(cutoffs.select("source", "most_tokens"))
    large = scores.join(most, on="source").filter("n_tokens > most_tokens")
    return sizes(large).orderBy("source")


def repeats(selected: DataFrame, near: DataFrame) -> DataFrame:
    """One row: documents and tokens of the selected for which another selected one stands in
    `near`, rows of near_duplicates."""
    kept = selected.select("doc_id", "content_hash", "n_tokens")
    standing = kept.select(F.col("doc_id").alias("representative"))
    repeated = kept.join(
        near.select("doc_id", "content_hash", "representative"), on=["doc_id", "content_hash"]
    ).join(standing, on="representative", how="left_semi")
    sums = (
        F.count("*").alias("documents"),
        F.coalesce(F.sum("n_tokens"), F.lit(0)).alias("tokens"),
    )
    return repeated.agg(*sums)


def documents_to_read(
    scores: DataFrame, sources: Sequence[str], cuts: Mapping[str, int]
) -> DataFrame:
    """The EXAMPLES highest and lowest scored documents of each source, and those nearest to its
    cut on both sides where `cuts` has one; `end` says which."""
    scored, quality = scores.filter(F.col("status") == "scored"), F.col("quality")
    parts = []
    for source in sources:
        own = scored.filter(F.col("source") == source)
        parts.append(_first(own, quality.desc(), "highest"))
        if source in cuts:
            is_above = quality >= cuts[source]
            parts.append(_first(own.filter(is_above), quality.asc(), "at or just above the cut"))
            parts.append(_first(own.filter(~is_above), quality.desc(), "just below the cut"))
        parts.append(_first(own, quality.asc(), "lowest"))
    return reduce(DataFrame.unionByName, parts)


def _first(scores: DataFrame, order: Column, end: str) -> DataFrame:
    columns = (
        "doc_id",
        "source",
        "bucket",
        "student_id",
        "quality",
        "n_tokens",
        "dimension_scores",
    )
    first = scores.orderBy(order, "doc_id").limit(EXAMPLES)
    return first.select(*columns, F.lit(end).alias("end"))


def excerpts(documents: DataFrame, found: Sequence[Row]) -> DataFrame:
    """doc_id and `excerpt`, the beginning, of those that may be shown outside: a report travels."""
    keys = ("source", "bucket", "doc_id")
    wanted = [F.col(key).isin(sorted({row[key] for row in found})) for key in keys]
    shown = documents.filter(reduce(Column.__and__, wanted) & F.col("sendable"))
    return shown.select("doc_id", F.substring("text", 1, EXCERPT_LENGTH).alias("excerpt"))


def example_sources(cutoffs: Sequence[Row]) -> list[str]:
    """The largest source of each of the largest groups, by tokens."""
    largest: dict[str, str] = {}
    for cutoff in sorted(cutoffs, key=lambda c: (-c["total_tokens"], c["source"])):
        largest.setdefault(cutoff["source_group"], cutoff["source"])
    return list(largest.values())[:EXAMPLE_SOURCES]


def examples(
    ends: Sequence[Row],
    shown: Mapping[str, str],
    students: Sequence[Row],
    reliability: Sequence[Row],
) -> list[Row]:
    """The rows of `documents_to_read` as `groups.examples` wants them; `shown` are excerpts by
    doc_id.

    What counts are the source's own slots, or those of the whole group where it has none.
    """
    dimensions = {s["student_id"]: s["dimensions"] for s in students}
    slots: dict[tuple[str, str | None], set[int]] = {}
    for cell in reliability:
        if cell["counts"]:
            slots.setdefault((cell["student_id"], cell["source"]), set()).add(cell["slot"])
    rows: list[Row] = []
    for row in ends:
        student = row["student_id"]
        counting = slots.get((student, row["source"])) or slots.get((student, None), set())
        names = dimensions[student]
        of_slots = {"dimensions": names, "counts": [s in counting for s in range(len(names))]}
        rows.append({**row, **of_slots, "excerpt": shown.get(row["doc_id"])})
    return rows


def students_shown(students: Sequence[Row], counting: set[str]) -> list[Row]:
    """The students whose scores count and the newest of each group, which may have failed the
    gate; by group, those that count first. `students` is in order of age, the newest first."""
    newest: dict[str, str] = {}
    for student in students:
        newest.setdefault(student["source_group"], student["student_id"])
    chosen = [s for s in students if s["student_id"] in counting | set(newest.values())]
    return sorted(chosen, key=lambda s: (s["source_group"], s["student_id"] not in counting))
