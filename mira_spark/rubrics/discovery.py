"""From what the judge named in sampled documents to the anchors of a group's rubric."""

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from mira_spark.corpus.draws import draw
from mira_spark.corpus.embedding import Embedder, Vectors
from mira_spark.judges.protocol import Anchor
from mira_spark.rubrics.lint import problems
from mira_spark.settings.rubrics import DiscoverySettings
from mira_spark.settings.types import SEEDS

DOCUMENTS_PER_ANCHOR = 3
"""A dimension named in fewer documents is left out: no document alone can make one."""
FOUND_AGAIN_ABOVE = 0.8
"""Cosine above which the anchors of two samples are taken for one dimension. Measured on points of
the heuristic judge: one property 0.84 and more in 99 of 100 pairs, two properties 0.69 and less.
Other wordings of one dimension share fewer words (0.56 and less), so that stability errs on the low
side."""


@dataclass(frozen=True)
class JudgedPoint:
    """One dimension the judge named in one document; `point` is its place in the answer."""

    source: str
    doc_id: str
    point: int
    name: str
    reason: str
    score: int


@dataclass(frozen=True)
class Anchored:
    """One dimension that may become a slot: the real point nearest its cluster's centre, and how
    common it is. Shares are of documents (of the group, of each source) with a point in the
    cluster, whose points are `members`."""

    anchor: JudgedPoint
    cluster_size: int
    document_share: float
    source_shares: dict[str, float]
    score_sd: float | None
    members: tuple[JudgedPoint, ...] = field(default=(), compare=False, repr=False)

    @property
    def documents(self) -> frozenset[tuple[str, str]]:
        """The documents of its points, as (source, doc_id)."""
        return _documents(self.members)


def anchors(
    points: Sequence[JudgedPoint], settings: DiscoverySettings, embedder: Embedder
) -> list[Anchored]:
    """At most `settings.anchors` of them, largest cluster first; fewer where the points hold no
    more.

    KMeans with as many clusters over the embedded (name, reason) pairs, the score left out (paper,
    section on discovery). A point that the lint refuses is no anchor: the next nearest is. A
    cluster that has no other, whose points come from fewer than `DOCUMENTS_PER_ANCHOR` documents
    (of a sample that has more), or whose anchor has the name of a larger one or a cosine over
    `same_above` to it, gives its place to the next cluster of a finer clustering. Deterministic for
    the same points in the same order and seed.
    """
    if not points:
        return []
    vectors = embedder([_text(p) for p in points])
    admissible = cache(lambda i: not problems(points[i].name, points[i].reason))
    enough = min(DOCUMENTS_PER_ANCHOR, len(_documents(points)))
    chosen: list[tuple[int, npt.NDArray[np.intp]]] = []
    wanted = settings.anchors
    most = min(len({p.name for p in points}), 4 * wanted)
    k = min(wanted, most)
    while True:
        for members in _clusters(vectors, k, settings.seed):
            if len(_documents(points[i] for i in members)) < enough:
                continue
            centre = next(filter(admissible, members), None)
            if (
                centre is not None
                and len(chosen) < wanted
                and _is_new(centre, chosen, points, vectors, settings)
            ):
                chosen.append((centre, members))
        if len(chosen) >= wanted or k >= most:
            break
        k = min(k + wanted, most)
    chosen.sort(key=lambda c: (-len(c[1]), points[c[0]].name))
    return [
        _anchored_cluster(points[centre], [points[i] for i in m], points) for centre, m in chosen
    ]


def merged(
    anchored: Sequence[Anchored], merges: Mapping[str, str], points: Sequence[JudgedPoint]
) -> list[Anchored]:
    """The anchors less those whose name is merged into another's, which gets their points; largest
    cluster first. `merges` is name to the name that stands for both, which is merged no further.
    """
    members: dict[str, list[JudgedPoint]] = {}
    for a in anchored:
        name = a.anchor.name
        members.setdefault(merges.get(name, name), []).extend(a.members)
    left = [a for a in anchored if a.anchor.name not in merges]
    together = [_anchored_cluster(a.anchor, members[a.anchor.name], points) for a in left]
    return sorted(together, key=lambda a: (-a.cluster_size, a.anchor.name))


def stability(
    points: Sequence[JudgedPoint],
    anchored: Sequence[Anchored],
    settings: DiscoverySettings,
    embedder: Embedder,
) -> list[float]:
    """For each anchor of the points, in how much of two disjoint halves of their documents it was
    found again: 0, 0.5 or 1.

    Documents fall into halves by hash of doc_id, and each half is clustered as the whole was. Found
    again is an anchor with the name of one of the half's, or a cosine over `FOUND_AGAIN_ABOVE`.
    """
    times = np.zeros(len(anchored))
    for first in (True, False):
        half = [p for p in points if (draw(p.doc_id, "half") < 0.5) == first]
        again = anchors(half, settings, embedder)
        if anchored and again:
            names = {a.anchor.name.casefold() for a in again}
            vectors = [embedder([_text(a.anchor) for a in each]) for each in (anchored, again)]
            cosines = vectors[0] @ vectors[1].T
            same_name = np.array([a.anchor.name.casefold() in names for a in anchored])
            times += same_name | (cosines.max(axis=1) > FOUND_AGAIN_ABOVE)
    return [float(t) for t in times / 2]


def coverage(points: Sequence[JudgedPoint], anchored: Sequence[Anchored]) -> float:
    """Share of the documents with points that have one in an anchor's cluster, 0 without points."""
    covered = frozenset[tuple[str, str]]().union(*(a.documents for a in anchored))
    documents = _documents(points)
    return len(covered & documents) / len(documents) if documents else 0.0


def _text(point: JudgedPoint) -> str:
    return f"{point.name}. {point.name}. {point.reason}"


def _documents(points: Iterable[JudgedPoint]) -> frozenset[tuple[str, str]]:
    return frozenset((p.source, p.doc_id) for p in points)


def _clusters(vectors: Vectors, k: int, seed: int) -> list[npt.NDArray[np.intp]]:
    """The members of each cluster, nearest to the centre first; largest cluster first."""
    from sklearn.cluster import KMeans  # seconds to import

    fitted = KMeans(k, n_init=3, random_state=seed % SEEDS).fit(vectors)
    clusters = []
    for label, centre in enumerate(fitted.cluster_centers_):
        members = np.flatnonzero(fitted.labels_ == label)
        if len(members):
            distances = np.linalg.norm(vectors[members] - centre, axis=1)
            clusters.append(members[np.argsort(distances, kind="stable")])
    return sorted(clusters, key=lambda members: (-len(members), members[0]))


def _is_new(
    centre: int,
    chosen: Sequence[tuple[int, npt.NDArray[np.intp]]],
    points: Sequence[JudgedPoint],
    vectors: Vectors,
    settings: DiscoverySettings,
) -> bool:
    return all(
        points[centre].name.casefold() != points[other].name.casefold()
        and float(vectors[centre] @ vectors[other]) <= settings.same_above
        for other, _ in chosen
    )


def _anchored_cluster(
    anchor: JudgedPoint, members: Sequence[JudgedPoint], points: Sequence[JudgedPoint]
) -> Anchored:
    documents = _documents(members)
    sampled = Counter(source for source, _ in _documents(points))
    covered = Counter(source for source, _ in documents)
    scores = [p.score for p in members]
    return Anchored(
        anchor=anchor,
        cluster_size=len(members),
        document_share=covered.total() / sampled.total(),
        source_shares={s: covered[s] / n for s, n in sorted(sampled.items())},
        score_sd=statistics.stdev(scores) if len(scores) > 1 else None,
        members=tuple(members),
    )


def slots(anchored: Sequence[Anchored]) -> tuple[Anchor, ...]:
    """The anchors as the slots of a rubric, numbered from 0 in their order."""
    return tuple(Anchor(i, a.anchor.name, a.anchor.reason) for i, a in enumerate(anchored))


def discovery_id(grouping_id: str, source_group: str, asked: str) -> str:
    """Digest of what is asked of which group: equal means the same discovery."""
    content = json.dumps([grouping_id, source_group, asked])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
