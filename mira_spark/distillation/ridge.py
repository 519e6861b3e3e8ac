"""Ridge regression of many targets at once on sparse features: conjugate gradients in torch.

Legend: D documents, N features, S dense columns, W targets. Weights [N + S, W] hold the features'
rows first. Every product adds a row in the order of its entries, so that the same numbers come out
on any number of threads.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """Features of some documents, scipy CSR [some D, N], and the same transposed, CSR too: torch
    is forty times slower where it has to transpose by itself."""

    features: sparse.csr_array
    transposed: sparse.csr_array


@dataclass(frozen=True)
class _Matrix:
    """[features, dense] as tensors that share the arrays' memory."""

    blocks: list[tuple[Tensor, Tensor]]
    dense: Tensor

    def times(self, weights: Tensor) -> Tensor:
        """[D, W]."""
        n = len(weights) - self.dense.shape[1]
        product = torch.cat([features @ weights[:n] for features, _ in self.blocks])
        return product + self.dense @ weights[n:]

    def transposed_times(self, values: Tensor) -> Tensor:
        """[N + S, W] of values [D, W]."""
        pieces = torch.split(values, [len(features) for features, _ in self.blocks])
        product = self.blocks[0][1] @ pieces[0]
        for (_, transposed), piece in zip(self.blocks[1:], pieces[1:], strict=True):
            product += transposed @ piece
        return torch.cat([product, self.dense.T @ values])


def solve(
    blocks: Sequence[Block],
    dense: _Floats,
    weights: _Floats,
    targets: _Floats,
    freedom: _Floats,
    ridge: float,
    passes: int,
) -> _Floats:
    """Weights [N + S, W] that minimise the weighted squares after `passes` steps.

    `dense` is [D, S], `weights` and `targets` [D, W], `freedom` [N + S, 1] is one over each row's
    penalty; a row without freedom keeps weight 0. Each target has its own steps.
    """
    matrix = _Matrix([_tensors(block) for block in blocks], torch.from_numpy(dense))
    importance, free = torch.from_numpy(weights), torch.from_numpy(freedom)
    penalty = torch.where(free > 0, ridge / free, 0)
    gradient = matrix.transposed_times(importance * torch.from_numpy(targets))
    solution = torch.zeros_like(gradient)
    step = free * gradient
    size = _dot(gradient, step)
    for _ in range(passes):  # in place: the arrays are what takes the time
        image = matrix.transposed_times(importance * matrix.times(step))
        image.addcmul_(penalty, step)
        rate = _ratio(size, _dot(step, image))
        solution.addcmul_(step, rate)
        gradient.addcmul_(image, -rate)
        torch.mul(gradient, free, out=image)
        before, size = size, _dot(gradient, image)
        step.mul_(_ratio(size, before)).add_(image)
    weights_by_row: _Floats = solution.numpy()
    return weights_by_row


def product(blocks: Sequence[Block], dense: _Floats, solution: _Floats) -> _Floats:
    """[D, W]: what these weights [N + S, W] say of each document."""
    matrix = _Matrix([_tensors(block) for block in blocks], torch.from_numpy(dense))
    scores: _Floats = matrix.times(torch.from_numpy(solution)).numpy()
    return scores


def _tensors(block: Block) -> tuple[Tensor, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its CSR tensors beta
        first, second = (
            torch.sparse_csr_tensor(
                torch.from_numpy(matrix.indptr),
                torch.from_numpy(matrix.indices),
                torch.from_numpy(matrix.data),
                size=matrix.shape,
            )
            for matrix in (block.features, block.transposed)
        )
    return first, second


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each target, float64 [W]; NumPy's is fifty times faster than torch's."""
    return torch.from_numpy(np.einsum("ij,ij->j", a.numpy(), b.numpy(), dtype=np.float64))


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b by target, 0 where a target has nothing left to do; float32 [W]."""
    return torch.where(b > 0, a / b, 0).float()
