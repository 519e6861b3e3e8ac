"""Speed of the linear student's scoring on one core: `python -m tests.benchmarks.linear_kernel`."""

import importlib.util
import statistics
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from mira_spark.students.hashing import SHAPE, WIDTH
from mira_spark.students.linear import LinearStudent
from mira_spark.students.protocol import score

ROUNDS = 9


def library_texts() -> pa.Array:
    """The standard library's own Python files, some 30 MB."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(file for file in folder.rglob("*.py") if "site-packages" not in file.parts)
    return pa.array([file.read_bytes() for file in files], pa.large_binary())


def random_student(bits: int) -> LinearStudent:
    """Fifteen slots of random weights; the table starts on a cache line, as in an artefact."""
    random = np.random.default_rng(0)
    memory = np.empty((1 << bits) * WIDTH + WIDTH, np.float32)
    first = -memory.ctypes.data % 64 // 4
    table = memory[first : first + (1 << bits) * WIDTH].reshape(-1, WIDTH)
    table[:] = random.standard_normal(table.shape, dtype=np.float32)
    ones = np.ones(len(SHAPE), np.float32)
    weights = np.ones((len(SHAPE), WIDTH), np.float32)
    return LinearStudent(15, table, weights, ones, ones, np.zeros(WIDTH, np.float32))


def main() -> None:
    """Median of nine rounds for three table sizes."""
    texts = library_texts()
    megabytes = sum(len(text.as_buffer()) for text in texts) / 1e6
    sys.stdout.write(f"{len(texts):,} files, {megabytes:.1f} MB, one core, bar 80 MB/s\n")
    for bits in (18, 20, 21):
        student = random_student(bits)
        score(student, texts)
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            score(student, texts)
            seconds.append(time.perf_counter() - start)
        median, best = statistics.median(seconds), min(seconds)
        sys.stdout.write(
            f"table 2^{bits} x {WIDTH}: median {megabytes / median:.0f} MB/s, "
            f"best {megabytes / best:.0f} MB/s\n"
        )
    beside(texts, random_student(18))


def beside(texts: pa.Array, student: LinearStudent) -> None:
    """The same kind of work by scikit-learn, word 1-2-grams hashed and multiplied, on a tenth of
    the files."""
    from sklearn.feature_extraction.text import HashingVectorizer

    some = [text.decode(errors="replace") for text in texts.to_pylist()[::10]]
    megabytes = sum(len(text.encode()) for text in some) / 1e6
    vectorizer = HashingVectorizer(n_features=len(student.table), ngram_range=(1, 2), norm="l1")
    arrow = pa.array(some)
    for name, work in (
        (
            "scikit-learn HashingVectorizer and dot",
            lambda: vectorizer.transform(some) @ student.table,
        ),
        ("the kernel on the same files", lambda: score(student, arrow)),
    ):
        work()
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        sys.stdout.write(f"{name}: median {megabytes / statistics.median(seconds):.1f} MB/s\n")
    installed = importlib.util.find_spec("fasttext") is not None
    sys.stdout.write(f"fastText: {'installed, not compared' if installed else 'not installed'}\n")


if __name__ == "__main__":
    main()
