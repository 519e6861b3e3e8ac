"""Take new and changed documents in. Reads the configured input; writes `documents` and
`rejected_documents`."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame, functions as F
from pyspark.sql.pandas.functions import pandas_udf

from mira_spark.corpus import (
    accounts,
    documents as corpus,
    python_environment,
    repeated as doubled,
    tokens,
)
from mira_spark.corpus.accounts import Counts
from mira_spark.corpus.input_rows import (
    InputRows,
    NamedInput,
    changes_told,
    input_state,
    named_inputs,
    read_input,
)
from mira_spark.errors import ConfigError, InputError
from mira_spark.lake import own_folders
from mira_spark.lake.caches import persisted
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.corpus import OWN_COLUMNS, CorpusSettings, InputSettings
from mira_spark.settings.root import Settings

SETTINGS = ("corpus",)
WRITES = ("documents", "rejected_documents")
_KEYS = ("input", "doc_id", "source", "content_hash", "n_bytes", "license", "sendable", "unclear",
        "described", "described_domain", "reason", "beginning", "read_from", "file",
        "line")  # fmt: skip
_NEW = ("input", "doc_id", "content_hash", "source", "n_bytes", "sendable")
_KNOWN = ("changed", "known_tokens", "known_domain", "known_license", "known_sendable")
EMPTY = (
    "the corpus is empty: the input holds no document that could be taken in. Why, row by row: "
    'mira sql "select * from rejected_documents"'
)
REJECTED = ("source", "doc_id", "reason", "n_bytes", "beginning", "file", "line")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The inputs' fingerprints: files by name, size and times; a Delta table by its id, version
    and commit."""
    chosen = settings.corpus
    each_input = named_inputs(chosen)
    if not each_input:
        limits = _limits(chosen)
        files = python_environment.find_files(python_environment.this_environment(), limits)
        return {"files": python_environment.fingerprint(files, limits)}
    return {
        each.settings.name if chosen.inputs else each.settings.path: input_state(lake.spark, each)
        for each in each_input
    }


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """Always empty: whether the step has work to do follows from its settings and inputs alone."""
    return []


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """The order and partitioning of the inputs do not matter. One commit of what is new or changed;
    others only where a document was withdrawn, revoked without a text, or cannot be counted."""
    tokenizer = tokens.tokenizer(settings.corpus.tokenizer)
    _pin(lake, tokenizer)
    # Executors read it; the settings have a path for a folder where it is used.
    shared = settings.folder if isinstance(settings.folder, Path) else settings.driver_files
    staging = own_folders.own_folder(shared, "staging", "corpus")
    each_input = named_inputs(settings.corpus) or [_staged(settings.corpus, staging)]
    with changes_told(lake.spark, each_input):
        read = [read_input(lake.spark, each) for each in each_input]
        counts = _take_all_in(lake, settings.corpus, each_input, read, tokenizer, run_id)
    if counts.added or counts.changed:
        doubled.check_repeated(lake)
    own_folders.remove(staging)
    held = lake.read("documents").count()
    if not held:
        raise InputError(EMPTY)
    repeated = accounts.repeated_ids(counts, read)
    return Outcome(
        "; ".join(
            [
                *accounts.outcome(counts, settings.corpus.removed, held),
                *repeated,
                *accounts.rows_and_files(counts, read),
            ]
        ),
        status="degraded" if repeated else "done",
        rows_in=sum(each.count for each in read),
        rows_out=counts.added + counts.changed,
        rows_rejected=counts.rejected,
    )


def _take_all_in(
    lake: Lakehouse,
    chosen: CorpusSettings,
    each_input: Sequence[NamedInput],
    read: Sequence[InputRows],
    tokenizer: tokens.Tokenizer,
    run_id: str,
) -> Counts:
    rows = reduce(DataFrame.unionByName, [each.rows for each in read])
    mapped = corpus.in_our_columns(rows, chosen.max_document_bytes, chosen.keep_messages)
    counts = Counts()
    with contextlib.ExitStack() as caches:
        keys = caches.enter_context(persisted(mapped.select(*_KEYS)))
        accounts.check_complete(keys, read)
        caps = [(each.settings.name, each.settings.cap) for each in each_input]
        over = [corpus.over_cap(keys, name, cap) for name, cap in caps if cap is not None]
        conditions = [condition for condition in over if condition is not None]
        if conditions:
            mapped = corpus.without_over_cap(mapped, conditions)
            keys = caches.enter_context(persisted(corpus.without_over_cap(keys, conditions)))
        repeated = corpus.repeated_ids(keys)
        if not repeated.isEmpty():
            mapped = corpus.without_repeats(mapped, repeated)
            keys = caches.enter_context(persisted(corpus.without_repeats(keys, repeated)))
        good, bad = keys.filter("reason IS NULL"), keys.filter("reason IS NOT NULL")
        counts.by_input = accounts.reasons_by_input(keys, read)
        unwanted = F.col("reason").isin(*corpus.NO_DOCUMENT)
        counts.rejected = _reject(lake, bad.filter(~unwanted), run_id)
        if good.isEmpty() and chosen.removed == "withdraw":
            raise InputError(EMPTY)
        _take_in(lake, mapped, good, _not_given(each_input), tokenizer, run_id, counts)
        _revoke(lake, bad)
        counts.removed = _count_removed(lake, good, chosen.removed, run_id)
        counts.unclear = keys.filter("unclear").count()
    return counts


def _not_given(each_input: Sequence[NamedInput]) -> dict[str, list[str]]:
    """Columns of `documents` to the inputs that do not have them."""
    columns = {c for each in each_input for c in each.settings.columns.not_given}
    return {
        column: [e.settings.name for e in each_input if column in e.settings.columns.not_given]
        for column in columns
    }


def _take_in(
    lake: Lakehouse,
    mapped: DataFrame,
    good: DataFrame,
    not_given: dict[str, list[str]],
    tokenizer: tokens.Tokenizer,
    run_id: str,
    counts: Counts,
) -> None:
    """Write what is new or changed, and count it; what the tokenizer cannot count is rejected.
    Texts are joined only if some are known."""
    documents = lake.read("documents")
    accepted = mapped.filter("reason IS NULL")
    is_first = documents.isEmpty()
    unknown = {"changed": F.lit(False), "known_tokens": F.lit(None).cast("bigint")}
    if is_first:
        new = good.select(*_NEW).withColumns(unknown)
    else:
        new = corpus.new_or_changed(good, documents, not_given).select(*_NEW, *_KNOWN)
    with persisted(new) as new:
        by_change = _by_change(new)
        if is_first:
            accepted = accepted.withColumns(unknown)
        else:
            accepted = accepted.join(new.select("doc_id", *_KNOWN), on="doc_id")
            accepted = corpus.with_known_columns(accepted, not_given)
        if by_change[True]:
            lake.upsert(_with_token_counts(accepted, tokenizer), "documents", "doc_id")
        elif by_change[False]:
            lake.append(_with_token_counts(accepted, tokenizer), "documents", run_id)
        if tokenizer.definition is not None:
            there = lake.read("documents").select("doc_id", "content_hash")
            missed = new.join(there, on=["doc_id", "content_hash"], how="left_anti")
            with persisted(missed) as missed:
                by_change -= _by_change(missed)
                counts.rejected += _reject(lake, _because("uncountable", missed), run_id)
                _revoke(lake, missed)
                for row in missed.groupBy("input").count().collect():
                    counts.by_input[row["input"]][""] -= row["count"]
    counts.added, counts.changed = by_change[False], by_change[True]


def _by_change(new: DataFrame) -> Counter[bool]:
    return Counter({r["changed"]: r["count"] for r in new.groupBy("changed").count().collect()})


def _revoke(lake: Lakehouse, bad: DataFrame) -> None:
    """A row that cannot come in still says that its document may not be sent."""
    rows = corpus.revoked(bad, lake.read("documents"))
    if not rows.isEmpty():
        lake.upsert(rows, "documents", "doc_id", changes={"sendable": F.lit(False)})


def _count_removed(lake: Lakehouse, good: DataFrame, removed: str, run_id: str) -> int:
    """How many documents the input no longer holds; withdrawn if so chosen."""
    missing = lake.read("documents").join(good, on="doc_id", how="left_anti")
    with persisted(missing.select("doc_id", "source", "n_bytes")) as missing:
        count = missing.count()
        if count and removed == "withdraw":
            _reject(lake, _because("withdrawn", missing), run_id)
            lake.remove(missing, "documents", "doc_id")
    return count


def _limits(settings: CorpusSettings) -> python_environment.CorpusLimits:
    return python_environment.CorpusLimits(
        settings.max_documents_per_source, settings.max_bytes_per_source
    )


def _staged(settings: CorpusSettings, staging: Path) -> NamedInput:
    """The local Python environment, laid as Parquet in `staging`, as an input."""
    limits = _limits(settings)
    files = python_environment.find_files(python_environment.this_environment(), limits)
    own_folders.remove(staging)
    python_environment.stage(files, limits, staging)
    chosen = InputSettings(
        name="python_environment", format="parquet", path=f"file:{staging}", columns=OWN_COLUMNS
    )
    return NamedInput(chosen, "corpus")


def _pin(lake: Lakehouse, tokenizer: tokens.Tokenizer) -> None:
    """Write the tokenizer into the table's properties; refuse another one for the same table.

    The keys avoid the word token: Spark shows values of such keys redacted.
    """
    digest = lake.properties("documents").get("mira.counted_by.sha256")
    if digest is None:
        lake.set_properties(
            "documents",
            {"mira.counted_by": tokenizer.name, "mira.counted_by.sha256": tokenizer.digest},
        )
    elif digest != tokenizer.digest:
        name = lake.properties("documents").get("mira.counted_by")
        raise ConfigError(
            f"corpus.tokenizer: {lake.name('documents')} was counted with {name} ({digest:.12}), "
            f"this is {tokenizer.name} ({tokenizer.digest:.12}): set it back, or use another "
            "namespace"
        )


def _because(reason: str, rows: DataFrame) -> DataFrame:
    """Rejections whose text is not shown."""
    empty = dict.fromkeys(("beginning", "file", "line"), F.lit(None))
    return rows.withColumns({"reason": F.lit(reason)} | empty)


def _reject(lake: Lakehouse, rejected: DataFrame, run_id: str) -> int:
    """Write the rejections that are not there from an earlier run; how many there are."""
    rejected = rejected.select(*REJECTED)
    count = rejected.count()
    if count:
        have = lake.read("rejected_documents").select(*REJECTED)
        new = rejected.exceptAll(have)
        if not new.isEmpty():
            lake.append(new.withColumn("run_id", F.lit(run_id)), "rejected_documents", run_id)
    return count


def _with_token_counts(new: DataFrame, tokenizer: tokens.Tokenizer) -> DataFrame:
    """With tokens counted and in the order (source, bucket), so that files can be skipped; without
    the documents that the tokenizer cannot count."""
    rows = new.repartitionByRange("source", "bucket")  # before: it looks at its rows twice
    if tokenizer.definition is None:
        count = F.expr("(n_bytes + 3) div 4")
    else:

        def counted(texts: Iterator[pd.Series]) -> Iterator[pd.Series]:
            for text in texts:
                yield pd.Series(tokenizer.count(text.fillna("").tolist()), text.index, "Int64")

        udf = pandas_udf(counted, "bigint").asNondeterministic()  # type: ignore[call-overload]  # stubs want functionType
        unknown = F.when(F.col("known_tokens").isNull(), F.col("text"))
        count = F.coalesce("known_tokens", udf(unknown))
    rows = rows.withColumns({"n_tokens": count, "ingested_at": F.current_timestamp()})
    return rows.filter("n_tokens IS NOT NULL").sortWithinPartitions("source", "bucket")
