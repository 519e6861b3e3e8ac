"""What became of every row and file of the inputs, checked and said."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.documents import NO_DOCUMENT
from mira_spark.corpus.input_rows import InputRows
from mira_spark.errors import ReconciliationError
from mira_spark.lake.input_files import named_files

MOST_REPEATED = 0.01
"""The share of the rows of an input that may have another document's id."""


@dataclass
class Counts:
    """What became of the rows of all inputs."""

    added: int = 0
    changed: int = 0
    rejected: int = 0
    unclear: int = 0
    removed: int = 0
    by_input: dict[str, Counter[str]] = field(default_factory=dict)


def check_complete(keys: DataFrame, read: Sequence[InputRows]) -> None:
    """ReconciliationError where an input has other rows than were counted when it was opened, or
    where a file that holds rows gave none."""
    sums = keys.groupBy("input").agg(F.count("*").alias("rows"), F.count_distinct("read_from"))
    by_input = {name: (rows, files) for name, rows, files in sums.collect()}
    for each in read:
        rows, files = by_input.get(each.name, (0, 0))
        problem = None
        if rows != each.count:
            problem = f"{each.count:,} rows were counted and {rows:,} read"
        elif files != each.files and files != (with_rows := each.files_with_rows()):
            problem = f"{with_rows:,} of its files hold rows and {files:,} of them were read"
        if problem:
            raise ReconciliationError(
                f"{each.name}: {problem}: it changed meanwhile; run the command again"
            )


def reasons_by_input(keys: DataFrame, read: Sequence[InputRows]) -> dict[str, Counter[str]]:
    """Of each input how many rows have each reason; "" for those that are documents."""
    counts: dict[str, Counter[str]] = {each.name: Counter() for each in read}
    reason = F.coalesce("reason", F.lit("")).alias("reason")
    for row in keys.groupBy("input", reason).count().collect():
        counts[row["input"]][row["reason"]] = row["count"]
    return counts


def outcome(counts: Counts, removed: str, held: int) -> Iterator[str]:
    """What is said of the documents; `removed` is the setting, `held` how many there are now."""
    yield (f"{counts.added:,} new and {counts.changed:,} changed documents, {held:,} in all")
    if counts.rejected:
        yield f"{counts.rejected:,} rejected, see rejected_documents"
    if counts.unclear:
        yield (f"{counts.unclear:,} not sendable: corpus.columns.sendable holds no boolean there")
    if counts.removed:
        done = "withdrawn" if removed == "withdraw" else "kept (corpus.removed: keep)"
        yield f"{counts.removed:,} no longer in the input: {done}"


def repeated_ids(counts: Counts, read: Sequence[InputRows]) -> list[str]:
    """What is said of inputs where too many rows have another document's id."""
    shares = [(each.name, counts.by_input[each.name]["duplicate_id"], each.count) for each in read]
    return [
        f"{name}: {number:,} of {count:,} rows have the id of another document: is "
        "columns.doc_id the right column?"
        for name, number, count in shares
        if number > MOST_REPEATED * count
    ]


def rows_and_files(counts: Counts, read: Sequence[InputRows]) -> Iterator[str]:
    """Of each input what became of every row and every file."""
    for each in read:
        reasons = counts.by_input[each.name]
        filtered = sum(reasons[reason] for reason in NO_DOCUMENT)
        documents = reasons[""]
        rejected = each.count - documents - filtered
        files = f" of {each.files:,} file{'s' * (each.files != 1)}" if each.files else ""
        yield (
            f"{each.name}: {each.count:,} rows{files} = {documents:,} documents + {rejected:,} "
            f"rejected + {filtered:,} filtered"
        )
        if each.left_out:
            yield f"{len(each.left_out):,} left out: {named_files(each.left_out)}"
