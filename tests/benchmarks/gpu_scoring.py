"""Encoders through the engine: `python -m tests.benchmarks.gpu_scoring`.

On a GPU the shapes of BERT-base and ModernBERT, random weights; on a CPU a small shape, which it
says. The texts are the standard library's files, cut and repeated: a mix of lengths.
"""

import statistics
import subprocess
import sys
import threading
import time

import pyarrow as pa
import torch

from mira_spark.engine import Engine, windows
from mira_spark.students.configs import piece, pieces
from mira_spark.students.encoder import EncoderStudent
from tests.benchmarks import shapes
from tests.benchmarks.encoder_training import PEAKS
from tests.benchmarks.linear_kernel import library_texts

BARS = {"BERT-base": 1.6e6, "ModernBERT-base": 1.3e6, "ModernBERT-large": 0.44e6}
MOST = 512
ROUNDS = 3
say = sys.stdout.write


def texts(copies: int) -> list[str]:
    """Pieces of files as a student of MOST tokens is given them, short ones and long ones."""
    whole = [t.decode(errors="replace") for t in library_texts().to_pylist()]
    cut = ["".join(pieces(text, piece(MOST))) for text in whole]
    parts = [text[: 200 + 37 * (i % 97)] for i, text in enumerate(cut)]
    return (cut + parts) * copies


def busy(samples: list[int], ended: threading.Event) -> None:
    """What share of the time the GPU works, as its driver says."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    while not ended.wait(0.5):
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        samples += [int(line) for line in found.split() if line.isdigit()][:1]


def tokens_per_second(student: EncoderStudent, documents: list[str]) -> tuple[float, float, float]:
    """Tokens a second over the engine, the mean length, and padding's share."""
    rows = pa.record_batch({"text": pa.array(documents, pa.large_string())})
    batches = [rows.slice(i, 5_000) for i in range(0, rows.num_rows, 5_000)]
    made = Engine(student).encoded(rows.column("text"))
    tokens = sum(int(b.inputs["lengths"].sum()) for b in made.batches)
    padded = sum(b.inputs["ids"].size for b in made.batches)
    engine = Engine(student)
    list(engine.overlapped(windows(batches[:1], student.window)))
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in engine.overlapped(windows(batches, student.window)):
            pass
        seconds.append(time.perf_counter() - started)
    return tokens / statistics.median(seconds), tokens / len(documents), 1 - tokens / padded


def main() -> None:
    """A line for each shape."""
    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        say("no GPU here: a small shape on the CPU, no bar and no share of a peak\n")
    documents = texts(20 if on_gpu else 1)[: None if on_gpu else 300]
    for shape in BARS if on_gpu else ("small",):
        student = shapes.student(shape, documents[:300], MOST)
        samples: list[int] = []
        ended = threading.Event()
        if on_gpu:
            threading.Thread(target=busy, args=(samples, ended), daemon=True).start()
        rate, length, padding = tokens_per_second(student, documents)
        ended.set()
        say(f"{shape}: {rate:,.0f} tokens/s, {length:.0f} tokens a document, {padding:.2%} padding")
        if on_gpu:
            say(_of_the_gpu(student, rate, length, samples, BARS[shape]))
        say("\n")


def _of_the_gpu(
    student: EncoderStudent, rate: float, length: float, samples: list[int], bar: float
) -> str:
    named = [(n, p.numel()) for n, p in student.model.named_parameters()]
    body = sum(count for name, count in named if "embeddings" not in name)
    config = student.model.config
    each = 2 * body + 4 * int(config.num_hidden_layers) * int(config.hidden_size) * length
    name = torch.cuda.get_device_name()
    peak = next((v for k, v in PEAKS.items() if k in name), None)
    share = f"{rate * each / peak:.1%} of its bf16 peak" if peak else "peak unknown"
    return f", bar {bar:,.0f}; {name}: {share}, busy {statistics.mean(samples or [0]):.0f} %"


if __name__ == "__main__":
    main()
