"""Heads on a frozen encoder: ridge regression from sums, so memory is flat in the labels.

One pass embeds the texts and adds up their products. A tenth of the rows is kept aside to choose
each slot's penalty; the heads are then solved on all of them.

Legend: H the encoder's width, S slots. Sums are of rows [state, 1], so of size H + 1.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mira_spark.corpus.draws import draw
from mira_spark.distillation import shards
from mira_spark.students import encoder
from mira_spark.students.encoder import EncoderStudent

PENALTIES = tuple(10.0**n for n in np.arange(-5, 2.01, 0.5))
"""Shares of the states' own variance."""
UNTRIED = 1.0
"""The penalty of a slot without a label aside: nothing says how much the states can be trusted."""
_ASIDE = 0.1
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


def fit_heads(student: EncoderStudent, folder: Path) -> EncoderStudent:
    """The student with heads fitted to the rows with split `train`; the encoder is not touched.

    InputError when there is no such row. A slot without labels predicts 0.
    """
    counts: Counter[str] = Counter()
    for batch in shards.rows(folder, "train", 4_096):
        counts.update(batch["source"].to_pylist())
    shards.require_rows(folder, counts.total())
    fit, aside = _sums(student, folder, counts)
    solutions = [_solve_head(fit, aside, slot) for slot in range(student.slots)]
    heads = torch.from_numpy(np.array([s[:-1] for s in solutions], np.float32))
    bias = torch.from_numpy(np.array([s[-1] for s in solutions], np.float32))
    device = student.heads.device
    return replace(student, heads=heads.to(device), bias=bias.to(device))


def _sums(student: EncoderStudent, folder: Path, counts: Counter[str]) -> tuple[_Sums, _Sums]:
    """Of the rows to fit and of those kept aside."""
    size = student.heads.shape[1] + 1
    fit, aside = _Sums.none(student.slots, size), _Sums.none(student.slots, size)
    for batch in shards.rows(folder, "train", _TEXTS_AT_ONCE):
        rows = np.ones((batch.num_rows, size))
        with torch.inference_mode():
            for some in student.encode(batch["text"]):
                rows[some.rows, :-1] = encoder.pooled(student.model, some).cpu().numpy()
        points = shards.averaged(batch, student.slots).astype(np.float64)
        weights = shards.row_weights(batch["source"].to_pylist(), counts)
        shares = [draw(doc_id, "aside") for doc_id in batch["doc_id"].to_pylist()]
        is_aside = np.array(shares) < _ASIDE
        fit.add(rows[~is_aside], points[~is_aside], weights[~is_aside])
        aside.add(rows[is_aside], points[is_aside], weights[is_aside])
    return fit, aside


def _solve_head(fit: _Sums, aside: _Sums, slot: int) -> Doubles:
    """Weights and bias [H + 1], with the penalty that errs least on the rows aside, or UNTRIED."""
    if aside.squares[slot, -1, -1] == 0:
        return _ridge(fit, slot, UNTRIED)

    def loss(solution: Doubles) -> float:
        squares = solution @ aside.squares[slot] @ solution
        return float(squares - 2 * solution @ aside.products[slot])

    penalties = [(loss(_ridge(fit, slot, penalty)), penalty) for penalty in PENALTIES]
    return _ridge(fit + aside, slot, min(penalties)[1])


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
