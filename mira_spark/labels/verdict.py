"""The judge's own verdict on a document, of which a quality is an estimate: the mean of its scores
over the dimensions that apply to the document's source, weighted by the rubric's weights."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

MAX_NULL_SHARE = 0.5
"""A dimension does not apply to a source where a larger share of the judge's answers is null."""

_Scores = npt.NDArray[np.floating]


def applies(judged: _Scores, sources: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """For each source whether a dimension applies to it, bool [slots].

    `judged` are the judge's scores [rows, slots] of one labelling, labels that are set aside left
    out, NaN = null; `sources` is the source of each row. A source without any answer has no
    dimension that applies.
    """
    places = {source: place for place, source in enumerate(dict.fromkeys(sources))}
    place = np.array([places[source] for source in sources], dtype=np.intp)
    nulls = np.zeros((len(places), judged.shape[1]))
    np.add.at(nulls, place, np.isnan(judged))
    null_share = nulls / np.bincount(place, minlength=len(places))[:, None]
    return dict(zip(places, null_share <= MAX_NULL_SHARE, strict=True))


def verdicts(
    judged: _Scores, sources: Sequence[str], weights: Sequence[int]
) -> npt.NDArray[np.float64]:
    """The verdict on each row in points, 0 to 10, float64 [rows].

    `judged` and `sources` as in `applies`; `weights` are the slots', `Rubric.weights`. NaN where
    the judge answered none of the dimensions that apply and have a weight above 0. Whole scores and
    weights give the same bits whatever the order of the rows: sums of them are exact.
    """
    return weighted_means(judged, sources, applies(judged, sources), weights)


def weighted_means(
    scores: _Scores,
    sources: Sequence[str],
    applying: Mapping[str, npt.NDArray[np.bool_]],
    weights: Sequence[int],
) -> npt.NDArray[np.float64]:
    """`verdicts` of scores of which it is known what applies: float64 [rows]."""
    is_counted = np.array([applying[source] for source in sources], dtype=bool)
    is_counted = is_counted.reshape(scores.shape) & ~np.isnan(scores)
    weight = np.asarray(weights, dtype=np.float64)
    total = np.where(is_counted, scores, 0) @ weight
    weighed = is_counted @ weight
    found = np.full(len(scores), np.nan)
    np.divide(total, weighed, out=found, where=weighed > 0)
    return found
