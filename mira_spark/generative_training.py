"""Fine-tunes a causal LM to write the judge's scores and reasons: the generative student.

The loss is on the answer alone. Scores and reasons each count by their own mean: a reason has some
twenty tokens for each of a score, and the scores would be a rounding error beside them.

Legend: B rows, T tokens of the longest of them, A the longest answer's, V the vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from mira_spark import pretrained, shards
from mira_spark.distillation import GenerativeSettings
from mira_spark.errors import InputError
from mira_spark.students import answers, architecture, windows
from mira_spark.students.configs import GenerativeConfig
from mira_spark.students.generative import (
    GenerativeStudent,
    assembled,
    device_of,
    placed,
)
from mira_spark.students.protocol import Batch, strings

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
PASS_TOKENS = {"cpu": 4_096, "cuda": 16_384}
"""Tokens, padding included, whose activations are held at once."""
SCORE, REASON = 1, 2
"""What a token of an answer belongs to; 0: nothing is learnt from it."""


@dataclass(frozen=True)
class _Example:
    """A prompt with its answer: int32 [T], and int8 [A] of its last tokens, what each is of."""

    tokens: windows.Ids
    parts: npt.NDArray[np.int8]


def train_generative(
    folder: Path, anchors: Sequence[str], settings: GenerativeSettings
) -> GenerativeStudent:
    """The student of the rows with split `train` in the folder's Parquet files, which are shards.

    The judge's first answer is learnt, whose reasons these are; nothing from a missing score, from
    its reason, or from a row without any score. Slots are in the order of `anchors`. The rows'
    tokens are held in memory, four bytes each. ArtefactError when there is no such model or
    tokenizer, or they do not fit `max_tokens`; InputError when there is no row to train on.
    """
    tokenizer = pretrained.tokenizer(settings.model)
    model = pretrained.model(settings.model, "causal", 4)
    config = GenerativeConfig(
        kind="generative",
        slots=len(anchors),
        anchors=tuple(anchors),
        max_tokens=settings.max_tokens,
        architecture=architecture.described(model),
    )
    architecture.layout(config.architecture, "causal")  # what no artefact can hold is not trained
    if torch.cuda.is_available():
        model = model.to("cuda")
    student = assembled(config, model, tokenizer)
    batches = shards.rows(folder, "train")
    examples = [example for rows in batches for example in _examples(student, rows)]
    shards.require_rows(folder, len(examples))
    forked = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(forked):
        torch.manual_seed(settings.seed)
        _train(student, examples, settings)
    return assembled(config, placed(model), tokenizer)


def _examples(student: GenerativeStudent, rows: pa.RecordBatch) -> Iterator[_Example]:
    """The rows that have a score."""
    prompts = student.reader.ids(strings(rows["text"]))
    judged = shards.judged(rows["scores"], student.slots)
    for prompt, points, reasons in zip(prompts, judged, rows["reasons"].to_pylist(), strict=True):
        if reasons and len(reasons) != student.slots:
            raise InputError(f"a label row has {len(reasons)} reasons, expected {student.slots}")
        scores = [None if np.isnan(score) else int(score) for score in points]
        if any(score is not None for score in scores):
            yield _example(student, prompt, scores, reasons or [])


def _example(
    student: GenerativeStudent,
    prompt: windows.Ids,
    scores: Sequence[int | None],
    reasons: Sequence[str | None],
) -> _Example:
    """Tokenised piece by piece, as scoring forces it; cut where the model can attend no further."""
    answered = [score is not None for score in scores]
    # A reason without its score is not even shown: later reasons would be learnt as following it.
    told = [(reason or "") * known for reason, known in zip(reasons, answered, strict=False)]
    lines = answers.reason_pieces(told, student.config.anchors) if any(told) else []
    pieces = [(p, SCORE * k) for p, k in zip(answers.score_pieces(scores), answered, strict=True)]
    pieces += [(p, REASON * bool(t.strip())) for p, t in zip(lines, told, strict=False)]
    tokens, parts = prompt.tolist(), []
    for piece, part in pieces:
        ids = student.tokens(piece)
        tokens += ids
        parts += [part] * len(ids)
    room = student.room
    return _Example(
        np.array(tokens[:room], np.int32), np.array(parts[: room - len(prompt)], np.int8)
    )


def _train(
    student: GenerativeStudent, examples: Sequence[_Example], settings: GenerativeSettings
) -> None:
    """Change the student's model, in float32; it is left in training mode."""
    model = student.model.train()
    steps = list(_steps(examples, settings))
    warm = max(1, round(WARM_UP * len(steps)))
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.01,
        fused=device_of(model).type == "cuda",
    )
    for number, rows in enumerate(steps):
        share = (number + 1) / warm if number < warm else _cosine(number, warm, len(steps))
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * share
        loss = _accumulated(student, [examples[row] for row in rows])
        if not math.isfinite(loss):
            raise InputError(f"the loss is {loss} at step {number + 1}; lower learning_rate")
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def _cosine(number: int, warm: int, steps: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * (number - warm) / max(1, steps - warm)))


def _steps(examples: Sequence[_Example], settings: GenerativeSettings) -> Iterator[list[int]]:
    """The rows of each step, every row once an epoch in a new order."""
    order = np.random.default_rng(settings.seed)
    for _ in range(settings.epochs):
        step: list[int] = []
        held = 0
        for row in order.permutation(len(examples)).tolist():
            if step and held + len(examples[row].tokens) > settings.tokens_per_step:
                yield step
                step, held = [], 0
            step.append(row)
            held += len(examples[row].tokens)
        yield step


def _accumulated(student: GenerativeStudent, examples: Sequence[_Example]) -> float:
    """The loss of one step, its gradients added up over passes that fit in memory."""
    kinds = np.concatenate([example.parts for example in examples])
    shares = [0.0, *(1 / max(1, int((kinds == part).sum())) for part in (SCORE, REASON))]
    device = device_of(student.model)
    total = torch.zeros((), device=device)
    for batch in windows.batches([e.tokens for e in examples], PASS_TOKENS[device.type]):
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            loss = _loss(student, batch, [examples[row].parts for row in batch.rows], shares)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        total += loss.detach()
    return float(total)


def _loss(
    student: GenerativeStudent,
    batch: Batch,
    parts: Sequence[npt.NDArray[np.int8]],
    shares: Sequence[float],
) -> Tensor:
    """Cross entropy summed over the answers' tokens, each by the share of what it belongs to."""
    tokens, mask = student.prompts(batch)
    longest = max(map(len, parts))
    padded = np.stack([np.pad(one, (longest - len(one), 0)) for one in parts])
    weights = torch.tensor(np.array(shares, np.float32)[padded], device=tokens.device)
    model: Any = student.model
    logits_BAV = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1),
        use_cache=False,
        logits_to_keep=longest + 1,
    ).logits[:, :-1]
    losses = nn.functional.cross_entropy(
        logits_BAV.flatten(0, 1).float(), tokens[:, -longest:].flatten(), reduction="none"
    )
    return (losses * weights.flatten()).sum()
