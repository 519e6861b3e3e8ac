"""Fine-tunes a whole encoder and its heads on labels: AdamW, cosine schedule, early stopping.

Progress is kept after every epoch, and an interrupted training goes on from there.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mira_spark.corpus.draws import draw
from mira_spark.distillation import descent, shards
from mira_spark.distillation.checkpoints import AfterEpoch, Checkpoints, Progress, identity
from mira_spark.distillation.shards import Labelled
from mira_spark.errors import InputError
from mira_spark.lake import storage
from mira_spark.lake.storage import Root
from mira_spark.settings.students import EncoderSettings
from mira_spark.settings.types import SEEDS
from mira_spark.students import encoder, packing, windows
from mira_spark.students.encoder import EncoderStudent
from mira_spark.students.protocol import Batch

_ASIDE = 0.1
ROWS_SHUFFLED = 2_048
MICRO_TOKENS = {"cpu": 2_048, "cuda": 32_768}
_BETAS = 0.9, 0.999

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Labels:
    """What a pass over the labels told: rows by source, each slot's mean and spread [S], and a
    digest of all doc_ids, sources and scores in their order."""

    counts: Counter[str]
    mean: _Floats
    spread: _Floats
    digest: str


class _Tuned(nn.Module):
    """The encoder with heads, scores in standard deviations of the labels."""

    def __init__(self, student: EncoderStudent) -> None:
        super().__init__()
        self.encoder = student.model
        self.heads = nn.Linear(student.heads.shape[1], student.slots)

    def forward(self, batch: Batch) -> Tensor:
        found: Tensor = self.heads(encoder.pooled(self.encoder, batch))
        return found


def fine_tune(
    student: EncoderStudent,
    labelled: Labelled,
    settings: EncoderSettings,
    checkpoints: Root,
    after_epoch: AfterEpoch | None,
) -> EncoderStudent:
    """The student with all weights trained on the labelled rows, those of its best epoch.

    InputError when there is no such row, or when no epoch had a finite loss.
    """
    labels = _labels(labelled, student.slots)
    torch.manual_seed(settings.seed % SEEDS)
    packing.unpack(student.model)
    model = _Tuned(student).to(student.heads.device).float()
    optimiser = descent.adamw(model, _BETAS)
    place = storage.location(checkpoints, identity(settings, student.config, labels.digest))
    saved = Checkpoints(place, model, optimiser)
    progress = saved.resumed()
    while progress.epoch < settings.epochs and progress.worse <= settings.patience:
        _epoch(model, optimiser, student, labelled, labels, settings, progress)
        loss = _loss_aside(model, student, labelled, labels)
        progress.worse = 0 if loss < progress.best else progress.worse + 1
        progress.epoch += 1
        if loss < progress.best:
            progress.best = loss
            saved.keep_best()
        saved.keep(progress)
        if after_epoch is not None:
            after_epoch(progress.epoch, loss)
    _require_best(progress, settings)
    saved.load_best()
    return _trained_student(student, model, labels)


def _require_best(progress: Progress, settings: EncoderSettings) -> None:
    """InputError when the loss was never finite: there is no best epoch to take."""
    if not math.isfinite(progress.best):
        raise InputError(
            f"no epoch of {progress.epoch} had a finite loss on the rows kept aside; lower "
            f"distillation.encoder.learning_rate, which is {settings.learning_rate:g}"
        )


def _labels(labelled: Labelled, slots: int) -> _Labels:
    counts: Counter[str] = Counter()
    sums = np.zeros((3, slots))  # of ones, labels, squares
    digest = hashlib.sha256()
    for batch in labelled.rows(4_096):
        sources = batch["source"].to_pylist()
        counts.update(sources)
        points = shards.averaged(batch, slots).astype(np.float64)
        for doc_id, source, row in zip(batch["doc_id"].to_pylist(), sources, points, strict=True):
            digest.update(f"{doc_id}\0{source}\0".encode() + row.tobytes())
        sums += [np.sum(~np.isnan(points), 0), np.nansum(points, 0), np.nansum(points**2, 0)]
    shards.require_rows(labelled, counts.total())
    known = np.maximum(sums[0], 1)
    mean = sums[1] / known
    spread = np.sqrt(np.maximum(sums[2] / known - mean**2, 0))
    spread[spread < 1e-6] = 1  # the same for every document: nothing to learn
    return _Labels(counts, mean.astype(np.float32), spread.astype(np.float32), digest.hexdigest())


def _epoch(
    model: _Tuned,
    optimiser: torch.optim.Optimizer,
    student: EncoderStudent,
    labelled: Labelled,
    labels: _Labels,
    settings: EncoderSettings,
    progress: Progress,
) -> None:
    """One pass over the rows that are not aside, a step every `tokens_per_step`."""
    model.train()
    torch.manual_seed(
        settings.seed % SEEDS * 1_000 + progress.epoch
    )  # dropout's, the same when resumed
    n_rows = max(round(labels.counts.total() * (1 - _ASIDE)) * settings.epochs, 1)
    tokens, rows, total = 0, 0, 0.0

    def step() -> None:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= max(total, 1e-9)
        done = (progress.rows - rows / 2) / n_rows
        descent.step(model, optimiser, settings.learning_rate, done)

    for batch, targets, weights in _batches(student, labelled, labels, settings, progress.epoch):
        loss, weight = _loss(model, batch, targets, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        tokens, total = tokens + int(batch.inputs["lengths"].sum()), total + weight
        rows, progress.rows = rows + len(batch.rows), progress.rows + len(batch.rows)
        if tokens >= settings.tokens_per_step:
            step()
            tokens, rows, total = 0, 0, 0.0
    if tokens:
        step()


def _batches(
    student: EncoderStudent,
    labelled: Labelled,
    labels: _Labels,
    settings: EncoderSettings,
    epoch: int,
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Rows to learn from, in an order of this epoch's own: batches of like length, out of
    ROWS_SHUFFLED at a time, with targets [B, S] and weights [B, S], 0 where there is no label."""
    order = np.random.default_rng([settings.seed % SEEDS, epoch])
    for batches in _shuffled_together(student, labelled, labels, aside=False):
        for i in order.permutation(len(batches)):
            yield batches[i]


def _shuffled_together(
    student: EncoderStudent, labelled: Labelled, labels: _Labels, aside: bool
) -> Iterator[list[tuple[Batch, Tensor, Tensor]]]:
    device = student.heads.device
    for rows in labelled.rows(ROWS_SHUFFLED):
        shares = [draw(doc_id, "aside") for doc_id in rows["doc_id"].to_pylist()]
        rows = rows.filter([(share < _ASIDE) == aside for share in shares])
        points = shards.averaged(rows, student.slots)
        known = ~np.isnan(points)
        targets = np.where(known, (points - labels.mean) / labels.spread, 0).astype(np.float32)
        by_source = shards.row_weights(rows["source"].to_pylist(), labels.counts)
        weights = (by_source[:, None] * known).astype(np.float32)
        ids = student.reader.ids(rows["text"].to_pylist())
        yield [
            (
                batch,
                torch.from_numpy(targets[batch.rows]).to(device),
                torch.from_numpy(weights[batch.rows]).to(device),
            )
            for batch in windows.batches(ids, MICRO_TOKENS[device.type])
        ]


def _loss(model: _Tuned, batch: Batch, targets: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    """The weighted sum of squares, and the sum of its weights."""
    with torch.autocast("cuda", torch.bfloat16, enabled=targets.is_cuda):
        found = model(batch)
    squares: Tensor = (weights * (found.float() - targets) ** 2).sum()
    return squares, float(weights.sum())


def _loss_aside(
    model: _Tuned, student: EncoderStudent, labelled: Labelled, labels: _Labels
) -> float:
    """The mean square on the rows kept aside, in deviations; NaN-free: 0 where there are none."""
    model.eval()
    squares = total = 0.0
    with torch.inference_mode():
        for batches in _shuffled_together(student, labelled, labels, aside=True):
            for batch, targets, weights in batches:
                loss, weight = _loss(model, batch, targets, weights)
                squares, total = squares + float(loss), total + weight
    return squares / max(total, 1e-9)


def _trained_student(student: EncoderStudent, model: _Tuned, labels: _Labels) -> EncoderStudent:
    """The student with the model's weights, its heads back on the scale of points."""
    heads = model.heads.weight.detach().float().cpu().numpy() * labels.spread[:, None]
    bias = model.heads.bias.detach().float().cpu().numpy() * labels.spread + labels.mean
    trained = replace(
        student,
        model=model.encoder.eval(),
        heads=torch.from_numpy(heads),
        bias=torch.from_numpy(bias),
    )
    return encoder.placed(trained)
