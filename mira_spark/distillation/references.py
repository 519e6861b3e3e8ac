"""What a student must beat: three simple predictions of the judge's verdict on the rows it is
measured on.

Predictions are in points [n], NaN where there is none. `length` and `tfidf_ridge` predict each row
from the rows of the other folds; with one fold they predict nothing. No seed: the same rows give
the same predictions.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mira_spark.distillation.judged_rows import JudgedRows

_Points = npt.NDArray[np.float64]

SOURCE_MEAN = "source_mean"
BY_LENGTH = "length"
TFIDF_RIDGE = "tfidf_ridge"

MEAN_ROWS = 10
"""A source with fewer labels is predicted the mean over all sources."""
KNOTS = 7
"""Quantiles of length, the least and the greatest included, at which its line may bend."""
TERMS = 1 << 18
"""Words and pairs of words that `tfidf_ridge` knows at most, the most frequent ones."""
CHARACTERS = 10_000
"""How much of a text `tfidf_ridge` reads."""


def predictions(rows: JudgedRows, texts: Iterable[str]) -> dict[str, _Points]:
    """Reference to its predictions of `rows`, whose texts come in the same order: `source_mean`,
    `length` and `tfidf_ridge`. See the functions of these names."""
    return {
        SOURCE_MEAN: source_mean(rows.verdict, rows.sources),
        BY_LENGTH: length(rows.verdict, rows.n_bytes, rows.folds),
        TFIDF_RIDGE: tfidf_ridge(rows.verdict, texts, rows.folds),
    }


def source_mean(verdict: _Points, sources: Sequence[str]) -> _Points:
    """The mean verdict of the document's source; that of all rows where the source has fewer than
    MEAN_ROWS labels.

    It knows a row's own label, as the means that a student is measured with do. Means of the other
    folds would be lowest in the folds whose verdicts are highest: they would rank within a source,
    backwards, and be beaten too easily.
    """
    judged = ~np.isnan(verdict)
    if not judged.any():
        return np.full(len(verdict), np.nan)
    names = np.asarray(sources, object)
    predicted = np.full(len(verdict), verdict[judged].mean())
    for source in set(sources):
        own = (names == source) & judged
        if own.sum() >= MEAN_ROWS:
            predicted[names == source] = verdict[own].mean()
    return predicted


def length(
    verdict: _Points, n_bytes: npt.NDArray[np.integer], folds: npt.NDArray[np.integer]
) -> _Points:
    """A broken line over log bytes, its knots at KNOTS quantiles.

    Not isotonic: judges like neither stubs nor dumps, and a reference that could not bend back
    would be too easily beaten.
    """
    if not len(n_bytes):
        return np.empty(0)
    logs = np.log1p(n_bytes)
    knots = np.unique(np.quantile(logs, np.linspace(0, 1, KNOTS)))
    shares = [np.interp(logs, knots, at_knot) for at_knot in np.eye(len(knots))]
    return _out_of_fold(np.stack(shares, axis=1), verdict, folds)


def tfidf_ridge(verdict: _Points, texts: Iterable[str], folds: npt.NDArray[np.integer]) -> _Points:
    """Ridge regression on TF-IDF of words and pairs of words that two texts share, of each text's
    first CHARACTERS; one prediction for all where no text shares a word with another.

    Terms are counted over all texts, which tells nothing of their labels.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import

    vectors = TfidfVectorizer(
        token_pattern=r"\b\w\w+\b",
        ngram_range=(1, 2),
        min_df=2,
        max_features=TERMS,
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        features = vectors.fit_transform(text[:CHARACTERS] for text in texts)
    except ValueError:  # no term is left
        features = np.zeros((len(verdict), 1))
    return _out_of_fold(features, verdict, folds)


def _out_of_fold(features: Any, verdict: _Points, folds: npt.NDArray[np.integer]) -> _Points:
    """Each fold predicted by ridge regression on the judged rows of the others.

    What is learnt is how a row differs from the mean of the rows learnt from. To that the mean of
    all rows is added, the same in every fold: else folds with high verdicts would be predicted low.
    """
    from sklearn.linear_model import Ridge

    judged = ~np.isnan(verdict)
    predicted = np.full(len(verdict), np.nan)
    for fold in np.unique(folds):
        held, learnt = folds == fold, judged & (folds != fold)
        if learnt.any():
            difference = verdict[learnt] - verdict[learnt].mean()
            model = Ridge(alpha=1.0).fit(features[learnt], difference)
            predicted[held] = verdict[judged].mean() + model.predict(features[held])
    return predicted
