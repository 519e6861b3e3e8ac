"""Fine-tunes a causal LM to write the judge's scores and reasons: the generative student.

The loss is on the answer alone. Scores and reasons each count by their own mean: a reason has some
twenty tokens for each of a score, and the scores would be a rounding error beside them. Progress is
kept after every epoch, and an interrupted training goes on from there.

Legend: B rows, T tokens of the longest of them, A from the first token learnt on, V the vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mira_spark.distillation import descent, generative_examples, pretrained
from mira_spark.distillation.checkpoints import AfterEpoch, Checkpoints, identity
from mira_spark.distillation.generative_examples import REASON, SCORE, Examples
from mira_spark.distillation.shards import Labelled
from mira_spark.errors import InputError
from mira_spark.lake import storage
from mira_spark.lake.storage import Root
from mira_spark.settings.students import GenerativeSettings
from mira_spark.settings.types import SEEDS
from mira_spark.students import architecture, windows
from mira_spark.students.configs import GenerativeConfig
from mira_spark.students.generative import GenerativeStudent, assembled, device_of, placed
from mira_spark.students.protocol import Batch

PASS_TOKENS = {"cpu": 4_096, "cuda": 16_384}
"""Tokens, padding included, whose activations are held at once."""
_BETAS = 0.9, 0.95

_Floats = npt.NDArray[np.float64]


def train_generative(
    labelled: Labelled,
    anchors: Sequence[str],
    settings: GenerativeSettings,
    checkpoints: Root,
    after_epoch: AfterEpoch | None = None,
) -> GenerativeStudent:
    """The student of the labelled rows.

    The judge's first answer is learnt, whose reasons these are; nothing from a missing score, from
    its reason, or from a row without any score. Slots are in the order of `anchors`. A source of n
    rows counts as much as sqrt(n) rows. A training that was interrupted goes on from its last epoch
    in `checkpoints`; `after_epoch` gets each epoch's number and its last step's loss. ArtefactError
    when there is no such model or tokenizer, or they do not fit `max_tokens`; InputError when there
    is no row to train on or a loss is not finite.
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
    forked = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with (
        TemporaryDirectory(prefix=".tokens-", dir=labelled.folder) as temporary,
        torch.random.fork_rng(forked),
    ):
        examples = generative_examples.store_examples(student, labelled, Path(temporary))
        place = storage.location(checkpoints, identity(settings, student.config, examples.digest))
        _train(student, examples, settings, place, after_epoch)
    return assembled(config, placed(model), tokenizer)


def _train(
    student: GenerativeStudent,
    examples: Examples,
    settings: GenerativeSettings,
    place: str,
    after_epoch: AfterEpoch | None,
) -> None:
    """Change the student's model, in float32; it is left in training mode."""
    model = student.model.train()
    optimiser = descent.adamw(model, _BETAS)
    saved = Checkpoints(place, model, optimiser)
    progress = saved.resumed()
    n_rows = settings.epochs * len(examples)
    while progress.epoch < settings.epochs:
        torch.manual_seed(
            settings.seed % SEEDS * 1_000 + progress.epoch
        )  # dropout's, the same if resumed
        loss = 0.0
        for rows in _steps(examples, settings, progress.epoch):
            loss = _accumulate_gradients(student, examples, rows)
            if not math.isfinite(loss):
                raise InputError(
                    f"the loss is {loss} in epoch {progress.epoch + 1}; lower "
                    f"distillation.generative.learning_rate, which is {settings.learning_rate:g}"
                )
            done = (progress.rows + len(rows) / 2) / n_rows
            descent.step(model, optimiser, settings.learning_rate, done)
            progress.rows += len(rows)
        progress.epoch += 1
        saved.keep(progress)
        if after_epoch is not None:
            after_epoch(progress.epoch, loss)


def _steps(examples: Examples, settings: GenerativeSettings, epoch: int) -> Iterator[list[int]]:
    """The rows of each step of an epoch, every row once, in an order of its own."""
    lengths = np.diff(examples.starts)
    step: list[int] = []
    held = 0
    for row in np.random.default_rng([settings.seed % SEEDS, epoch]).permutation(len(examples)):
        if step and held + lengths[row] > settings.tokens_per_step:
            yield step
            step, held = [], 0
        step.append(int(row))
        held += lengths[row]
    yield step


def _accumulate_gradients(
    student: GenerativeStudent, examples: Examples, rows: Sequence[int]
) -> float:
    """The loss of one step, its gradients added up over passes that fit in memory."""
    chosen = [examples[row] for row in rows]
    by_row = examples.weights[list(rows)]
    totals = [
        float(sum(w * (one.parts == part).sum() for w, one in zip(by_row, chosen, strict=True)))
        for part in (SCORE, REASON)
    ]
    shares = np.array([0.0, *(1 / total if total else 0.0 for total in totals)])
    # How much each token's loss counts [T], example by example.
    counted = [w * shares[one.parts] for w, one in zip(by_row, chosen, strict=True)]
    device = device_of(student.model)
    total = torch.zeros((), device=device)
    for batch in windows.batches([one.tokens for one in chosen], PASS_TOKENS[device.type]):
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            loss = _loss(student, batch, [counted[row] for row in batch.rows])
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        total += loss.detach()
    return float(total)


def _loss(student: GenerativeStudent, batch: Batch, counted: Sequence[_Floats]) -> Tensor:
    """Cross entropy summed over the answers' tokens, each as much as it counts."""
    tokens, mask = student.prompts(batch)
    longest = tokens.shape[1]
    padded = np.stack([np.pad(one, (longest - len(one), 0)) for one in counted])
    learnt = longest - int(padded.any(axis=0).argmax())
    weights = torch.tensor(padded[:, -learnt:], dtype=torch.float32, device=tokens.device)
    model: Any = student.model
    logits_BAV = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1),
        use_cache=False,
        logits_to_keep=learnt + 1,
    ).logits[:, :-1]
    losses = nn.functional.cross_entropy(
        logits_BAV.flatten(0, 1).float(), tokens[:, -learnt:].flatten(), reduction="none"
    )
    return (losses * weights.flatten()).sum()
