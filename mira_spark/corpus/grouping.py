"""Sources into groups by what their documents hold (paper section on grouping; choices ours)."""

import hashlib
import itertools
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mira_spark.corpus.embedding import HASHING, Embedder, Vectors, embed, unit_vectors
from mira_spark.settings.corpus import GroupingSettings
from mira_spark.settings.types import SEEDS

MOST_GROUPS = 8
WINDOW_TOKENS = 1_000
"""Of a longer document three windows of so many tokens are embedded."""
_TEXTS_AT_ONCE = 256
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True)
class Source:
    """A source as it is grouped: its size and its unit vector."""

    name: str
    documents: int
    tokens: int
    sampled: int
    vector: npt.NDArray[np.float32]


def source_vector(
    texts: Iterable[str], embedder: Embedder = embed
) -> tuple[int, npt.NDArray[np.float32]]:
    """How many texts there are, at least one, and the unit-length mean of their unit vectors.

    Not more than TEXTS_AT_ONCE are held.
    """
    count, total = 0, np.zeros((1, 1), np.float32)
    remaining = iter(texts)
    while chunk := list(itertools.islice(remaining, _TEXTS_AT_ONCE)):
        count += len(chunk)
        total = total + embedder(chunk).sum(axis=0, keepdims=True)
    mean: npt.NDArray[np.float32] = unit_vectors(total / np.float32(count))[0]
    return count, mean


def group(sources: Sequence[Source], settings: GroupingSettings) -> dict[str, str]:
    """Source name to group name (group_a is the one with most tokens); deterministic by seed.

    What all sources share (their mean) is taken away before clustering, or the commonest signs
    would decide. Sources less similar than `outlier_below` to every other stand alone; one source
    is one group.
    """
    vectors = np.stack([s.vector for s in sources])
    _, cosines = nearest(vectors, range(len(sources)))
    alone = set(np.flatnonzero(cosines < settings.outlier_below).tolist())
    together = [i for i in range(len(sources)) if i not in alone]
    labels = _clusters(unit_vectors(vectors[together] - vectors.mean(axis=0)), settings)
    clusters: dict[int, list[Source]] = {}
    for i, label in zip(together, labels, strict=True):
        clusters.setdefault(int(label), []).append(sources[i])
    members = [*clusters.values(), *([sources[i]] for i in sorted(alone))]
    members.sort(key=lambda m: (-sum(s.tokens for s in m), min(s.name for s in m)))
    groups = {s.name: group_name(i) for i, m in enumerate(members) for s in m}
    return groups | {s: g for s, g in settings.mapping.items() if s in groups}


def group_name(index: int) -> str:
    """The name of the group with this number, from 0: group_a … group_z, then group_26 …"""
    letters = string.ascii_lowercase
    return f"group_{letters[index] if index < len(letters) else index}"


def _clusters(vectors: Vectors, settings: GroupingSettings) -> npt.NDArray[np.int32]:
    unlike = len(np.unique(vectors, axis=0))
    if settings.groups is not None and unlike:
        return _kmeans(vectors, min(settings.groups, unlike), settings.seed)
    most = min(MOST_GROUPS, unlike, len(vectors) - 1)
    if most < 2:
        return np.zeros(len(vectors), dtype=np.int32)
    from sklearn.metrics import silhouette_score  # seconds to import

    candidates = [_kmeans(vectors, k, settings.seed) for k in range(2, most + 1)]
    scores = [silhouette_score(vectors, labels, metric="cosine") for labels in candidates]
    return candidates[int(np.argmax(scores))]


def _kmeans(vectors: Vectors, k: int, seed: int) -> npt.NDArray[np.int32]:
    from sklearn.cluster import KMeans  # seconds to import

    labels: npt.NDArray[np.int32] = KMeans(k, n_init=10, random_state=seed % SEEDS).fit_predict(
        vectors
    )
    return labels


def join_nearest(source: Source, grouped: Mapping[str, tuple[str, npt.NDArray[np.float32]]]) -> str:
    """The group of the most similar grouped source (ties by name); `grouped` is name to
    (group, vector)."""
    best = max(sorted(grouped), key=lambda n: float(np.dot(source.vector, grouped[n][1])))
    return grouped[best][0]


def nearest(
    vectors: Vectors, rows: Sequence[int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each of `rows` of the unit vectors the most similar other row, the first among equals,
    and its cosine; -1 where there is no other. Memory grows with the vectors alone."""
    chosen = np.asarray(rows, dtype=np.intp)
    places, cosines = np.zeros(len(chosen), np.intp), np.zeros(len(chosen), np.float32)
    for first in range(0, len(chosen), _ROWS_AT_ONCE):
        here = slice(first, first + _ROWS_AT_ONCE)
        block = vectors[chosen[here]] @ vectors.T
        own = np.arange(len(block)), chosen[here]
        block[own] = -1
        places[here], cosines[here] = block.argmax(axis=1), block.max(axis=1)
    return places, cosines


def grouping_id(settings: GroupingSettings, embedder_id: str = HASHING) -> str:
    """Digest of the settings and the embedder. The grouping made under them is kept: sources that
    come later join it, and other settings (another seed, say) are how a new clustering is asked
    for."""
    asked = settings.model_dump(mode="json")
    content = json.dumps(asked if embedder_id == HASHING else [asked, embedder_id], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
