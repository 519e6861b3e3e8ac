"""A stand-in for a judge: it measures named, computable properties and says so in its reasons.

It needs no network and no model, and gives the same answer every time. What it calls quality is
what can be counted in a text; it understands nothing.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from mira_spark.corpus.parts import parts
from mira_spark.errors import JudgeError, joined
from mira_spark.judges.heuristic import properties_code, properties_prose, properties_text
from mira_spark.judges.heuristic.measures import Document, Property
from mira_spark.judges.protocol import Answer, Request

_PROPERTIES: dict[str, Property] = {
    each.name: each
    for family in (properties_text, properties_prose, properties_code)
    for each in family.PROPERTIES
}
PROPERTY_NAMES = tuple(_PROPERTIES)
FEWEST_POINTS = 10
_NOT_APPLICABLE = "Heuristic measurement: not made, the document offers too little of its kind."


@dataclass(frozen=True)
class Point:
    """One dimension of quality measured on one document; `score` is an integer from 0 to 10."""

    name: str
    score: int
    reason: str


class HeuristicJudge:
    """The offline judge: deterministic, free, and named for what it is."""

    name = "heuristic:2"
    identity: Mapping[str, object] = MappingProxyType({"provider": "heuristic", "version": 2})
    max_output_tokens = None

    async def ask(self, request: Request) -> Answer:
        """Measured points, the rubric's slots, or names to merge; JudgeError for unknown slots."""
        started = time.perf_counter()
        content: dict[str, object] = {"document": request.code, "canary": 0}
        if request.purpose == "merge":
            content["merges"] = _merges([anchor.name for anchor in request.anchors])
        elif request.anchors:
            content["answers"] = _answers(request)
        else:
            content["dimensions"] = [vars(point) for point in discover(request.document)]
        latency_ms = round(1000 * (time.perf_counter() - started))
        return Answer(json.dumps(content), model=self.name, latency_ms=latency_ms)

    async def close(self) -> None:
        """Nothing is held."""


def discover(document: str, limit: int = 15) -> list[Point]:
    """The properties that are central to the document's kind, those with the fewest points first;
    after them, while there are fewer than `FEWEST_POINTS`, others that apply."""
    seen = Document(document)
    points = [point for each in _PROPERTIES.values() if (point := _measured(each, seen))]
    central = {name for name, each in _PROPERTIES.items() if seen.kind in each.central}
    points.sort(key=lambda point: (point.name not in central, point.score, point.name))
    named = sum(point.name in central for point in points)
    return points[: min(limit, max(FEWEST_POINTS, named))]


def label(document: str, names: Sequence[str]) -> list[Point | None]:
    """One point for each name, in order; None where the property does not apply.

    JudgeError names every unknown name and the nearest one that is known.
    """
    if unknown := [name for name in dict.fromkeys(names) if name not in _PROPERTIES]:
        raise JudgeError(joined(map(_unknown, unknown)))
    seen = Document(document)
    return [_measured(_PROPERTIES[name], seen) for name in names]


def _answers(request: Request) -> list[dict[str, int | str | None]]:
    names = [anchor.name for anchor in request.anchors]
    own, of_parts = parts(request.document), {anchor.part for anchor in request.anchors}
    points = {p: label(own.get(p, "") if p else request.document, names) for p in of_parts}
    return [
        {
            "slot": anchor.slot,
            "score": point.score if point else None,
            "reason": point.reason if point else _NOT_APPLICABLE,
        }
        for anchor, point in ((a, points[a.part][i]) for i, a in enumerate(request.anchors))
    ]


def _merges(names: Sequence[str]) -> list[dict[str, str]]:
    first = {name.casefold(): name for name in reversed(names)}
    return [{"name": n, "into": into} for n in names if (into := first[n.casefold()]) != n]


def _measured(each: Property, document: Document) -> Point | None:
    if (measurement := each.measure(document)) is None:
        return None
    quantity, what = measurement
    return Point(each.name, each.points(quantity), f"Heuristic measurement: {what}.")


def _unknown(name: str) -> str:
    nearest = get_close_matches(name, _PROPERTIES, n=1, cutoff=0.0)[0]
    return f"rubric: the heuristic judge cannot measure '{name}'; the nearest it can is '{nearest}'"
