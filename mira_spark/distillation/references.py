"""What a student must beat: four simple predictors, trained on the training rows it had.

Scores are [rows, slots] in points of 0-10, NaN = not answered. No seed: the same rows give the same
predictions. A slot without a training label is NaN in all of them.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mira_spark.distillation.reliability import Points
from mira_spark.lake.scale import POINTS

_Floats = npt.NDArray[np.float32]

KNOTS = 7
"""Quantiles of length at which the line of `length` may bend."""
TERMS = 1 << 18
"""Words and pairs of words that `tfidf_ridge` keeps, the most frequent ones."""
CHARACTERS = 20_000
"""How much of a text `tfidf_ridge` reads."""
ALPHAS = (0.3, 1.0, 3.0)
TRIED_SHARE = 0.2
"""Share of its training rows on which `tfidf_ridge` chooses among ALPHAS."""
WORD = r"\b\w\w+\b"


@dataclass(frozen=True)
class Documents:
    """Texts and the source of each."""

    texts: Sequence[str]
    sources: Sequence[str]


def predictions(
    train: Documents, scores: Points, validation: Documents, ridge_rows: int = 20_000
) -> dict[str, _Floats]:
    """Reference to its predictions [validation rows, slots], trained on `train` and its `scores`:

    `slot_mean`, the slot's mean; `source_mean`, its mean in the document's source; `length`, of
    the number of bytes alone; `tfidf_ridge`, of words and pairs of words, on at most `ridge_rows`
    training rows chosen by hash of text. See the functions of these names.
    """
    for documents, rows in ((train, len(scores)), (validation, len(validation.texts))):
        if not len(documents.texts) == len(documents.sources) == rows:
            raise ValueError(
                f"{len(documents.texts)} texts, {len(documents.sources)} sources and {rows} rows: "
                "expected as many of each"
            )
    if not len(scores):
        raise ValueError("no training rows: expected at least one")
    return {
        "slot_mean": slot_mean(scores, len(validation.texts)),
        "source_mean": source_mean(train.sources, scores, validation.sources),
        "length": length(train.texts, scores, validation.texts),
        "tfidf_ridge": tfidf_ridge(train.texts, scores, validation.texts, ridge_rows),
    }


def slot_mean(scores: Points, rows: int) -> _Floats:
    """The mean of each slot, the same in all `rows`: what knowing nothing of a document gives."""
    return np.tile(_means(scores), (rows, 1)).astype(np.float32)


def source_mean(train_sources: Sequence[str], scores: Points, sources: Sequence[str]) -> _Floats:
    """The mean of each slot in the document's source, the slot's where the source has no label."""
    names = np.asarray(train_sources, object)
    anywhere = _means(scores)
    mean_of = {}
    for source in set(sources):
        own = _means(scores[names == source])
        mean_of[source] = np.where(np.isnan(own), anywhere, own)
    rows = [mean_of[source] for source in sources]
    return np.array(rows, np.float32).reshape(len(sources), scores.shape[1])


def length(train_texts: Sequence[str], scores: Points, texts: Sequence[str]) -> _Floats:
    """A broken line over log bytes for each slot, flat beyond the shortest and longest knot.

    Not isotonic: judges like neither stubs nor dumps, and a reference that could not bend back
    would be too easily beaten.
    """
    logs = _log_bytes(train_texts)
    knots = np.unique(np.quantile(logs, np.linspace(0, 1, KNOTS)))
    return _ridge(_hats(logs, knots), scores, _hats(_log_bytes(texts), knots), alpha=1.0)


def tfidf_ridge(
    train_texts: Sequence[str], scores: Points, texts: Sequence[str], max_rows: int = 20_000
) -> _Floats:
    """Ridge regression on TF-IDF of words and pairs of words, of each text's first CHARACTERS.

    Trained on at most `max_rows` rows, those with the lowest hashes of text: the same whichever
    order the rows come in. The last fifth of those by hash chooses among ALPHAS, then all are
    trained on. Without a word in the training texts it is `slot_mean`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import

    order = sorted(range(len(train_texts)), key=lambda row: _hash(train_texts[row]))[:max_rows]
    chosen = [train_texts[row][:CHARACTERS] for row in order]
    labels = scores[order]
    if not texts or not any(re.search(WORD, text) for text in chosen):
        return slot_mean(scores, len(texts))
    vectors = TfidfVectorizer(
        token_pattern=WORD,
        ngram_range=(1, 2),
        max_features=TERMS,
        sublinear_tf=True,
        dtype=np.float32,
    )
    features = vectors.fit_transform(chosen)
    unseen = vectors.transform([text[:CHARACTERS] for text in texts])
    return _ridge(features, labels, unseen, _best_alpha(features, labels))


def _best_alpha(features: Any, labels: Points) -> float:
    """Of ALPHAS the one whose squared error is least on rows not trained on; 1 for very few rows.

    The rows are in the order of their hashes, so the last are a sample. Terms were counted with
    them, which tells nothing of their labels.
    """
    tried = int(len(labels) * TRIED_SHARE)
    if tried < 2:
        return 1.0
    errors = []
    for alpha in ALPHAS:
        guess = _ridge(features[:-tried], labels[:-tried], features[-tried:], alpha)
        squares = (guess - labels[-tried:]) ** 2
        errors.append(float(np.nansum(squares)))
    return ALPHAS[int(np.argmin(errors))]


def _ridge(features: Any, labels: Points, unseen: Any, alpha: float) -> _Floats:
    """Predictions for `unseen`, each slot fitted on the rows that have it, bounded to 0-10.

    Slots answered in the same rows are fitted together, which is the same and faster.
    """
    from sklearn.linear_model import Ridge

    guess = np.full((unseen.shape[0], labels.shape[1]), np.nan, np.float32)
    known = ~np.isnan(labels)
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        slots = np.flatnonzero(which.ravel() == number)
        if rows.any() and len(guess):
            model = Ridge(alpha=alpha).fit(features[rows], labels[np.ix_(rows, slots)])
            guess[:, slots] = model.predict(unseen).reshape(len(guess), -1)
    return np.clip(guess, 0, POINTS)


def _means(scores: Points) -> npt.NDArray[np.float64]:
    """The mean of each slot's answers, NaN where there is none."""
    known = ~np.isnan(scores)
    total = np.where(known, scores, 0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    means: npt.NDArray[np.float64] = np.full(len(total), np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _log_bytes(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in texts]
    logs: npt.NDArray[np.float64] = np.log1p(sizes)
    return logs


def _hats(
    values: npt.NDArray[np.float64], knots: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Each value as shares of its two nearest knots, [rows, knots]: a line between knots."""
    shares = [np.interp(values, knots, one) for one in np.eye(len(knots))]
    return np.stack(shares, axis=1)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
