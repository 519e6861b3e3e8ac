"""What runs on executors: Arrow batches of documents in, of a baseline's scores out."""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.lake import storage
from mira_spark.scoring import engine
from mira_spark.scoring.baselines import dsir, saved
from mira_spark.scoring.baselines.ngram_model import NgramModel
from mira_spark.scoring.baselines.saved import SavedBaseline
from mira_spark.scoring.batches import UNSCORED_STATUS, Batches
from mira_spark.scoring.engine import Engine, Outage, Reasons
from mira_spark.scoring.scorer import Scorer
from mira_spark.students.protocol import Batching, TextScorer, strings

_KEYS = ("doc_id", "source", "bucket", "content_hash", "n_tokens")
TEXT_COLUMNS = (*_KEYS, "text")
_SCORES = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("bucket", pa.int16()),
        ("content_hash", pa.binary()),
        ("n_tokens", pa.int64()),
        ("score", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
SCORES_DDL = (
    "doc_id string, source string, bucket smallint, content_hash binary, n_tokens bigint, "
    "score double, status string, reason string"
)
NOTHING_MEASURED = "it holds nothing that could be measured"

TextFunction = Callable[[str], float]
"""The score of a text; NaN where there is nothing to score."""
_Scored = tuple[pa.RecordBatch, npt.NDArray[np.floating], Reasons]


@functools.lru_cache(maxsize=4)
def open_scorer(scorer: Scorer, batching: Batching) -> TextFunction | TextScorer:
    """What scores texts, once per worker; ArtefactError when the digest differs."""
    with storage.local_copy(scorer.artefact_uri, scorer.artefact_sha256) as folder:
        content = saved.read(folder, scorer.artefact_sha256)
    return _as_scorer(content, batching)


def _as_scorer(content: SavedBaseline, batching: Batching) -> TextFunction | TextScorer:
    if "architecture" in content.config:
        from mira_spark.scoring.baselines import models  # torch takes seconds

        return models.restored_model(content).batched(batching)
    match content.config["baseline"]:
        case "dsir":
            return functools.partial(dsir.log_weight, ratios=content.arrays["log_ratios"])
        case "perplexity":
            return NgramModel.from_arrays(content.arrays).mean_log_likelihood
        case _:
            from mira_spark.scoring.baselines.heuristics import mean_points

            return mean_points


def score(scorer: Scorer, hung_after_s: float, batching: Batching) -> Callable[[Batches], Batches]:
    """Batches with TEXT_COLUMNS to batches of scores, row for row.

    A document whose scoring raises, or that has nothing to be scored by, is quarantined with its
    reason; one that an outage left without a score has the status UNSCORED_STATUS.
    """

    def run(batches: Batches) -> Batches:
        by = open_scorer(scorer, batching)
        results = _by_text(batches, by) if callable(by) else _by_model(batches, by, hung_after_s)
        for batch, scores, reasons in results:
            yield _score_rows(batch, scores, reasons)

    return run


def _by_model(batches: Batches, by: TextScorer, hung_after_s: float) -> Iterator[_Scored]:
    whole = engine.resized(batches, by.rows_together)
    for batch, scores, reasons in Engine(by, hung_after_s).overlapped(whole):
        yield batch, scores[:, 0], reasons


def _by_text(batches: Batches, by: TextFunction) -> Iterator[_Scored]:
    for batch in batches:
        scores, reasons = np.full(len(batch), math.nan), []
        for row, text in enumerate(strings(batch.column("text"))):
            reason = None
            try:
                scores[row] = by(text)
            except Exception as error:  # of whatever kind: this document alone has no score
                reason = engine.error_text(error)
            reasons.append(reason)
        yield batch, scores, reasons


def _score_rows(
    batch: pa.RecordBatch, scores: npt.NDArray[np.floating], reasons: Reasons
) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in _KEYS}
    is_scored = np.isfinite(scores)
    columns["score"] = pa.array(scores.astype(np.float64), mask=~is_scored)
    columns["status"] = pa.array(
        "scored" if scored else UNSCORED_STATUS if isinstance(reason, Outage) else "quarantined"
        for scored, reason in zip(is_scored, reasons, strict=True)
    )
    columns["reason"] = pa.array(
        (reason if scored else reason or NOTHING_MEASURED
         for scored, reason in zip(is_scored, reasons, strict=True)), pa.string()
    )  # fmt: skip
    arrays = [columns[field.name].cast(field.type) for field in _SCORES]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCORES)
