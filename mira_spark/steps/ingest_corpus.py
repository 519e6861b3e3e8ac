"""Take new and changed documents in. Reads the configured input; writes `documents` and
`rejected_documents`."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from mira_spark import corpus, corpus_python, doubled, own_folders, tokens
from mira_spark.corpus import CorpusSettings
from mira_spark.errors import ConfigError, InputError
from mira_spark.inputs import input_version, listing, read_input
from mira_spark.runs import Outcome
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

SETTINGS = ("corpus",)
WRITES = ("documents", "rejected_documents")
KEYS = ("doc_id", "source", "content_hash", "n_bytes", "reason", "beginning")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The input's fingerprint: files by name, size and time; a Delta table by its version."""
    chosen = settings.corpus
    kind = corpus.named_input(chosen)
    if kind == "python_environment":
        limits = _limits(chosen)
        files = corpus_python.find_files(corpus_python.this_environment(), limits)
        return {"files": corpus_python.fingerprint(files, limits)}
    path = chosen.path or ""
    if kind == "table":
        return {path: input_version(lake.spark, path)}
    return {path: hashlib.sha256("\n".join(listing(lake.spark, path)).encode()).hexdigest()}


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """At most one commit to each table; the order and partitioning of the input do not matter."""
    tokenizer = tokens.tokenizer(settings.corpus.tokenizer)
    _pin(lake, tokenizer)
    staging = own_folders.own_folder(settings.folder, "staging", "corpus")
    chosen, raw = _raw(lake, settings.corpus, staging)
    corpus.missing_columns(chosen, raw.columns)
    mapped = corpus.mapped(raw, chosen)
    with contextlib.ExitStack() as kept:
        keys = kept.enter_context(_held(mapped.select(*KEYS)))
        repeated = corpus.repeated_ids(keys)
        if not repeated.isEmpty():
            mapped = corpus.without_repeats(mapped, repeated)
            keys = kept.enter_context(_held(corpus.without_repeats(keys, repeated)))
        rejected = _reject(lake, keys, run_id)
        added, changed = _take_in(lake, mapped, keys, tokenizer, run_id)
    if added or changed:
        doubled.check(lake)
    own_folders.remove(staging)
    held = lake.read("documents").count()
    if not held:
        raise InputError("the corpus is empty: the input holds no document that could be taken in")
    message = f"{added:,} new and {changed:,} changed documents, {held:,} in all"
    if rejected:
        message += f"; {rejected:,} rejected, see rejected_documents"
    return Outcome(message, rows_out=added + changed, rows_rejected=rejected)


@contextlib.contextmanager
def _held(rows: DataFrame) -> Iterator[DataFrame]:
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
    keys: DataFrame,
    tokenizer: tokens.Tokenizer,
    run_id: str,
) -> tuple[int, int]:
    """Write what is new or changed; how many of each. Texts are joined only if some are known."""
    documents = lake.read("documents")
    accepted = mapped.filter(F.col("reason").isNull())
    good = keys.filter(F.col("reason").isNull())
    if documents.isEmpty():
        added, changed = good.count(), 0
    else:
        new = corpus.new_or_changed(good, documents)
        counts = {r["changed"]: r["count"] for r in new.groupBy("changed").count().collect()}
        added, changed = counts.get(False, 0), counts.get(True, 0)
        accepted = accepted.join(new, on="doc_id", how="left_semi")
    if changed:
        lake.upsert(_finished(accepted, tokenizer), "documents", "doc_id")
    elif added:
        lake.append(_finished(accepted, tokenizer), "documents", run_id)
    return added, changed


def _limits(settings: CorpusSettings) -> corpus_python.Limits:
    return corpus_python.Limits(settings.max_documents_per_source, settings.max_bytes_per_source)


def _raw(
    lake: Lakehouse, settings: CorpusSettings, staging: Path
) -> tuple[CorpusSettings, DataFrame]:
    """The input's rows and how their columns map; the local environment is laid in `staging`."""
    kind = corpus.named_input(settings)
    if kind != "python_environment":
        return settings, read_input(lake.spark, kind, settings.path or "")
    limits = _limits(settings)
    files = corpus_python.find_files(corpus_python.this_environment(), limits)
    own_folders.remove(staging)
    corpus_python.stage(files, limits, staging)
    own = settings.model_copy(update={"columns": corpus.OWN_COLUMNS, "source": None})
    return own, read_input(lake.spark, "parquet", staging.as_uri())


def _pin(lake: Lakehouse, tokenizer: tokens.Tokenizer) -> None:
    """Write the tokenizer into the table's properties; refuse another one for the same table.

    The keys avoid the word token: Spark shows values of such keys redacted.
    """
    found = lake.properties("documents").get("mira.counted_by.sha256")
    if found is None:
        lake.set_properties(
            "documents",
            {"mira.counted_by": tokenizer.name, "mira.counted_by.sha256": tokenizer.digest},
        )
    elif found != tokenizer.digest:
        name = lake.properties("documents").get("mira.counted_by")
        raise ConfigError(
            f"corpus.tokenizer: {lake.name('documents')} was counted with {name} ({found:.12}), "
            f"this is {tokenizer.name} ({tokenizer.digest:.12}): set it back, or use another "
            "namespace"
        )


def _reject(lake: Lakehouse, keys: DataFrame, run_id: str) -> int:
    """Write the rejections that are not there from an earlier run; how many the input has."""
    rejected = keys.filter(F.col("reason").isNotNull()).drop("content_hash")
    count = rejected.count()
    if count:
        have = lake.read("rejected_documents").drop("run_id").select(*rejected.columns)
        new = rejected.exceptAll(have)
        if not new.isEmpty():
            lake.append(new.withColumn("run_id", F.lit(run_id)), "rejected_documents", run_id)
    return count


def _finished(new: DataFrame, tokenizer: tokens.Tokenizer) -> DataFrame:
    """With tokens counted and in the order (source, bucket), so that files can be skipped."""
    if tokenizer.definition is None:
        count = F.expr("(n_bytes + 3) div 4")
    else:

        def counted(texts: Iterator[pd.Series]) -> Iterator[pd.Series]:
            for text in texts:
                yield pd.Series(tokenizer.count(text.tolist()), dtype="int64")

        udf = pandas_udf(counted, "bigint")  # type: ignore[call-overload]  # stubs want functionType
        count = udf(F.col("text"))
    rows = new.withColumns({"n_tokens": count, "ingested_at": F.current_timestamp()})
    return rows.repartitionByRange("source", "bucket").sortWithinPartitions("source", "bucket")
