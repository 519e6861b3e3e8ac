"""Sources into groups by what their documents hold (paper section on grouping; choices ours)."""

import hashlib
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from mira_spark.embedding import Vectors, unit
from mira_spark.setting_types import SEEDS, Name, Seed

MOST_GROUPS = 8


class GroupingSettings(BaseModel):
    """`groups` None: chosen by silhouette. `mapping` (source to group) overrides the clustering."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_source: int = Field(200, ge=1, le=10_000)
    groups: int | None = Field(None, ge=1)
    outlier_below: float = Field(0.3, ge=-1, le=1)
    mapping: Mapping[str, Name] = {}
    seed: Seed = 0


@dataclass(frozen=True)
class Source:
    """A source as it is grouped: its size and its unit vector."""

    name: str
    documents: int
    tokens: int
    sampled: int
    vector: npt.NDArray[np.float32]


def source_vector(document_vectors: Vectors) -> npt.NDArray[np.float32]:
    """Unit-length mean of the unit vectors of a source's sampled documents."""
    mean: npt.NDArray[np.float32] = unit(document_vectors.mean(axis=0, keepdims=True))[0]
    return mean


def group(sources: Sequence[Source], settings: GroupingSettings) -> dict[str, str]:
    """Source name to group name (group_a is the one with most tokens); deterministic by seed.

    What all sources share (their mean) is taken away before clustering, or the commonest signs
    would decide. Sources less similar than `outlier_below` to every other stand alone; one source
    is one group.
    """
    vectors = np.stack([s.vector for s in sources])
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    alone = {i for i in range(len(sources)) if cosine[i].max(initial=-1) < settings.outlier_below}
    together = [i for i in range(len(sources)) if i not in alone]
    labels = _clusters(unit(vectors[together] - vectors.mean(axis=0)), settings)
    clusters: dict[int, list[Source]] = {}
    for i, label in zip(together, labels, strict=True):
        clusters.setdefault(int(label), []).append(sources[i])
    members = [*clusters.values(), *([sources[i]] for i in sorted(alone))]
    members.sort(key=lambda m: (-sum(s.tokens for s in m), min(s.name for s in m)))
    found = {s.name: group_name(i) for i, m in enumerate(members) for s in m}
    return found | {s: g for s, g in settings.mapping.items() if s in found}


def group_name(index: int) -> str:
    """group_a … group_z, then group_26 …"""
    letters = string.ascii_lowercase
    return f"group_{letters[index] if index < len(letters) else index}"


def _clusters(vectors: Vectors, settings: GroupingSettings) -> npt.NDArray[np.int32]:
    unlike = len(np.unique(vectors, axis=0))
    if settings.groups is not None and unlike:
        return _kmeans(vectors, min(settings.groups, unlike), settings.seed)
    most = min(MOST_GROUPS, unlike, len(vectors) - 1)
    if most < 2:
        return np.zeros(len(vectors), dtype=np.int32)
    candidates = [_kmeans(vectors, k, settings.seed) for k in range(2, most + 1)]
    scores = [silhouette_score(vectors, labels, metric="cosine") for labels in candidates]
    return candidates[int(np.argmax(scores))]


def _kmeans(vectors: Vectors, k: int, seed: int) -> npt.NDArray[np.int32]:
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
    name: str, vectors: Mapping[str, npt.NDArray[np.float32]]
) -> tuple[str | None, float | None]:
    """The most similar other source of `name` and its cosine; (None, None) when it is the only."""
    others = {n: float(np.dot(vectors[name], v)) for n, v in vectors.items() if n != name}
    if not others:
        return None, None
    best = max(sorted(others), key=lambda n: others[n])
    return best, others[best]


def grouping_id(settings: GroupingSettings) -> str:
    """Digest of the settings. The grouping made under them is kept: sources that come later join
    it, and other settings (another seed, say) are how a new clustering is asked for."""
    content = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
