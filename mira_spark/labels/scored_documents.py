"""The documents that a rubric was tried on: those labelled on it, else those of its pilot."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from pyspark.sql import Row, functions as F

from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics.audit import Audit, Basis, ScoredDocuments, audit
from mira_spark.rubrics.rubric import Rubric

MOST_DOCUMENTS = 20_000
"""An audit looks at so many of the labels, the lowest by hash of doc_id."""


def scored_documents(
    lake: Lakehouse, rubric: Rubric, labelling_id: str, discovery_id: str
) -> ScoredDocuments | None:
    """The labels of the labelling, less those set aside and spoilt copies; without any the pilot of
    the discovery, where it scored all dimensions of the rubric; None where neither did."""
    labels = lake.read("labels").filter(F.col("labelling_id") == labelling_id)
    labels = labels.filter(F.col("set_aside").isNull() & F.col("spoilt").isNull())
    columns = ("doc_id", "source", "scores", "reversed_scores")
    drawn = labels.select(*columns).orderBy(F.xxhash64("doc_id"), "doc_id").limit(MOST_DOCUMENTS)
    if rows := drawn.collect():
        return _scored("labels", rows, list(range(len(rubric.anchors))))
    pilot = lake.read("pilot_labels").filter(F.col("discovery_id") == discovery_id)
    rows = pilot.orderBy("doc_id").collect()
    places = {name: place for place, name in enumerate(rows[0]["names"])} if rows else {}
    if any(anchor.name not in places for anchor in rubric.anchors):
        return None
    return _scored("pilot", rows, [places[anchor.name] for anchor in rubric.anchors])


def _scored(basis: Basis, rows: list[Row], places: list[int]) -> ScoredDocuments:
    nothing = [None] * len(rows[0]["scores"])
    scores = np.array([row["scores"] for row in rows], np.float64)
    again = np.array([row["reversed_scores"] or nothing for row in rows], np.float64)
    return ScoredDocuments(
        basis,
        [row["doc_id"] for row in rows],
        [row["source"] for row in rows],
        scores[:, places],
        again[:, places],
    )


def audits(
    lake: Lakehouse,
    rubrics: Iterable[Rubric],
    labelling_ids: Mapping[str, str],
    discoveries: Mapping[str, str],
) -> Iterator[Audit]:
    """The audit of each rubric that some documents were scored on; `labelling_ids` by rubric_id,
    `discoveries` by group."""
    for rubric in rubrics:
        group, labelling_id = rubric.source_group, labelling_ids[rubric.rubric_id]
        scored = scored_documents(lake, rubric, labelling_id, discoveries.get(group, ""))
        if scored is not None:
            names = [anchor.name for anchor in rubric.anchors]
            yield audit(group, rubric.rubric_id, names, scored)
