"""Take new and changed documents in. Reads the configured input; writes `documents` and
`rejected_documents`."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pyspark.sql import Column, DataFrame, functions as F
from pyspark.sql.pandas.functions import pandas_udf

from mira_spark.corpus import documents as corpus, python_environment, repeated as doubled, tokens
from mira_spark.errors import ConfigError, InputError
from mira_spark.lake import own_folders
from mira_spark.lake.inputs import input_version, listing, read_input
from mira_spark.lake.runs import Outcome
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.corpus import OWN_COLUMNS, ColumnMapping, CorpusSettings
from mira_spark.settings.root import Settings

SETTINGS = ("corpus",)
WRITES = ("documents", "rejected_documents")
_KEYS = ("doc_id", "source", "content_hash", "n_bytes", "license", "sendable", "unclear",
        "described", "reason", "beginning", "file")  # fmt: skip
_NEW = ("doc_id", "content_hash", "source", "n_bytes", "sendable", "changed", "known_tokens")
EMPTY = "the corpus is empty: the input holds no document that could be taken in"
REJECTED = ("source", "doc_id", "reason", "n_bytes", "beginning", "file")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The input's fingerprint: files by name, size and time; a Delta table by its version."""
    chosen = settings.corpus
    kind = corpus.named_input(chosen)
    if kind == "python_environment":
        limits = _limits(chosen)
        files = python_environment.find_files(python_environment.this_environment(), limits)
        return {"files": python_environment.fingerprint(files, limits)}
    path = chosen.path or ""
    if kind == "table":
        return {path: input_version(lake.spark, path)}
    return {path: hashlib.sha256("\n".join(listing(lake.spark, path)).encode()).hexdigest()}


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """Always empty: whether the step has work to do follows from its settings and inputs alone."""
    return []


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """The order and partitioning of the input do not matter. One commit of what is new or changed;
    others only where a document was withdrawn, revoked without a text, or cannot be counted."""
    tokenizer = tokens.tokenizer(settings.corpus.tokenizer)
    _pin(lake, tokenizer)
    staging = own_folders.own_folder(settings.folder, "staging", "corpus")
    chosen, raw = _raw(lake, settings.corpus, staging)
    corpus.check_columns(chosen, raw.columns)
    mapped = corpus.in_our_columns(raw, chosen)
    with contextlib.ExitStack() as caches:
        keys = caches.enter_context(_persisted(mapped.select(*_KEYS)))
        repeated = corpus.repeated_ids(keys)
        if not repeated.isEmpty():
            mapped = corpus.without_repeats(mapped, repeated)
            keys = caches.enter_context(_persisted(corpus.without_repeats(keys, repeated)))
        good, bad = keys.filter("reason IS NULL"), keys.filter("reason IS NOT NULL")
        rejected = _reject(lake, bad, run_id)
        if good.isEmpty() and chosen.removed == "withdraw":
            raise InputError(EMPTY)
        added, changed, uncounted = _take_in(lake, mapped, good, chosen, tokenizer, run_id)
        _revoke(lake, bad)
        removed = _count_removed(lake, good, chosen.removed, run_id)
        unclear = keys.filter("unclear").count()
    if added or changed:
        doubled.check_repeated(lake)
    own_folders.remove(staging)
    held = lake.read("documents").count()
    if not held:
        raise InputError(EMPTY)
    rejected += uncounted
    message = f"{added:,} new and {changed:,} changed documents, {held:,} in all"
    if rejected:
        message += f"; {rejected:,} rejected, see rejected_documents"
    if unclear:
        message += f"; {unclear:,} not sendable: corpus.columns.sendable holds no boolean there"
    if removed:
        done = "withdrawn" if chosen.removed == "withdraw" else "kept (corpus.removed: keep)"
        message += f"; {removed:,} no longer in the input: {done}"
    return Outcome(message, rows_out=added + changed, rows_rejected=rejected)


@contextlib.contextmanager
def _persisted(rows: DataFrame) -> Iterator[DataFrame]:
    """`rows`, kept while in use and no longer: Spark takes two plans over one path for the same,
    whatever files came since, and would answer the next run from this one's cache."""
    kept = rows.persist()
    try:
        yield kept
    finally:
        kept.unpersist()


def _take_in(
    lake: Lakehouse,
    mapped: DataFrame,
    good: DataFrame,
    chosen: CorpusSettings,
    tokenizer: tokens.Tokenizer,
    run_id: str,
) -> tuple[int, int, int]:
    """Write what is new or changed; how many of each, and how many were rejected because their
    tokens cannot be counted. Texts are joined only if some are known."""
    documents = lake.read("documents")
    accepted = mapped.filter("reason IS NULL")
    is_first = documents.isEmpty()
    unknown = {"changed": F.lit(False), "known_tokens": F.lit(None).cast("bigint")}
    new = good if is_first else corpus.new_or_changed(good, documents, chosen.columns)
    new = (new.withColumns(unknown) if is_first else new).select(*_NEW)
    with _persisted(new) as new:
        counts = _by_change(new)
        if is_first:
            accepted = accepted.withColumns(unknown)
        else:
            accepted = accepted.join(new.select("doc_id", "known_tokens"), on="doc_id")
        if counts[True]:
            changes = _changes(chosen.columns)
            lake.upsert(
                _with_token_counts(accepted, tokenizer), "documents", "doc_id", changes=changes
            )
        elif counts[False]:
            lake.append(_with_token_counts(accepted, tokenizer), "documents", run_id)
        if tokenizer.definition is None:
            return counts[False], counts[True], 0
        there = lake.read("documents").select("doc_id", "content_hash")
        missed = new.join(there, on=["doc_id", "content_hash"], how="left_anti")
        with _persisted(missed) as missed:
            counts -= _by_change(missed)
            uncounted = _reject(lake, _because("uncountable", missed), run_id)
            _revoke(lake, missed)
    return counts[False], counts[True], uncounted


def _by_change(new: DataFrame) -> Counter[bool]:
    return Counter({r["changed"]: r["count"] for r in new.groupBy("changed").count().collect()})


def _changes(columns: ColumnMapping) -> dict[str, Column]:
    """What a known document takes over: all that the input has."""
    names = TABLES["documents"].columns.names
    return {name: F.col(f"new.{name}") for name in names if name not in columns.not_given}


def _revoke(lake: Lakehouse, bad: DataFrame) -> None:
    """A row that cannot come in still says that its document may not be sent."""
    rows = corpus.revoked(bad, lake.read("documents"))
    if not rows.isEmpty():
        lake.upsert(rows, "documents", "doc_id", changes={"sendable": F.lit(False)})


def _count_removed(lake: Lakehouse, good: DataFrame, removed: str, run_id: str) -> int:
    """How many documents the input no longer holds; withdrawn if so chosen."""
    missing = lake.read("documents").join(good, on="doc_id", how="left_anti")
    with _persisted(missing.select("doc_id", "source", "n_bytes")) as missing:
        count = missing.count()
        if count and removed == "withdraw":
            _reject(lake, _because("withdrawn", missing), run_id)
            lake.remove(missing, "documents", "doc_id")
    return count


def _limits(settings: CorpusSettings) -> python_environment.CorpusLimits:
    return python_environment.CorpusLimits(
        settings.max_documents_per_source, settings.max_bytes_per_source
    )


def _raw(
    lake: Lakehouse, settings: CorpusSettings, staging: Path
) -> tuple[CorpusSettings, DataFrame]:
    """The input's rows and how their columns map; the local environment is laid in `staging`."""
    kind = corpus.named_input(settings)
    if kind != "python_environment":
        return settings, read_input(lake.spark, kind, settings.path or "")
    limits = _limits(settings)
    files = python_environment.find_files(python_environment.this_environment(), limits)
    own_folders.remove(staging)
    python_environment.stage(files, limits, staging)
    own = settings.model_copy(update={"columns": OWN_COLUMNS, "source": None})
    return own, read_input(lake.spark, "parquet", staging.as_uri())


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
    empty = F.lit(None).cast("string")
    return rows.withColumns({"reason": F.lit(reason), "beginning": empty, "file": empty})


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
