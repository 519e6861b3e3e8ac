"""What scoring and distilling take, and what tables grow by: plain arithmetic, nothing is read."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.corpus.excerpts import CHARACTERS_PER_TOKEN
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.unit_jobs import UNITS_AT_ONCE
from mira_spark.scoring.units import Tally, Unit, cut_units
from mira_spark.settings.students import DistillationSettings, StudentKind
from mira_spark.students.rates import Rate

TASK_BYTES = 128 * 2**20
"""Of its files a task of Spark reads at most (`spark.sql.files.maxPartitionBytes`)."""
ROW_BYTES = {"scores": 108.6, "score_histogram": 10.1, "selected_documents": 56.5}
"""Of a row in Parquet: `python -m tests.benchmarks.plan`."""
ROWS_MEASURED_ON = "2026-11-29"


class ScoringSize(NamedTuple):
    """What is still to be scored by students of one kind; `tokens` are those they read, at most:
    all that are longer are taken for as long as is read of one."""

    kind: StudentKind
    documents: int
    tokens: int


class TrainingSize(NamedTuple):
    """What a group's student would learn from: labels, spoilt copies among them, and the tokens
    that it would read of them over all epochs, at most."""

    source_group: str
    kind: StudentKind
    labels: int
    tokens: int


class TableSize(NamedTuple):
    """What a table grows by: rows, and bytes in Parquet."""

    table: str
    rows: int
    bytes: float


def most_tokens(kind: StudentKind, settings: DistillationSettings) -> int | None:
    """Tokens that a student reads of one document, at most; None when it reads all."""
    match kind:
        case "linear":
            return None
        case "encoder":
            return settings.encoder.max_tokens
        case "generative":
            return settings.generative.max_tokens
        case "served":
            return settings.served.max_characters // CHARACTERS_PER_TOKEN


def read_tokens(documents: int, tokens: int, most: int | None) -> int:
    """Tokens read of so many documents that have `tokens` together, of each `most` at most."""
    return tokens if most is None else min(tokens, documents * most)


def scoring_size(
    kind: StudentKind, units: Iterable[Unit], settings: DistillationSettings
) -> ScoringSize:
    """What these units, all of students of one kind, have left to score."""
    most = most_tokens(kind, settings)
    left = [(unit.documents, unit.tokens) for unit in units]
    read = sum(read_tokens(documents, tokens, most) for documents, tokens in left)
    return ScoringSize(kind, sum(documents for documents, _ in left), read)


def alike_units(corpus: CorpusSize, unit_tokens: int, buckets: int) -> list[Unit]:
    """The units of the corpus, where all its sources and all of their `buckets` are alike, all
    sources are in one group, and nothing is scored."""
    documents, tokens = corpus.documents // corpus.sources, corpus.tokens // corpus.sources
    shares = [
        Tally(
            documents * (bucket + 1) // buckets - documents * bucket // buckets,
            tokens * (bucket + 1) // buckets - tokens * bucket // buckets,
        )
        for bucket in range(buckets)
    ]
    sources = [str(number) for number in range(corpus.sources)]
    there = {
        (source, bucket): share
        for source in sources
        for bucket, share in enumerate(shares)
        if share.documents
    }
    student = {"": Scorer("", "", "")}
    return cut_units(there, {}, dict.fromkeys(sources, ""), student, unit_tokens)


def training_size(
    source_group: str, labels: int, spoilt_share: float, mean_tokens: float,
    settings: DistillationSettings,
) -> TrainingSize:  # fmt: skip
    """For labels of documents that have `mean_tokens` each. `linear` and frozen encoders read each
    once, the others once an epoch; of a served student nothing is trained."""
    rows = round(labels * (1 + spoilt_share))
    kind, most = settings.kind, most_tokens(settings.kind, settings)
    epochs = {"encoder": settings.encoder.epochs, "generative": settings.generative.epochs}
    passes = 1 if kind == "encoder" and settings.encoder.frozen else epochs.get(kind, 1)
    tokens = read_tokens(rows, round(rows * mean_tokens), most) * passes
    return TrainingSize(source_group, kind, rows, 0 if kind == "served" else tokens)


def device_hours(tokens: int, rate: Rate, bytes_per_token: float) -> float:
    """That one device takes for so many tokens."""
    return tokens / rate.tokens_per_second(bytes_per_token) / 3600


def executors(hours: float, within_hours: float, devices_per_executor: int) -> int:
    """That are done with so many device-hours in so many hours."""
    return math.ceil(hours / within_hours / devices_per_executor)


def most_tasks(tokens: int, units: int, bytes_per_token: float) -> int:
    """Tasks that are at work at once, at most, where so many units have `tokens` together: two
    units are under way, and a task reads TASK_BYTES of a file, which may be compressed."""
    unit_bytes = tokens * bytes_per_token / max(1, units)
    return min(UNITS_AT_ONCE, units) * max(1, math.ceil(unit_bytes / TASK_BYTES))


def table_sizes(
    scored: int, histogram_rows: int, listed: int, listed_text_bytes: float
) -> list[TableSize]:
    """What tables grow by when so many documents are scored and a selection is made of them whose
    histogram has `histogram_rows` at most; `listed` are the documents of it that are kept as a
    list, with so many bytes of text."""
    rows = {
        "scores": scored,
        "score_histogram": min(scored, histogram_rows),
        "selected_documents": listed,
    }
    texts = {"selected_documents": listed_text_bytes}
    return [
        TableSize(table, n, n * ROW_BYTES[table] + texts.get(table, 0)) for table, n in rows.items()
    ]
