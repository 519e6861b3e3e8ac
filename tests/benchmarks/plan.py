"""What supports the figures of `mira plan` for 10^10 documents of 50 sources, 10^13 tokens in 40
TB: `python -m tests.benchmarks.plan`.

Measured: how units are cut of unlike sources, a selection's choice from a full histogram, rows of
the tables and the Delta log as our own code writes them, a linear student's training. What is
multiplied up from that is called an extrapolation. One core for Spark, some minutes.
"""

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.distillation import training
from mira_spark.distillation.shards import Labelled
from mira_spark.judges.protocol import Anchor
from mira_spark.lake.columns import BUCKETS
from mira_spark.lake.creation import create_tables
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.lake.session import open_local
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics.rubric import Rubric
from mira_spark.scoring import sizes
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.units import Bucket, Tally, Unit, cut_units
from mira_spark.selection.allocation import Policy, boundaries, cuts, walks
from mira_spark.selection.histogram import MOST_ROWS_OF_SOURCE, bins_from_rows
from mira_spark.settings.scoring import ScoringSettings
from mira_spark.settings.students import DistillationSettings
from mira_spark.students import calibration
from tests.benchmarks.linear_kernel import library_texts
from tests.staging import staged

CORPUS = CorpusSize(10**10, 10**13, 40 * 10**12, 50)
UNIT_TOKENS = ScoringSettings().unit_tokens
NAMES = [f"source {i}" for i in range(CORPUS.sources)]
GROUPS = {name: f"group {i % 5}" for i, name in enumerate(NAMES)}
SPREAD = float(np.sqrt(np.exp(1.5**2) - 1))
"""Standard deviation of a document's tokens by their mean: lognormal, sigma 1.5."""
SLOTS, FILE_ROWS, COMMITS, COMMIT_FILES = 15, 33_000, 11, 8


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tallies(exponent: float) -> dict[Bucket, Tally]:
    """Of 50 sources whose sizes fall by their rank to the power of `exponent`; in every bucket so
    many documents, and of such lengths, as a hash would put there."""
    random = np.random.default_rng(0)
    parts = np.arange(1, CORPUS.sources + 1) ** -exponent
    found: dict[Bucket, Tally] = {}
    for name, share in zip(NAMES, parts / parts.sum(), strict=True):
        documents = random.poisson(CORPUS.documents * share / BUCKETS, BUCKETS)
        noise = random.normal(0, SPREAD * np.sqrt(documents))
        tokens = (documents + noise).clip(1) * CORPUS.tokens_per_document
        columns = zip(documents.tolist(), tokens.astype(int).tolist(), strict=True)
        found |= {(name, b): Tally(*counts) for b, counts in enumerate(columns)}
    return found


def units(exponent: float, what: str) -> list[Unit]:
    """As scoring cuts them."""
    there = tallies(exponent)
    started = time.process_time()
    scorers = dict.fromkeys(GROUPS.values(), Scorer("", "", ""))
    cut = cut_units(there, {}, GROUPS, scorers, UNIT_TOKENS)
    seconds = time.process_time() - started
    tokens = np.array([unit.tokens for unit in cut]) / 1e9
    low, middle, high = np.percentile(tokens, [10, 50, 90])
    say(
        f"units, {what}: {len(cut):,} commits, {low:.2f}, {middle:.2f} and {high:.2f} billion "
        f"tokens at the 10th, 50th and 90th percentile, {tokens.min():.3f} to {tokens.max():.2f}; "
        f"cut in {seconds:.1f} s"
    )
    return cut


def selection() -> pa.Table:
    """Seconds from a full histogram to the cuts; the histogram."""
    rows = histogram()
    started = time.process_time()
    bins = bins_from_rows(rows)
    read = time.process_time() - started
    for policy in (
        Policy("group"), Policy("global"), Policy("source"),
        Policy("global", floors=dict.fromkeys(NAMES, "0.1%"), caps=dict.fromkeys(NAMES, "10%")),
    ):  # fmt: skip
        started = time.process_time()
        found = walks(policy, bins.tokens * 2 // 5, GROUPS, bins.levels)
        cut = cuts(found, boundaries(found, bins.levels))
        seconds = time.process_time() - started
        assert len(cut) == CORPUS.sources
        limited = " with floors and caps" * bool(policy.caps)
        say(
            f"selection, {policy.pools}{limited}: {rows.num_rows:,} rows of score_histogram read "
            f"in {read:.1f} s, 50 cuts in {seconds:.1f} s"
        )
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(f"selection: {held:.2f} GB at most, the rows included")
    return rows


def histogram() -> pa.Table:
    """As `score_histogram` has it where every quality of every source is taken and as many
    documents as can be are large."""
    random = np.random.default_rng(1)
    most = MOST_ROWS_OF_SOURCE
    quality = np.concatenate([np.arange(FULL_SCALE + 1), random.integers(0, FULL_SCALE + 1, most)])
    quality = quality[:most]
    n = len(NAMES) * most
    large = np.tile(np.arange(most) > FULL_SCALE, len(NAMES))
    documents = np.where(large, 1, random.integers(1, 40_000, n))
    tokens = np.where(large, 10**8 + random.integers(0, 10**8, n), documents * 1_000)
    groups = [GROUPS[name] for name in NAMES]
    return pa.table({
        "scores_version": pa.repeat(5_150, n),
        "documents_version": pa.repeat(1, n),
        "candidates": pa.repeat("0123456789abcdef" * 4, n),
        "student_id": pa.array([f"mira_{g}/1-0f4c1d2e3a4b" for g in groups]).take(_each(most)),
        "source_group": pa.array(groups).take(_each(most)),
        "source": pa.array(NAMES).take(_each(most)),
        "quality": pa.array(np.tile(quality, len(NAMES)), pa.int16()),
        "set_aside": pa.nulls(n, pa.string()),
        "document_tokens": pa.array(tokens, mask=~large),
        "documents": documents,
        "tokens": tokens,
    })  # fmt: skip


def _each(times: int) -> pa.Array:
    return pa.array(np.repeat(np.arange(len(NAMES)), times))


def scores(n: int, unit: int) -> pa.Table:
    """Rows of one unit of `scores`, with scores through isotonic curves, as students give them."""
    random = np.random.default_rng(unit)
    latent = random.normal(5, 1.5, (n, 1)) + random.normal(0, 1, (n, SLOTS))
    raw = calibration.quantised(latent.astype(np.float32))
    judged = (latent[:2_000] + random.normal(0, 1, (min(n, 2_000), SLOTS))).round().clip(0, 10)
    curves = calibration.fit(latent[:2_000].astype(np.float32), judged)
    rated = calibration.apply(curves, raw.astype(np.float32) / np.float32(1000))
    texts = {"source": NAMES[0], "source_group": "group_a", "status": "scored",
             "student_id": "mira_group_a/1-0f4c1d2e3a4b", "unit_id": f"{unit:024x}",
             "run_id": "20261129t120000"}  # fmt: skip
    tokens = 1_000 * random.lognormal(-(1.5**2) / 2, 1.5, n)
    return pa.table({
        "doc_id": [random.bytes(16).hex() for _ in range(n)],
        "content_hash": [random.bytes(16) for _ in range(n)],
        "bucket": pa.array(np.sort(random.integers(0, 10, n)), pa.int16()),
        "n_tokens": tokens.clip(1).astype(np.int64),
        "raw_scores": _lists(raw), "dimension_scores": _lists(rated),
        "quality": pa.array(rated.mean(axis=1).round(), pa.int16()),
        "reason": pa.nulls(n, pa.string()), "documents_version": pa.repeat(1, n),
        "scored_at": pa.repeat(pa.scalar(0, pa.timestamp("us", "UTC")), n),
        **{name: pa.repeat(text, n) for name, text in texts.items()},
    })  # fmt: skip


def _lists(values: np.ndarray) -> pa.Array:
    rows = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.int16()), SLOTS)
    return rows.cast(pa.list_(pa.int16()))


class Log(NamedTuple):
    """A table's data files, all together: bytes and rows; bytes of each commit in the log but the
    first, and of the last checkpoint for each data file that it names."""

    bytes: int
    rows: int
    commits: list[int]
    checkpoint: float


def written(lake: Lakehouse, table: str) -> Log:
    location = lake.spark.sql(f"DESCRIBE DETAIL {lake.name(table)}").collect()[0]["location"]
    folder = Path(location.removeprefix("file:")) / "_delta_log"
    commits = sorted(folder.glob("*[0-9].json"))
    adds, at_commit = [], {}
    for path in commits:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        adds += [line["add"] for line in lines if "add" in line]
        at_commit[path.stem] = len(adds)
    rows = sum(json.loads(add["stats"])["numRecords"] for add in adds)
    size, files = 0, 1
    for path in sorted(folder.glob("*.checkpoint*.parquet"))[-1:]:
        size, files = path.stat().st_size, at_commit[path.name[:20]]
    sizes_of_commits = [path.stat().st_size for path in commits[1:]]
    return Log(sum(add["size"] for add in adds), rows, sizes_of_commits, size / files)


def tables(folder: Path, rows: pa.Table, cut: list[Unit]) -> None:
    """Bytes of a row as Spark writes them, and of the log of so many commits."""
    spark = open_local(folder / "session", cores=1)
    lake = Lakehouse(spark, "default")
    create_tables(lake, ["scores", "score_histogram", "selected_documents"])
    scored = scores(FILE_ROWS * 4, 0)
    lake.append(spark.createDataFrame(scored).repartition(4), "scores", "r", ("unit", 1))
    listed = scored.drop_columns(["raw_scores"]).append_column(
        "selection_id", pa.repeat("0123456789abcdef", len(scored))
    )
    listed = listed.append_column("text", pa.nulls(len(scored), pa.string()))
    listed = listed.append_column("messages", pa.nulls(len(scored), pa.string()))
    lake.append(spark.createDataFrame(listed).repartition(4), "selected_documents", "r")
    lake.append(spark.createDataFrame(rows).repartition(1), "score_histogram", "r")
    for table in ("scores", "selected_documents", "score_histogram"):
        log = written(lake, table)
        say(f"rows: {log.bytes / log.rows:.1f} bytes a row of {table}, of {log.rows:,} rows")
    seconds = []
    for unit in range(1, COMMITS):
        few = spark.createDataFrame(scores(COMMIT_FILES * 100, unit)).repartition(COMMIT_FILES)
        started = time.perf_counter()
        lake.append(few, "scores", "r", (f"unit {unit}", 1))
        seconds.append(time.perf_counter() - started)
    spark_log(written(lake, "scores"), np.median(seconds), cut)
    spark.stop()


def spark_log(log: Log, seconds: float, cut: list[Unit]) -> None:
    """What the log of all units' commits would take."""
    commit = float(np.median(log.commits[1:])) / COMMIT_FILES
    say(
        f"log: {commit:,.0f} bytes a data file in a commit of {COMMIT_FILES}, "
        f"{log.checkpoint:,.0f} in a checkpoint; a commit of few rows {seconds:.1f} s by the clock"
    )
    tasks = sizes.most_tasks(CORPUS.tokens, len(cut), CORPUS.bytes_per_token) // 2
    files = len(cut) * tasks
    say(
        f"log, an extrapolation: {len(cut):,} commits of {tasks} data files at most are {files:,} "
        f"files of {CORPUS.documents // files:,} rows, {files * commit / 1e6:,.0f} MB of commits "
        f"and {files * log.checkpoint / 1e6:,.0f} MB of a checkpoint"
    )


def linear_training(folder: Path) -> None:
    """How many bytes of labelled text more a linear student learns from in a second of a processor
    more, with the students of its folds and of the learning curve: what a training takes whatever
    its labels, and what Python compiles in the first, is in no rate."""
    texts = [text.decode(errors="replace")[:20_000] for text in library_texts().to_pylist()]
    mixed = [texts[i] for i in np.random.default_rng(2).permutation(len(texts))]
    distilled(folder, mixed[:50])
    (few, fast), (many, slow) = (
        distilled(folder, mixed[:n]) for n in (len(texts) // 4, len(texts) // 2)
    )
    say(
        f"training, linear: {few:.1f} MB of labelled texts in {fast:.0f} s of a processor, "
        f"{many:.1f} in {slow:.0f} s: {(many - few) / (slow - fast):.2f} MB/s more"
    )


def distilled(folder: Path, texts: list[str]) -> tuple[float, float]:
    """Megabytes of the texts, and seconds of a processor to distil a linear student from them."""
    anchors = tuple(Anchor(slot, f"dimension {slot}", "") for slot in range(SLOTS))
    labels = np.random.default_rng(3).integers(0, 11, (len(texts), SLOTS)).tolist()
    rows = [(f"d{i}", "s", text, labels[i], i % 5) for i, text in enumerate(texts)]
    shards = staged(folder / f"shards_{len(texts)}", rows, 500)
    started = time.process_time()
    training.distill(
        Labelled(shards), Rubric("", "g", anchors), DistillationSettings(), folder / "none"
    )
    return sum(len(text.encode()) for text in texts) / 1e6, time.process_time() - started


def main() -> None:
    """Print every figure."""
    units(0.0, "50 sources alike")
    cut = units(1.0, "50 sources, sizes as one over the rank")
    units(2.0, "50 sources, sizes as one over the rank squared")
    rows = selection()
    folder = Path(tempfile.mkdtemp())
    try:
        linear_training(folder)
        tables(folder, rows, cut)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
