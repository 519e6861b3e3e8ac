"""One student beside the judge and the references it must beat, on rows nothing was fitted on."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mira_spark.corpus.draws import draw
from mira_spark.distillation import (
    evaluation,
    evaluation_plots,
    leaks,
    references,
    shards as training,
)
from mira_spark.distillation.reliability import Cell
from mira_spark.distillation.shards import Floats, Split
from mira_spark.distillation.training import Evaluation
from mira_spark.labels.agreement import Estimate

STUDENT = "student"
REFERENCE_ROWS = 5_000
"""Most rows of a split that references are trained on, and everything is measured on."""


@dataclass(frozen=True)
class Comparison:
    """Figures by name, a row for every (source, slot, predictor) measured, and plots by name."""

    metrics: dict[str, float]
    cells: pd.DataFrame
    figures: dict[str, Any]


def compare(
    shards: Path,
    held_out: Evaluation,
    calibrated: Floats,
    quality: npt.NDArray[np.int16],
    cells: list[Cell],
    dimensions: tuple[str, ...],
) -> Comparison:
    """The student's calibrated scores (points [rows, slots]) and quality (thousandths, below 0:
    none) of `held_out`, beside the judge; references are trained on the training rows in `shards`.
    """
    reliable = np.array([c.reliable for c in cells if c.source is None], bool)
    texts, scores = _sample(shards, "train", None, held_out.judged.shape[1])
    row_of = {doc_id: row for row, doc_id in enumerate(held_out.doc_ids)}
    asked, _ = _sample(shards, "validation", row_of, held_out.judged.shape[1])
    rows = [row_of[doc_id] for doc_id in asked.doc_ids]
    sources = [held_out.sources[row] for row in rows]
    predicted = {STUDENT: calibrated[rows]} | references.predictions(
        texts.documents, scores, asked.documents
    )
    judged, repeated = held_out.judged[rows], held_out.repeated[rows]
    measured = evaluation.measure(predicted, judged, repeated, sources, reliable)
    told_apart = leaks.source_leak(quality[rows], sources)
    others = {"leak/source_auc": told_apart.auc} | {
        f"gain_within_source/{name}": evaluation.within_source_gain(
            calibrated[rows], points, judged, sources, reliable
        )
        for name, points in predicted.items()
        if name != STUDENT
    }
    others["leak/length"] = leaks.length_leak(quality[rows], held_out.n_bytes[rows].tolist())
    if told_apart.chance is not None:
        others["leak/source_auc_chance"] = Estimate(told_apart.chance, None, None)
    figures = {
        "reliability": evaluation_plots.heatmap(
            measured, STUDENT, dimensions, {(c.source, c.slot) for c in cells if c.reliable}
        ),
        "calibration": evaluation_plots.calibration(calibrated[rows], judged),
        "predicted_against_judged": evaluation_plots.density(calibrated[rows], judged),
    }
    return Comparison(evaluation.metrics(measured, others), evaluation.frame(measured), figures)


@dataclass(frozen=True)
class _Texts:
    doc_ids: list[str]
    documents: references.Documents


def _sample(
    shards: Path, split: Split, among: Mapping[str, int] | None, slots: int
) -> tuple[_Texts, Floats]:
    """At most REFERENCE_ROWS rows of a split, those with the lowest hashes of doc_id, with the
    judge's scores; `among` are the only doc_ids to take."""

    def each() -> Iterator[tuple[float, str, str, str, Floats]]:
        for batch in training.rows(shards, split):
            points = training.averaged(batch, slots)
            columns = (batch[name].to_pylist() for name in ("doc_id", "source", "text"))
            for doc_id, source, text, scores in zip(*columns, points, strict=True):
                if among is None or doc_id in among:
                    share = draw(doc_id, "references")
                    yield share, doc_id, source, text or "", scores

    chosen = heapq.nsmallest(REFERENCE_ROWS, each(), key=lambda row: row[:2])
    documents = references.Documents([row[3] for row in chosen], [row[2] for row in chosen])
    scores = np.array([row[4] for row in chosen], np.float32).reshape(-1, slots)
    return _Texts([row[1] for row in chosen], documents), scores
