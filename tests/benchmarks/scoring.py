"""Speed of scoring from Delta to Delta: `python -m tests.benchmarks.scoring [--quick]`.

One core. `linear` over the standard library's files, repeated; a two-layer encoder over the same
plan and, in turns with it, in a bare Python loop over the same engine; padding; growth in the
number of documents.
"""

import contextlib
import io
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark.lake.session import open_local
from mira_spark.scoring import batches as scoring, workers
from mira_spark.scoring.engine import Engine
from mira_spark.scoring.scorer import Scorer, load_student
from mira_spark.students import artefact
from mira_spark.students.artefact import Manifest
from mira_spark.students.calibration import IDENTITY
from mira_spark.students.encoder import _BATCH_TOKENS
from tests.benchmarks import shapes
from tests.benchmarks.linear_kernel import library_texts, random_student
from tests.quality_tables import a_table

ROUNDS = 5
COPIES = 12
ENCODED = 1_500
say = sys.stdout.write


def texts_of_files() -> pa.Array:
    """The standard library's files, as valid text."""
    found = library_texts().to_pylist()
    return pa.array([text.decode(errors="replace") for text in found], pa.large_string())


def written(folder: Path, student: Any) -> Scorer:
    """The student as an artefact."""
    slots = student.slots
    manifest = Manifest(
        rubric_id="r",
        source_group="g",
        anchors=tuple(f"slot {i}" for i in range(slots)),
        calibration=(IDENTITY,) * slots,
        quality=a_table((True,) * slots),
        labels_version=0,
        package_version="0",
    )
    return Scorer("bench/1", str(folder), artefact.write(folder, student, manifest))


def documents(spark: SparkSession, texts: pa.Array, copies: int, path: str) -> DataFrame:
    """A Delta table of the texts, `copies` times, as `documents` has them."""
    rows = pa.table({"text": texts.cast(pa.large_string()), "i": range(len(texts))})
    frame = spark.createDataFrame(rows)
    frame = frame.crossJoin(spark.range(copies).withColumnRenamed("id", "copy"))
    frame = frame.select(
        F.concat_ws(":", "i", "copy").alias("doc_id"),
        F.lit("web").alias("source"),
        F.lit("g").alias("source_group"),
        F.lit(0).cast("smallint").alias("bucket"),
        F.md5("text").cast("binary").alias("content_hash"),
        F.length("text").cast("bigint").alias("n_tokens"),
        "text",
    )
    frame.repartition(4).write.format("delta").save(path)
    return spark.read.format("delta").load(path)


def through_spark(rows: DataFrame, scorer: Scorer, path: str) -> float:
    """Seconds from Delta to Delta; appended, as the step does."""
    started = time.perf_counter()
    scored = rows.select(*scoring.INPUT).mapInArrow(noted(scorer), scoring.OUTPUT_DDL)
    scored.write.format("delta").mode("append").save(path)
    return time.perf_counter() - started


def noted(scorer: Scorer) -> workers._Function:
    """`workers.score`, which leaves in the artefact's `.loads` how often a worker loaded it."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        before = load_student.cache_info().misses
        yield from workers.score(scorer, 900)(batches)
        loads = load_student.cache_info().misses - before
        with Path(f"{scorer.artefact_uri}.loads").open("a") as file:
            file.write(f"{os.getpid()} {loads}\n")

    return run


def loads(scorer: Scorer) -> str:
    """What `noted` left, in words."""
    lines = Path(f"{scorer.artefact_uri}.loads").read_text().splitlines()
    seen = [line.split() for line in lines]
    count, processes = sum(int(n) for _, n in seen), len({process for process, _ in seen})
    return f"{len(seen)} tasks, {processes} Python workers, {count} loads of the model"


def bare(batches: list[pa.RecordBatch], scorer: Scorer) -> float:
    """Seconds of the same engine in a loop over the same batches, results kept."""
    started = time.perf_counter()
    kept = list(scoring.score(scorer, 900)(iter(batches)))
    assert kept
    return time.perf_counter() - started


def linear(spark: SparkSession, folder: Path, rounds: int) -> None:
    """`linear` over about 400 MB."""
    texts = texts_of_files()
    rows = documents(spark, texts, COPIES, f"{folder}/many")
    megabytes = COPIES * sum(len(t.as_buffer()) for t in texts) / 1e6
    scorer = written(folder / "linear", random_student(20))
    seconds = [through_spark(rows, scorer, f"{folder}/out") for _ in range(rounds + 1)][1:]
    rates = [megabytes / s for s in seconds]
    say(
        f"linear, Delta to Delta: {megabytes:.0f} MB, median {statistics.median(rates):.0f} MB/s "
        f"on one core (bar 40), {', '.join(f'{rate:.0f}' for rate in rates)}; {loads(scorer)}\n"
    )


def encoder(spark: SparkSession, folder: Path, rounds: int) -> None:
    """A small encoder over some of the files."""
    texts = texts_of_files().slice(0, ENCODED)
    student = shapes.student("small", texts.slice(0, 200).to_pylist())
    against_bare(spark, folder, student, texts, rounds)
    _padding(student, texts)


def against_bare(
    spark: SparkSession, folder: Path, student: Any, texts: pa.Array, rounds: int
) -> None:
    """The student through Spark and bare, in turns; and what Spark takes for one document."""
    scorer, out = written(folder / "encoder", student), f"{folder}/out_encoder"
    some, few, one = (
        documents(spark, texts.slice(0, count), 1, f"{folder}/first_{count}").coalesce(1)
        for count in (len(texts), len(texts) // 10, 1)
    )
    table = some.select(*scoring.INPUT).toArrow()
    batches = table.combine_chunks().to_batches(max_chunksize=10_000)
    through_spark(few, scorer, out)  # the worker starts and loads
    bare([batches[0].slice(0, len(texts) // 10)], scorer)
    pairs = [(through_spark(some, scorer, out), bare(batches, scorer)) for _ in range(rounds)]
    over = [a / b - 1 for a, b in pairs]
    fixed = statistics.median(through_spark(one, scorer, out) for _ in range(rounds))
    say(
        f"encoder: through Spark {statistics.median(a for a, _ in pairs):.2f} s, bare "
        f"{statistics.median(b for _, b in pairs):.2f} s, more by "
        f"{statistics.median(over):.1%} (bar 10 %), {', '.join(f'{o:.1%}' for o in over)}; "
        f"one document {fixed:.2f} s; {loads(scorer)}\n"
    )


def _padding(student: Any, texts: pa.Array) -> None:
    engine_ = Engine(student)
    made = engine_.encoded(texts_of_files())
    padded = sum(b.inputs["ids"].size for b in made.batches)
    tokens = sum(int(b.inputs["lengths"].sum()) for b in made.batches)
    say(
        f"padding: {1 - tokens / padded:.2%} of {padded / 1e6:.1f} M tokens in {len(made.batches)} "
        f"batches of {_BATCH_TOKENS['cpu']:,} (bar 3 %)\n"
    )


def growth(spark: SparkSession, folder: Path, largest: int) -> None:
    """Short documents, ten times as many each time: the time of one must not grow."""
    scorer = written(folder / "short", random_student(18))
    short = F.concat_ws(" ", F.lit("a short document about"), F.col("id"), F.col("id") % 97)
    count = 10_000
    while count <= largest:
        path = f"{folder}/short_{count}"
        spark.range(count).select(
            F.col("id").cast("string").alias("doc_id"), F.lit("web").alias("source"),
            F.lit("g").alias("source_group"), F.lit(0).cast("smallint").alias("bucket"),
            F.md5(F.col("id").cast("string")).cast("binary").alias("content_hash"),
            F.lit(9).cast("bigint").alias("n_tokens"), short.alias("text"),
        ).write.format("delta").save(path)  # fmt: skip
        rows = spark.read.format("delta").load(path)
        through_spark(rows, scorer, f"{folder}/short_out")
        seconds = through_spark(rows, scorer, f"{folder}/short_out")
        say(
            f"growth: {count:>9,} documents, {seconds:.2f} s, {seconds / count * 1e6:.1f} us each\n"
        )
        count *= 10
    plan = rows.select(*scoring.INPUT).mapInArrow(workers.score(scorer, 900), scoring.OUTPUT_DDL)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        plan.explain()
    text = told.getvalue()
    say(f"plan: {text.count('MapInArrow')} MapInArrow, {text.count('Exchange')} exchanges\n")


def main(arguments: list[str]) -> None:
    """Print every figure."""
    folder = Path(tempfile.mkdtemp())
    workers.place(1, None)  # a task of Spark has one core here: so has the bare loop
    torch.set_num_threads(1)
    quick = "--quick" in arguments
    try:
        started = time.perf_counter()
        spark = open_local(folder / "session", cores=1)
        say(f"session: started in {time.perf_counter() - started:.1f} s, in no figure below\n")
        rounds = 1 if quick else ROUNDS
        linear(spark, folder, rounds)
        encoder(spark, folder, rounds)
        growth(spark, folder, 100_000 if quick else 1_000_000)
        spark.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
