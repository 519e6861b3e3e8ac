"""Encoders through the engine: `python -m tests.benchmarks.gpu_scoring`.

On a GPU the shapes of BERT-base and ModernBERT with random weights, as they are and compiled, then
BERT-base through Spark beside a bare loop; on a CPU a small shape, which it says. The texts are the
standard library's files, cut and repeated: a mix of lengths.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import torch

from mira_spark.scoring.engine import Engine, resized
from mira_spark.students import packing
from mira_spark.students.configs import piece, pieces
from mira_spark.students.encoder import EncoderStudent
from mira_spark.students.protocol import Batching, score
from tests.benchmarks import shapes
from tests.benchmarks.encoder_training import PEAKS
from tests.benchmarks.linear_kernel import library_texts

BARS = {"BERT-base": 1.6e6, "ModernBERT-base": 1.3e6, "ModernBERT-large": 0.44e6}
MOST = 512
ROUNDS = 3
SECONDS, SPARK_SECONDS = 5, 24
"""What a round takes at the bar."""
say = sys.stdout.write


def texts() -> list[str]:
    """Pieces of files as a student of MOST tokens is given them, short ones and long ones."""
    whole = [t.decode(errors="replace") for t in library_texts().to_pylist()]
    cut = ["".join(pieces(text, piece(MOST))) for text in whole]
    return cut + [text[: 200 + 37 * (i % 97)] for i, text in enumerate(cut)]


def of_tokens(student: EncoderStudent, documents: list[str], tokens: float) -> list[str]:
    """The documents, as often as makes so many tokens."""
    once = sum(len(ids) for ids in student.reader.ids(documents))
    return documents * max(round(tokens / once), 1)


def measured(student: EncoderStudent, documents: list[str]) -> str:
    """Tokens a second over the engine, padding, and on a GPU its share of peak and busy time."""
    rows = pa.record_batch({"text": pa.array(documents, pa.large_string())})
    batches = [rows.slice(i, 5_000) for i in range(0, rows.num_rows, 5_000)]
    made = Engine(student).encoded(rows.column("text"))
    tokens = sum(int(b.inputs["lengths"].sum()) for b in made.batches)
    computed = tokens
    if not packing.is_packed(student.model):
        computed = sum(b.inputs["ids"].size for b in made.batches)
    engine = Engine(student)
    warm, _ = turn(engine, batches[:1])
    turns = [turn(engine, batches) for _ in range(ROUNDS)]
    rate, busy = tokens / statistics.median(s for s, _ in turns), turns[-1][1]
    told = f"{rate:,.0f} tokens/s, {tokens / len(documents):.0f} tokens a document, "
    told += f"{1 - tokens / computed:.2%} padding, first call {warm:.1f} s"
    return told + (_of_the_gpu(student, rate, tokens / len(documents), busy) if busy else "")


def turn(engine: Engine, batches: list[pa.RecordBatch]) -> tuple[float, list[int]]:
    """Seconds for all batches, and meanwhile each half second's share of time the GPU worked."""
    samples: list[int] = []
    ended = threading.Event()
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]

    def sample() -> None:
        while not ended.wait(0.5):
            found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            samples.extend([int(line) for line in found.split() if line.isdigit()][:1])

    if torch.cuda.is_available():
        threading.Thread(target=sample, daemon=True).start()
    started = time.perf_counter()
    for _ in engine.overlapped(resized(batches, engine.student.rows_together)):
        pass
    ended.set()
    return time.perf_counter() - started, samples


def _of_the_gpu(student: EncoderStudent, rate: float, length: float, busy: list[int]) -> str:
    named = [(n, p.numel()) for n, p in student.model.named_parameters()]
    body = sum(count for name, count in named if "embeddings" not in name)
    config = student.model.config
    each = 2 * body + 4 * int(config.num_hidden_layers) * int(config.hidden_size) * length
    name = torch.cuda.get_device_name()
    peak = next((v for k, v in PEAKS.items() if k in name), None)
    share = f"{rate * each / peak:.1%} of its bf16 peak" if peak else "peak unknown"
    return f"; {name}: {share}, busy {statistics.mean(busy):.0f} %"


def exactness(student: EncoderStudent, on_cpu: EncoderStudent, documents: list[str]) -> str:
    """How far bfloat16 on the GPU is from float32 on the CPU."""
    some = pa.array(documents, pa.large_string())
    apart = abs(score(student, some) - score(on_cpu, some)).max()
    return f"scores at most {apart:.3f} points from float32 on the CPU"


def through_spark(student: EncoderStudent, documents: list[str]) -> None:
    """One task with all cores and the GPU, beside the engine in a bare loop."""
    from mira_spark.lake.session import open_local
    from mira_spark.scoring import workers  # Spark is not asked for above
    from tests.benchmarks import scoring

    cores = os.cpu_count() or 1
    workers.place(cores, None)
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--conf spark.task.cpus={cores} pyspark-shell"
    folder = Path(tempfile.mkdtemp())
    try:
        spark = open_local(folder / "session", cores)
        rows = pa.array(documents, pa.large_string())
        scoring.against_bare(spark, folder, student, rows, 2)
        spark.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """A line for each shape, plain and compiled."""
    documents = texts()
    if not torch.cuda.is_available():
        say("no GPU here: a small shape on the CPU, no bar and no share of a peak\n")
        say(f"small: {measured(shapes.student('small', documents[:300], MOST), documents[:300])}\n")
        return
    for shape, bar in BARS.items():
        student = shapes.student(shape, documents[:300], MOST)
        many = of_tokens(student, documents, bar * SECONDS)
        say(f"{shape}: {measured(student, many[: len(many) // 2])}\n")
        on_cpu = shapes.student(shape, documents[:300], MOST, on_cpu=True)
        say(f"{shape}: {exactness(student, on_cpu, documents[:16])}\n")
        compiled = student.batched(Batching(compiled=True))
        say(f"{shape}, compiled, bar {bar:,.0f}: {measured(compiled, many)}\n")
    student = shapes.student("BERT-base", documents[:300], MOST)
    through_spark(student, of_tokens(student, documents, BARS["BERT-base"] * SPARK_SECONDS))


if __name__ == "__main__":
    main()
