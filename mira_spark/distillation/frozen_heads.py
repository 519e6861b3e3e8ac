"""Heads on a frozen encoder: ridge regression from sums, so memory is flat in the labels.

One pass embeds the texts and adds up their products, fold by fold. The first fold is kept aside to
choose each slot's penalty; the heads are then solved on all of them.

Legend: H the encoder's width, S slots. Sums are of rows [state, 1], so of size H + 1.
"""

import functools
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from mira_spark.distillation import shards
from mira_spark.distillation.shards import Labelled
from mira_spark.students import encoder
from mira_spark.students.encoder import EncoderStudent

PENALTIES = tuple(10.0**n for n in np.arange(-5, 2.01, 0.5))
"""Shares of the states' own variance."""
UNTRIED = 1.0
"""The penalty of a slot without a label aside: nothing says how much the states can be trusted."""
_TEXTS_AT_ONCE = 512

Doubles = npt.NDArray[np.float64]


@dataclass
class _Sums:
    """Weighted sums over rows, by slot: squares [S, H + 1, H + 1], products [S, H + 1] of rows and
    label, and the labels' own squares [S]."""

    squares: Doubles
    products: Doubles
    labels: Doubles

    @classmethod
    def none(cls, slots: int, size: int) -> "_Sums":
        """Over no rows; a row has `size` numbers."""
        return cls(np.zeros((slots, size, size)), np.zeros((slots, size)), np.zeros(slots))

    def add(self, rows: Doubles, points: Doubles, weights: Doubles) -> None:
        """Count in rows [n, H + 1] with their labels [n, S], NaN where there is none, and weights
        [n]."""
        known = ~np.isnan(points)
        filled = np.where(known, points, 0)
        by_slot = weights[:, None] * known
        self.products += (by_slot * filled).T @ rows
        self.labels += (by_slot * filled**2).sum(axis=0)
        whole = known.all(axis=1)  # most rows: their squares are the same for every slot
        self.squares += (rows[whole] * weights[whole, None]).T @ rows[whole]
        part, part_weights = rows[~whole], by_slot[~whole]
        for slot in range(len(self.labels) if len(part) else 0):
            self.squares[slot] += (part * part_weights[:, slot, None]).T @ part

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.squares + other.squares,
            self.products + other.products,
            self.labels + other.labels,
        )


def train_parts(
    student: EncoderStudent, labelled: Labelled, parts: Sequence[tuple[int, ...]]
) -> tuple[EncoderStudent, list[shards.Floats]]:
    """The student with heads fitted to all rows, and for each part, which names folds, the scores
    float32 [rows, slots] that heads fitted to the rows in these folds give all rows, in their
    order. The encoder is not touched; every text is embedded twice, once without parts.

    InputError when there is no row. A slot without labels predicts 0.
    """
    sums = _sums(student, labelled)
    shards.require_rows(labelled, len(sums))
    device = student.heads.device
    own = _heads([sums[fold] for fold in labelled.folds if fold in sums], student.slots)
    heads = torch.from_numpy(own[:, :-1].astype(np.float32)).to(device)
    bias = torch.from_numpy(own[:, -1].astype(np.float32)).to(device)
    of_parts = [_heads([sums[fold] for fold in part], student.slots) for part in parts]
    scores: list[list[shards.Floats]] = [[] for _ in parts]
    for batch in labelled.rows(_TEXTS_AT_ONCE) if parts else ():
        states = _states(student, batch)
        for found, of_part in zip(scores, of_parts, strict=True):
            found.append((states @ of_part.T).astype(np.float32))
    return replace(student, heads=heads, bias=bias), [np.concatenate(found) for found in scores]


def _heads(folds: Sequence[_Sums], slots: int) -> Doubles:
    """Weights and bias [S, H + 1]."""
    return np.array([_solved(folds, slot) for slot in range(slots)])


def _states(student: EncoderStudent, batch: pa.RecordBatch) -> Doubles:
    """[state, 1] of each text, [n, H + 1]."""
    rows = np.ones((batch.num_rows, student.heads.shape[1] + 1))
    with torch.inference_mode():
        for some in student.encode(batch["text"]):
            rows[some.rows, :-1] = encoder.pooled(student.model, some).cpu().numpy()
    return rows


def _sums(student: EncoderStudent, labelled: Labelled) -> dict[int, _Sums]:
    """By fold; a row weighs as its source does among all rows."""
    counts: Counter[str] = Counter()
    for batch in labelled.rows(4_096):
        counts.update(batch["source"].to_pylist())
    size = student.heads.shape[1] + 1
    sums: dict[int, _Sums] = {}
    for batch in labelled.rows(_TEXTS_AT_ONCE):
        rows = _states(student, batch)
        points = shards.averaged(batch, student.slots).astype(np.float64)
        weights = shards.row_weights(batch["source"].to_pylist(), counts)
        folds = batch["fold"].to_numpy()
        for fold in np.unique(folds).tolist():
            own = folds == fold
            sums.setdefault(fold, _Sums.none(student.slots, size))
            sums[fold].add(rows[own], points[own], weights[own])
    return sums


def _solved(folds: Sequence[_Sums], slot: int) -> Doubles:
    """Weights and bias [H + 1] of all folds, with the penalty that errs least on the first of them
    when fitted on the others, or UNTRIED."""
    aside, others = folds[0], folds[1:]
    whole = functools.reduce(operator.add, folds)
    if not others or aside.squares[slot, -1, -1] == 0:
        return _ridge(whole, slot, UNTRIED)
    fit = functools.reduce(operator.add, others)

    def loss(solution: Doubles) -> float:
        squares = solution @ aside.squares[slot] @ solution
        return float(squares - 2 * solution @ aside.products[slot])

    penalties = [(loss(_ridge(fit, slot, penalty)), penalty) for penalty in PENALTIES]
    return _ridge(whole, slot, min(penalties)[1])


def _ridge(sums: _Sums, slot: int, penalty: float) -> Doubles:
    squares, products = sums.squares[slot], sums.products[slot]
    total = squares[-1, -1]
    if total == 0:
        return np.zeros(len(products))
    # Centred by hand: the bias is not penalised.
    mean, label = squares[-1, :-1] / total, products[-1] / total
    centred = squares[:-1, :-1] - total * np.outer(mean, mean)
    strength = penalty * max(float(np.trace(centred)) / len(mean), 1e-9)
    right = products[:-1] - total * label * mean
    weights = np.linalg.solve(centred + strength * np.eye(len(mean)), right)
    return np.append(weights, label - mean @ weights)
