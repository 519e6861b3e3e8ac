"""From what the judge named in sampled documents to the anchors of a group's rubric."""

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from sklearn.cluster import KMeans

from mira_spark.embedding import Vectors, embed
from mira_spark.labelling import is_text
from mira_spark.prompts import MAX_DIMENSIONS


class DiscoverySettings(BaseModel):
    """How many documents are shown without a rubric, and what makes two anchors the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_group: int = Field(300, ge=1)
    documents_per_domain: int = Field(3, ge=1)
    dimensions: int = Field(15, ge=3, le=MAX_DIMENSIONS)
    same_above: float = Field(0.92, gt=0, le=1)
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """One dimension the judge named in one document; `point` is its place in the answer."""

    source: str
    doc_id: str
    point: int
    name: str
    reason: str
    score: int


@dataclass(frozen=True)
class Anchored:
    """One dimension of a rubric: the real point nearest its cluster's centre, and how common
    it is. Shares are of documents (of the group, of each source) with a point in the cluster."""

    anchor: Point
    cluster_size: int
    document_share: float
    source_shares: dict[str, float]
    score_sd: float | None


def parse_points(raw_response: str) -> list[tuple[str, str, int]]:
    """(name, reason, score) of every dimension in a discovery answer; ValueError says what is
    wrong with an answer that is not as asked."""
    try:
        answer = json.loads(raw_response)
        rows = [(d["name"], d["reason"], d["score"]) for d in answer["dimensions"]]
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a list of dimensions: {error!r:.200}") from error
    for name, reason, score in rows:
        if not (is_text(name) and name.strip() and is_text(reason)):
            raise ValueError(f"a dimension without a name or reason: {name!r:.60}")
        if type(score) is not int or not 0 <= score <= 10:
            raise ValueError(f"{name!r:.60}: score {score!r:.20} is not an integer from 0 to 10")
    return rows[:MAX_DIMENSIONS]


def anchors(points: Sequence[Point], settings: DiscoverySettings) -> list[Anchored]:
    """At most `dimensions` anchors, largest cluster first; fewer where the points hold no more.

    KMeans with k = `dimensions` over the embedded (name, reason) pairs, the score left out (paper,
    section on discovery). An anchor with the name of a larger one, or with a cosine over
    `same_above` to it, covers nothing new: its place goes to the next cluster of a finer
    clustering. Deterministic for the same points in the same order and seed.
    """
    vectors = embed([f"{p.name}. {p.name}. {p.reason}" for p in points])
    chosen: list[tuple[int, npt.NDArray[np.intp]]] = []
    most = min(len({p.name for p in points}), 4 * settings.dimensions)
    k = min(settings.dimensions, most)
    while True:
        for centre, members in _clusters(vectors, k, settings.seed):
            if len(chosen) < settings.dimensions and _is_new(
                centre, chosen, points, vectors, settings
            ):
                chosen.append((centre, members))
        if len(chosen) >= settings.dimensions or k >= most:
            break
        k = min(k + settings.dimensions, most)
    chosen.sort(key=lambda c: (-len(c[1]), points[c[0]].name))
    return [_described(points[centre], [points[i] for i in m], points) for centre, m in chosen]


def _clusters(vectors: Vectors, k: int, seed: int) -> list[tuple[int, npt.NDArray[np.intp]]]:
    """(index of the point nearest the centre, indices of the members), largest cluster first."""
    fitted = KMeans(k, n_init=3, random_state=seed).fit(vectors)
    found = []
    for label, centre in enumerate(fitted.cluster_centers_):
        members = np.flatnonzero(fitted.labels_ == label)
        if len(members):
            distances = np.linalg.norm(vectors[members] - centre, axis=1)
            found.append((int(members[np.argmin(distances)]), members))
    return sorted(found, key=lambda c: (-len(c[1]), c[0]))


def _is_new(
    centre: int,
    chosen: Sequence[tuple[int, npt.NDArray[np.intp]]],
    points: Sequence[Point],
    vectors: Vectors,
    settings: DiscoverySettings,
) -> bool:
    return all(
        points[centre].name.casefold() != points[other].name.casefold()
        and float(vectors[centre] @ vectors[other]) <= settings.same_above
        for other, _ in chosen
    )


def _described(anchor: Point, members: Sequence[Point], points: Sequence[Point]) -> Anchored:
    documents = Counter(source for source, _ in {(p.source, p.doc_id) for p in points})
    covered = Counter(source for source, _ in {(p.source, p.doc_id) for p in members})
    scores = [p.score for p in members]
    return Anchored(
        anchor=anchor,
        cluster_size=len(members),
        document_share=covered.total() / documents.total(),
        source_shares={s: covered[s] / n for s, n in sorted(documents.items())},
        score_sd=statistics.stdev(scores) if len(scores) > 1 else None,
    )


def rubric_id(anchored: Sequence[Anchored]) -> str:
    """Digest of the anchors' names and definitions in slot order: one byte more, another rubric."""
    content = json.dumps([(a.anchor.name, a.anchor.reason) for a in anchored])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def discovery_id(grouping_id: str, source_group: str, judge: str, settings_digest: str) -> str:
    """Digest of what is asked of which group: equal means the same discovery."""
    content = json.dumps([grouping_id, source_group, judge, settings_digest])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
