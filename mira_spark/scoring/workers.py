"""What a Python worker of Spark learns from its task: its attempt, cores, GPU, shared folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests

from mira_spark.scoring import batches as scoring
from mira_spark.scoring.baselines import scores as baseline_scores
from mira_spark.scoring.scorer import Scorer
from mira_spark.students.protocol import USUAL, Batching

_Function = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def score(scorer: Scorer, hung_after_s: float, batching: Batching = USUAL) -> _Function:
    """`batches.score` for `mapInArrow`: isolated once an attempt at the task has failed."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        again = _placed_task().attemptNumber() > 0
        yield from scoring.score(scorer, hung_after_s, batching, again)(batches)

    return run


def score_baseline(scorer: Scorer, hung_after_s: float, batching: Batching = USUAL) -> _Function:
    """`baselines.scores.score` for `mapInArrow`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        _placed_task()
        yield from baseline_scores.score(scorer, hung_after_s, batching)(batches)

    return run


def _placed_task() -> TaskContext:
    """The task that this process works for, in its place."""
    context = TaskContext.get()
    assert context is not None, "runs in a task of Spark"
    place(context.cpus(), _gpu(context))
    return context


def place(cores: int, gpu: str | None) -> None:
    """Keep this process to the task's cores and GPU; before the first student is loaded."""
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, str(cores))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if gpu is not None:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", gpu)


def profile(cores: int | None, gpus: float | None) -> ResourceProfile | None:
    """What one task asks of its executor; None when nothing is asked for beyond the session's.

    Spark runs as many tasks at once as cores and GPUs both allow: with 16 cores and 2 GPUs to an
    executor, 4 cores and half a GPU make 4 tasks, each with a student of its own, 2 to a GPU. A
    share of a GPU is a count of tasks: it limits no one's memory.
    """
    if cores is None and gpus is None:
        return None
    requests = TaskResourceRequests()
    if cores is not None:
        requests = requests.cpus(cores)
    if gpus is not None:
        requests = requests.resource("gpu", gpus)
    return ResourceProfileBuilder().require(requests).build


def folder() -> Path:
    """A place that the workers of this executor share, for as long as it lives; may not exist."""
    return Path(SparkFiles.getRootDirectory()) / "mira_spark"


def _gpu(context: TaskContext) -> str | None:
    found = context.resources().get("gpu")
    return found.addresses[0] if found and found.addresses else None
