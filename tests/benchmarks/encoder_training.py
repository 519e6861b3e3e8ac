"""Fine-tuning of an encoder with random weights: `python -m tests.benchmarks.encoder_training`.

A BERT-base shape on a GPU; a small shape on a CPU, which says so.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers

from mira_spark.distillation import pretrained
from mira_spark.distillation.encoder import train_encoder
from mira_spark.distillation.shards import Labelled
from mira_spark.settings.students import EncoderSettings
from mira_spark.students import windows
from tests.benchmarks import shapes
from tests.encoders import a_tokenizer
from tests.staging import Row, staged

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 operations a second, from the makers' data sheets."""
SHAPES = {"cuda": ("BERT-base", 20_000, 512), "cpu": ("small", 400, 256)}
"""Shape, documents, most tokens of one."""


def documents(count: int, words: int) -> list[Row]:
    """Texts of 10 to twice `words` words with random scores."""
    random = np.random.default_rng(0)
    vocabulary = [f"word{i}" for i in range(500)]
    rows: list[Row] = []
    for i in range(count):
        text = " ".join(random.choice(vocabulary, random.integers(10, 2 * words)))
        rows.append((f"d{i}", "s", text, random.integers(0, 11, 15).tolist(), 0))
    return rows


def main() -> None:
    """One epoch; tokens a second, share of peak, memory."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape, count, most = SHAPES[device]
    if device == "cpu":
        sys.stdout.write("no GPU here: a small shape on the CPU, no share of a peak\n")
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = documents(count, most // 4)
        shapes.SHAPES[shape]().save_pretrained(folder / "model")
        a_tokenizer(row[2] or "" for row in rows[:200]).save(str(folder / "model/tokenizer.json"))
        shards = staged(folder / "shards", rows, 5_000)
        reader = windows.reader(pretrained.tokenizer(str(folder / "model")), most)
        lengths = np.array([len(ids) for ids in reader.ids([row[2] or "" for row in rows])])
        settings = EncoderSettings(
            model=str(folder / "model"), frozen=False, epochs=1, max_tokens=most
        )
        start = time.perf_counter()
        student = train_encoder(Labelled(shards), 15, settings, folder / "checkpoints")
        seconds = time.perf_counter() - start
    report(student.model, lengths, seconds, device)


def report(model: torch.nn.Module, lengths: np.ndarray, seconds: float, device: str) -> None:
    """A tenth of the rows is only measured; it counts as a third of its training."""
    body = sum(p.numel() for n, p in model.named_parameters() if "embeddings" not in n)
    config = model.config
    per_token = 6 * body + 12 * config.num_hidden_layers * config.hidden_size * lengths.mean()
    tokens = lengths.sum() * (0.9 + 0.1 / 3)
    rate = tokens / seconds
    sys.stdout.write(
        f"{body / 1e6:.1f} M weights without embeddings, {len(lengths):,} documents, "
        f"{lengths.sum():,} tokens, {seconds:.1f} s with start, tokenizing and checkpoint: "
        f"{rate:,.0f} tokens/s\n"
    )
    if device == "cuda":
        name = torch.cuda.get_device_name()
        peak = next((v for k, v in PEAKS.items() if k in name), None)
        share = f"{rate * per_token / peak:.1%} of its bf16 peak" if peak else "peak unknown"
        memory = torch.cuda.max_memory_allocated() / 2**30
        sys.stdout.write(f"{name}: {share}, {memory:.1f} GiB at most\n")


if __name__ == "__main__":
    main()
