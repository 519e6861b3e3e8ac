"""Speed of the linear student's scoring on one core: `python -m tests.benchmarks.linear_kernel`."""

import importlib.util
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

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


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    """Of so many runs after one that warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Median of nine rounds for three table sizes."""
    texts = library_texts()
    megabytes = sum(len(text.as_buffer()) for text in texts) / 1e6
    sys.stdout.write(f"{len(texts):,} files, {megabytes:.1f} MB, one core, bar 80 MB/s\n")
    for bits in (18, 20, 21):
        student = random_student(bits)
        rate = megabytes / median_seconds(partial(score, student, texts), ROUNDS)
        sys.stdout.write(f"table 2^{bits} x {WIDTH}: median {rate:.0f} MB/s\n")
    beside(texts)


def beside(texts: pa.Array) -> None:
    """The same kind of work by others, the mean vector of a text's words and pairs of words, on a
    tenth of the files: by scikit-learn, and by fastText where it is installed."""
    from sklearn.feature_extraction.text import HashingVectorizer

    student = random_student(18)
    some = [text.decode(errors="replace") for text in texts.to_pylist()[::10]]
    megabytes = sum(len(text.encode()) for text in some) / 1e6
    vectorizer = HashingVectorizer(n_features=len(student.table), ngram_range=(1, 2), norm="l1")
    works: dict[str, Callable[[], object]] = {
        "the kernel": partial(score, student, pa.array(some)),
        "scikit-learn's HashingVectorizer and dot": lambda: (
            vectorizer.transform(some) @ student.table
        ),
    }
    if importlib.util.find_spec("fasttext") is not None:
        lines = [" ".join(text.split()) for text in some]
        model = fasttext_model(lines[:50])
        works["fastText's sentence vectors"] = lambda: [
            model.get_sentence_vector(line) for line in lines
        ]
    sys.stdout.write(f"{len(some)} of the files, {megabytes:.1f} MB, a table of 2^18 rows each:\n")
    for name, work in works.items():
        sys.stdout.write(f"{name}: median {megabytes / median_seconds(work, 3):.1f} MB/s\n")
    if len(works) == 2:
        sys.stdout.write("fastText: not installed\n")


def fasttext_model(lines: list[str]) -> Any:
    """Of as many lanes and rows for pairs of words as the kernel's; what it learnt is no matter."""
    import fasttext

    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(f"__label__{i % 2} {line}\n" for i, line in enumerate(lines))
        file.flush()
        return fasttext.train_supervised(
            file.name, dim=WIDTH, wordNgrams=2, bucket=1 << 18, epoch=1, thread=1, verbose=0
        )


if __name__ == "__main__":
    main()
