"""Labelled rows with their texts' hashed features on disk: what a linear student is solved on.

Legend: D labelled documents, S shape features, N table rows that some document uses.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mira_spark.distillation import shards
from mira_spark.distillation.shards import Labelled
from mira_spark.errors import InputError
from mira_spark.settings.students import LinearSettings
from mira_spark.students import hashing
from mira_spark.students.linear import utf8_spans

if TYPE_CHECKING:
    from mira_spark.distillation import (
        ridge,  # torch takes seconds to import: only who trains waits for it
    )

_Floats = npt.NDArray[np.float32]

BLOCK = 1 << 24  # features of one matrix of a pass: 128 MB, mapped


@dataclass(frozen=True)
class HashedDocuments:
    """The labelled rows, hashed.

    `blocks` hold each feature's share in a document, mapped from disk; the other fields cover all D
    rows: shapes [D, S], sources, folds [D], judged [D, slots].
    """

    blocks: "list[ridge.Block]"
    table_rows: npt.NDArray[np.intp]
    shapes: npt.NDArray[np.float64]
    sources: list[str]
    folds: npt.NDArray[np.int32]
    judged: _Floats


def hash_labelled(
    labelled: Labelled, slots: int, settings: LinearSettings, folder: Path
) -> HashedDocuments:
    """One pass over the texts, which writes their features to two files in `folder`."""
    bounds, shapes, folds, judged = [np.zeros(1, np.int64)], [], [], []
    sources: list[str] = []
    paths = folder / "features", folder / "shares"
    with paths[0].open("wb") as features, paths[1].open("wb") as shares:
        for rows in labelled.rows():
            bound, feature, share, shape = hashing.hash_documents(
                *utf8_spans(rows["text"]), settings.bits, settings.byte_grams
            )
            features.write(feature.data)
            shares.write(share.data)
            bounds.append(bounds[-1][-1] + bound[1:])
            shapes.append(shape)
            folds.append(rows["fold"].to_numpy())
            judged.append(shards.averaged(rows, slots))
            sources += rows["source"].to_pylist()
    shards.require_rows(labelled, len(sources))
    if bounds[-1][-1] == 0:
        raise InputError(f"{labelled.folder}: all {len(sources):,} labelled texts are blank")
    table_rows = _number_features(folder, 1 << settings.bits)
    blocks = feature_blocks(np.concatenate(bounds), folder, len(table_rows), BLOCK)
    return HashedDocuments(
        blocks,
        table_rows,
        np.concatenate(shapes),
        sources,
        np.concatenate(folds),
        np.concatenate(judged),
    )


def _number_features(folder: Path, columns: int) -> npt.NDArray[np.intp]:
    """The table's rows that some document uses [N]; the file of features holds places in it then,
    so that nothing is solved for the others."""
    features = np.memmap(folder / "features", np.int32, "r+")
    used = np.zeros(columns, bool)
    for at in range(0, len(features), BLOCK):
        used[features[at : at + BLOCK]] = True
    place = (np.cumsum(used) - 1).astype(np.int32)
    for at in range(0, len(features), BLOCK):
        features[at : at + BLOCK] = place[features[at : at + BLOCK]]
    return np.flatnonzero(used)


def feature_blocks(
    bounds: npt.NDArray[np.int64], folder: Path, columns: int, size: int
) -> "list[ridge.Block]":
    """Matrices of about `size` features each: what a pass holds in memory at once."""
    from mira_spark.distillation import ridge

    columns_of = np.memmap(folder / "features", np.int32, "c")  # torch wants writable arrays
    values = np.memmap(folder / "shares", np.float32, "c")
    edges = np.searchsorted(bounds, np.arange(size, bounds[-1], size))
    rows = np.unique(np.concatenate([[0], edges, [len(bounds) - 1]]))
    blocks = []
    for first, last in pairwise(rows.tolist()):
        span = slice(bounds[first], bounds[last])
        starts = (bounds[first : last + 1] - bounds[first]).astype(np.int32)
        shape = (last - first, columns)
        features = sparse.csr_array((values[span], columns_of[span], starts), shape=shape)
        transposed = features.T.tocsr()
        arrays = [
            _memory_map(folder / f"{name}-{first}", getattr(transposed, name))
            for name in ("data", "indices", "indptr")
        ]
        blocks.append(
            ridge.Block(features, sparse.csr_array(tuple(arrays), shape=transposed.shape))
        )
    return blocks


def _memory_map(path: Path, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers on disk instead of in memory."""
    array.tofile(path)
    return np.memmap(path, array.dtype, "c")
