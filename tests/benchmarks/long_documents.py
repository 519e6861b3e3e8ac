"""Memory of a worker with very long documents: `python -m tests.benchmarks.long_documents`.

Twenty documents of 50 MB in one partition, read whole by `linear` and cut in SQL for an encoder,
as the step does it. The bar: at most 1.5 GB above the loaded model.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession, functions as F

from mira_spark.corpus import sampling
from mira_spark.lake.session import open_local
from mira_spark.scoring import batches as scoring, workers
from mira_spark.scoring.scorer import Scorer, load_student
from mira_spark.students import artefact, configs
from tests.benchmarks import shapes
from tests.benchmarks.linear_kernel import random_student
from tests.benchmarks.scoring import written

COUNT, BYTES = 20, 50_000_000
LINE = "def f(x):  # a line of forty-odd bytes, {}\n"
say = sys.stdout.write


def resident(what: str) -> int:
    """Bytes by this process' own status: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def watched(scorer: Scorer, said: Path) -> workers._Function:
    """`workers.score` that leaves in a file the memory with the model and at its highest."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        workers.place(1, None)
        student, _ = load_student(scorer)
        list(student.encode(pa.array(["a first text"])))
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
        before = resident("VmRSS")
        yield from workers.score(scorer, 900)(batches)
        said.write_text(f"{before} {resident('VmHWM')}")

    return run


def measured(spark: SparkSession, folder: Path, scorer: Scorer) -> None:
    """Score them as the step does, and say what the worker took."""
    config = artefact.read_config(Path(scorer.artefact_uri), scorer.artefact_sha256)
    text = sampling.pieces_column(F.make_valid_utf8("text"), configs.looked_at(config))
    rows = spark.read.format("delta").load(f"{folder}/documents").withColumn("text", text)
    said = folder / f"{config.kind}.said"
    scored = rows.select(*scoring.INPUT).mapInArrow(watched(scorer, said), scoring.OUTPUT_DDL)
    states = scored.groupBy("status").count().collect()
    before, highest = map(int, said.read_text().split())
    say(
        f"{config.kind}: {before / 1e9:.2f} GB with the model, at most "
        f"{(highest - before) / 1e9:.2f} GB above (bar 1.5); "
        f"{', '.join(f'{n} {status}' for status, n in states)}\n"
    )


def main() -> None:
    """A line for each student."""
    folder = Path(tempfile.mkdtemp())
    try:
        spark = open_local(folder / "session", cores=1, memory="6g")
        # All twenty read at once, a GB and more in one array, are mostly too much for 6 GB.
        spark.conf.set("spark.sql.parquet.columnarReaderBatchSize", "4")
        line = F.concat(F.lit(LINE.format("")), F.col("id"))
        spark.range(COUNT).coalesce(1).select(
            F.col("id").cast("string").alias("doc_id"), F.lit("web").alias("source"),
            F.lit("g").alias("source_group"), F.lit(0).cast("smallint").alias("bucket"),
            F.md5(F.col("id").cast("string")).cast("binary").alias("content_hash"),
            F.lit(BYTES // 4).cast("bigint").alias("n_tokens"),
            F.repeat(line, F.floor(F.lit(BYTES) / F.length(line)).cast("int")).alias("text"),
        ).write.format("delta").save(f"{folder}/documents")  # fmt: skip
        measured(spark, folder, written(folder / "linear", random_student(20)))
        student = shapes.student("small", [LINE] * 200)
        measured(spark, folder, written(folder / "encoder", student))
        spark.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
