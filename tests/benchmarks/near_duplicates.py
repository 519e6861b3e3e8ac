"""Near-duplicates: `python -m tests.benchmarks.near_duplicates [--datatrove PYTHON] [--quick]`.

Short documents, a fifth of them copies at similarities from 0.5 to 1, on two cores: 10^5 and 10^6,
with `--quick` 10^4 and 10^5. The step from `documents` to `near_duplicates` with the default
settings, how many of the planted copies it finds, and the memory of its processes; a day of 1 % new
documents; clusters of 10^5 and 2 x 10^5 equal documents. Then datatrove's MinHash over the largest
corpus, from its Parquet files to the list of documents to remove, if PYTHON names the interpreter
of an environment that has `datatrove[processing]` and `spacy`: two workers, its own 14 bands of 8
hashes and English words, shingles of 8 words as here.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession, functions as F

from mira_spark.lake.creation import create_tables
from mira_spark.lake.session import open_local
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings
from mira_spark.steps import find_duplicates

CORES, FILES = 2, 8
VOCABULARY = np.array([f"w{n:x}" for n in range(60_000)])
SETTINGS = Settings()
DATATROVE = """
import sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster,
)
from datatrove.pipeline.readers import ParquetReader

def stage(folder, name, tasks, *steps):
    logs = f"{folder}/logs/{name}"
    LocalPipelineExecutor(list(steps), tasks=tasks, workers=2, logging_dir=logs).run()

if __name__ == "__main__":
    rows, folder = sys.argv[1:]
    config = MinhashConfig(n_grams=8)
    read = ParquetReader(rows, text_key="text", id_key="doc_id")
    signed = MinhashDedupSignature(f"{folder}/signatures", config)
    stage(folder, "signatures", 2, read, signed)
    bands = MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)
    stage(folder, "buckets", config.num_buckets, bands)
    cluster = MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)
    stage(folder, "clusters", 1, cluster)
"""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write_corpus(folder: Path, documents: int) -> None:
    """Parquet files of `doc_id`, `text` and `copied`: the doc_id of the document it is a copy of,
    with the `share` of its words that are others, in one run."""
    draw = np.random.default_rng(documents)
    folder.mkdir(parents=True)
    for number in range(FILES):
        ids = range(number, documents, FILES)
        words = [VOCABULARY[np.minimum(draw.zipf(1.2, n) - 1, len(VOCABULARY) - 1)]
                 for n in draw.integers(40, 120, len(ids))]  # fmt: skip
        copied, shares = [None] * len(ids), np.zeros(len(ids))
        for place in np.flatnonzero(draw.random(len(ids)) < 0.2)[1:]:
            of = int(draw.integers(place))
            changed, n = words[of].copy(), len(words[of])
            shares[place] = draw.random() / 3
            count = int(shares[place] * n)
            start = int(draw.integers(n - count + 1))
            changed[start : start + count] = draw.choice(VOCABULARY, count)
            words[place], copied[place] = changed, ids[of]
        rows = {"doc_id": [f"doc {n:07}" for n in ids], "text": [" ".join(w) for w in words],
                "copied": [n if n is None else f"doc {n:07}" for n in copied]}  # fmt: skip
        pq.write_table(pa.table(rows), folder / f"{number}.parquet", row_group_size=10_000)


def take_in(lake: Lakehouse, rows: Path, where: str = "true") -> None:
    """Append the documents as `ingest_corpus` would."""
    read = lake.spark.read.parquet(rows.as_uri()).where(where)
    written = read.select(
        "doc_id", F.lit("web").alias("source"), "text",
        F.length("text").cast("bigint").alias("n_bytes"),
        (F.length("text") / 4).cast("bigint").alias("n_tokens"),
        F.unhex(F.substring(F.sha2("text", 256), 1, 32)).alias("content_hash"),
        F.lit(0).alias("bucket"), F.lit(None).alias("domain"), F.lit(None).alias("license"),
        F.lit(True).alias("sendable"), F.lit(False).alias("repaired"),
        F.create_map().cast("map<string,string>").alias("metadata"), F.lit(None).alias("messages"),
        F.current_timestamp().alias("ingested_at"),
    )  # fmt: skip
    lake.append(written, "documents", "bench")


class Memory:
    """The most that the processes below this one, and this one, held while it was watched."""

    def __init__(self) -> None:
        self.most: dict[str, int] = {}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look)

    def __enter__(self) -> "Memory":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(0.25):
            sums: dict[str, int] = {}
            for process in descendants(os.getpid()):
                name, held = resident(process)
                kind = {"java": "Java", "python": "Python"}.get(name.rstrip("0123456789."), "")
                kind = "this process" if process == os.getpid() else kind
                sums[kind] = sums.get(kind, 0) + held
            for kind, held in sums.items():
                self.most[kind] = max(held, self.most.get(kind, 0))

    def __str__(self) -> str:
        parts = (f"{kind} {held / 1e9:.2f} GB" for kind, held in sorted(self.most.items()) if kind)
        return ", ".join(parts)


def descendants(process: int) -> Iterator[int]:
    yield process
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from descendants(int(child))


def resident(process: int) -> tuple[str, int]:
    """A process' name and the bytes that it alone holds; none where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        own = sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))
        return Path(f"/proc/{process}/comm").read_text().strip(), own
    except OSError:
        return "", 0


def found_anew(lake: Lakehouse, what: str) -> float:
    """Seconds of the step; says them and what it said."""
    started = time.perf_counter()
    with Memory() as memory:
        outcome = find_duplicates.run(lake, SETTINGS, "bench")
    seconds = time.perf_counter() - started
    say(f"{what}: {seconds:.0f} s; {outcome.message}; {memory}")
    return seconds


def emptied(spark: SparkSession, name: str) -> Lakehouse:
    lake = Lakehouse(spark, name)
    create_tables(lake, ("documents", *find_duplicates.WRITES, "runs"))
    return lake


def recall(lake: Lakehouse, rows: Path) -> str:
    """Of the pairs of copy and original that are near, how many are in one cluster or share a
    representative; by what was compared or, where it was not, by the share of words alone."""
    near = lake.read("near_duplicates").select("doc_id", "representative")
    copies = lake.spark.read.parquet(rows.as_uri()).where("copied IS NOT NULL")
    there = copies.join(near, "doc_id", "left_semi").count()
    return f"{there:,} of {copies.count():,} copies, at similarities from 0.5 to 1, have a row"


def of_datatrove(python: str, rows: Path, folder: Path, documents: int) -> float | None:
    """Seconds; None where there is none."""
    program = folder / "minhash.py"
    program.write_text(DATATROVE)
    started = time.perf_counter()
    with Memory() as memory:
        ended = subprocess.run(
            [python, str(program), str(rows), str(folder / "out")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if ended.returncode:
        say(f"datatrove failed: {ended.stderr[-2_000:]}")
        return None
    seconds = time.perf_counter() - started
    say(f"datatrove, {documents:,} documents: {seconds:.0f} s; {memory}")
    return seconds


def main(arguments: list[str]) -> None:
    """A line for each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--datatrove", metavar="PYTHON")
    parser.add_argument("--quick", action="store_true")
    chosen, _ = parser.parse_known_args(arguments)
    most = 100_000 if chosen.quick else 1_000_000
    folder = Path(tempfile.mkdtemp())
    try:
        spark = open_local(folder / "session", cores=CORES, memory="3g")
        seconds = 0.0
        for documents in (most // 10, most):
            rows = folder / f"rows_{documents}"
            write_corpus(rows, documents)
            lake = emptied(spark, f"bench_{documents}")
            is_new = "cast(substring(doc_id, 5) AS bigint) % 100 = 7"
            take_in(lake, rows, f"NOT ({is_new})")
            seconds = found_anew(lake, f"{documents:,} documents, all but 1 %")
            take_in(lake, rows, is_new)
            found_anew(lake, "1 % new documents")
            say(recall(lake, rows))
        for documents in (most // 10, most // 5):
            lake = emptied(spark, f"equal_{documents}")
            rows = folder / f"equal_{documents}"
            rows.mkdir()
            same = pa.table({"doc_id": [f"doc {n:07}" for n in range(documents)],
                             "text": [" ".join(VOCABULARY[:100])] * documents})  # fmt: skip
            pq.write_table(same, rows / "0.parquet", row_group_size=10_000)
            take_in(lake, rows)
            found_anew(lake, f"{documents:,} equal documents")
        spark.stop()
        if chosen.datatrove is None:
            say("datatrove is not there to compare with: --datatrove PYTHON names it")
            return
        theirs = of_datatrove(chosen.datatrove, folder / f"rows_{most}", folder, most)
        if theirs is not None:
            say(f"{theirs / seconds:.1f} times as fast as datatrove (bar 1)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
