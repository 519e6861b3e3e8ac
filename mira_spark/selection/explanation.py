"""Why documents are in a selection or not: what each was scored, and where its source is cut."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.corpus.ngram_batches import DOCUMENT
from mira_spark.errors import ArtefactError, InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.scorers import recorded_scorer
from mira_spark.selection import candidates, histogram as bins, lost_versions, record
from mira_spark.selection.explanation_wording import (
    Explanation,
    ScoredDimension,
    contamination_text,
)
from mira_spark.selection.pinned import near_duplicates
from mira_spark.selection.positions import FIRST_HASH, Positions
from mira_spark.selection.record import Selection
from mira_spark.settings.selection import ScoreColumn
from mira_spark.students.artefact import Manifest

_SURROGATE = re.compile("[\ud800-\udfff]")  # of bytes that are no UTF-8; no table holds one
_NEW, UNGROUPED, NO_SCORE = "new", "no student", "not scored"


@dataclass(frozen=True)
class _Known:
    """What the tables say of some documents.

    By doc_id: `documents` at the pinned version, `later` ones as they are now, `candidates` with a
    score, among them the equals that compete with a document. By source: `cutoffs`. By student:
    `students`, `manifests`. `listed` are those in the selection's list, None where it keeps none;
    `levels` is what competes by which quality, of every group that a document is of; `contaminated`
    of a document the item of which it holds most.
    """

    one: Selection
    documents: Mapping[str, Row]
    later: Mapping[str, Row]
    listed: frozenset[str] | None
    cutoffs: Mapping[str, Row]
    candidates: Mapping[str, Row]
    students: Mapping[str, Row]
    manifests: Mapping[str, Manifest]
    levels: Positions
    contaminated: Mapping[str, Row]


def explain(lake: Lakehouse, one: Selection, doc_id: str) -> Explanation:
    """Why the document is in this selection or not. InputError as of `explain_all`."""
    return explain_all(lake, one, [doc_id])[0]


def explain_all(lake: Lakehouse, one: Selection, doc_ids: Sequence[str]) -> list[Explanation]:
    """Why each document is in it or not, in their order; some thousands at once.

    InputError when there is no such document, or a version that the selection was made from cannot
    be read any more.
    """
    lost_versions.check_readable(lake, [one], lost_versions.ALL_PINNED)
    known = _known(lake, one, doc_ids)
    return [_explained(known, doc_id) for doc_id in doc_ids]


def _known(lake: Lakehouse, one: Selection, doc_ids: Sequence[str]) -> _Known:
    documents = _documents(lake, doc_ids, one.version("documents"))
    later = _documents(lake, [d for d in doc_ids if d not in documents], None)
    for doc_id in doc_ids:
        if doc_id not in documents and doc_id not in later:
            raise InputError(
                f"there is no document {doc_id!r} in {lake.name('documents')}, neither at version "
                f"{one.version('documents')}, which {one.title} is of, nor now: "
                'mira sql "select doc_id from documents" lists what there is'
            )
    cutoffs = _by(record.cutoffs(lake, one), "source")
    sources = {row["source"] for row in documents.values()}
    ids = {cutoffs[source]["student_id"] for source in sources & cutoffs.keys()}
    students = _by(lake.read("students").filter(F.col("student_id").isin(list(ids))), "student_id")
    return _Known(
        one=one,
        documents=documents,
        later=later,
        listed=_listed_ids(lake, one, doc_ids),
        cutoffs=cutoffs,
        candidates=_candidates(lake, one, list(documents.values())),
        students=students,
        manifests=_manifests(students),
        levels=_levels(lake, one, ids, cutoffs.values()),
        contaminated=_contaminated(lake, one, list(documents.values())),
    )


def _by(rows: DataFrame, key: str) -> dict[str, Row]:
    return {row[key]: row for row in rows.collect()}


def _documents(lake: Lakehouse, doc_ids: Sequence[str], version: int | None) -> dict[str, Row]:
    wanted = [doc_id for doc_id in doc_ids if not _SURROGATE.search(doc_id)]
    if not wanted:
        return {}
    rows = lake.read("documents", version).filter(F.col("doc_id").isin(wanted))
    return _by(rows.select("doc_id", "source", "bucket", "content_hash"), "doc_id")


def _listed_ids(lake: Lakehouse, one: Selection, doc_ids: Sequence[str]) -> frozenset[str] | None:
    if one.settings.is_predicate:
        return None
    items = record.listed_documents(lake, one).filter(F.col("doc_id").isin(list(doc_ids)))
    return frozenset(row["doc_id"] for row in items.select("doc_id").collect())


def _candidates(lake: Lakehouse, one: Selection, documents: Sequence[Row]) -> dict[str, Row]:
    """With scores: these documents, and what competes in their place."""
    rows, near = record.pinned_scores(lake, one), near_duplicates(lake, one.further)
    is_asked = F.col("doc_id").isin([row["doc_id"] for row in documents])
    names = [] if near is not None else ["content_hash"]
    if one.settings.duplicates == "keep":
        names += ["source", "bucket", "doc_id"]
    for name in names:
        rows = rows.filter(F.col(name).isin(list({row[name] for row in documents})))
    if near is not None:
        clustered = candidates.with_clusters(rows, near)
        asked = clustered.filter(is_asked).select("cluster").distinct()
        alike = clustered.join(asked, on="cluster", how="left_semi").select("doc_id")
        rows = rows.join(alike, on="doc_id", how="left_semi")
    own = rows.select("doc_id", F.col("quality").alias("own_quality"))
    rows = record.competing_rows(lake, one, rows).join(own, on="doc_id", how="left")
    competes = F.col("set_aside").isNull() | (F.col("set_aside") == candidates.OVERSIZED)
    return _by(rows.filter(is_asked | competes), "doc_id")


def _contaminated(lake: Lakehouse, one: Selection, documents: Sequence[Row]) -> dict[str, Row]:
    if "contaminated" not in one.further:
        return {}
    rows = lake.read("contaminated", one.version("contaminated"))
    for name in DOCUMENT:
        rows = rows.filter(F.col(name).isin(list({row[name] for row in documents})))
    ordered = rows.orderBy("share", F.desc("item_set"), F.desc("item_column"), F.desc("item_id"))
    return _by(ordered, "doc_id")


def _manifests(students: Mapping[str, Row]) -> dict[str, Manifest]:
    found = {}
    for student_id, row in students.items():
        try:
            found[student_id] = recorded_scorer(row).manifest()
        except ArtefactError:  # an old student's folder may be gone
            continue
    return found


def _levels(
    lake: Lakehouse, one: Selection, students: Iterable[str], cutoffs: Iterable[Row]
) -> Positions:
    histogram = lake.read("score_histogram").filter(F.col("student_id").isin(list(students)))
    stamp = {
        "documents_version": one.version("documents"),
        "scores_version": one.version("scores"),
        "candidates": one.candidates,
    }
    for name, value in stamp.items():
        histogram = histogram.filter(F.col(name) == F.lit(value))
    limits = {row["source"]: row["most_tokens"] for row in cutoffs}
    rows = histogram.select(*bins.KEYS, *bins.SUMS).toArrow()
    return bins.bins_from_rows(rows, limits).levels


def _explained(known: _Known, doc_id: str) -> Explanation:
    one = known.one
    source = (known.documents.get(doc_id) or known.later[doc_id])["source"]
    found: dict[str, Any] = {"doc_id": doc_id, "source": source, "selection": one}
    if known.listed is not None:
        found["is_listed"] = doc_id in known.listed
    if doc_id not in known.documents:
        version = one.version("documents")
        because = f"it is not in version {version} of documents, only in a later one"
        return Explanation(**found, set_aside=_NEW, because=because)
    if source not in known.cutoffs:
        because = f"no student scores its source, {source}"
        return Explanation(**found, set_aside=UNGROUPED, because=because)
    cutoff = known.cutoffs[source]
    found |= {name: cutoff[name] for name in ("source_group", "student_id")}
    found["cut"] = record.cut_from_row(cutoff)
    if doc_id not in known.candidates:
        because = f"{cutoff['student_id']} had not scored it at version {one.version('scores')}"
        because += ": run mira score-documents, then mira select-documents"
        return Explanation(**found, set_aside=NO_SCORE, because=because)
    return Explanation(**found, **_scored(known, cutoff, known.candidates[doc_id]))


def _scored(known: _Known, cutoff: Row, row: Row) -> dict[str, Any]:
    level, student = row["quality"], known.students.get(cutoff["student_id"])
    aside, because = _set_aside(known, cutoff, row)
    return {
        "rubric_id": student["rubric_id"] if student else None,
        "dimensions": _dimensions(row, student, known.manifests.get(cutoff["student_id"])),
        "quality": row["own_quality"],
        "level": level,
        "tie_hash": row["tie_hash"],
        "set_aside": aside,
        "because": because,
        "better_than": None if level is None else _better_than(known, cutoff, level),
    }


def _set_aside(known: _Known, cutoff: Row, row: Row) -> tuple[str | None, str]:
    aside, score = row["set_aside"], known.one.settings.score
    if aside == candidates.DUPLICATE:
        return aside, f"a duplicate of {_competing_in_its_place(known, row, 'content_hash')}"
    if aside == candidates.NEAR_DUPLICATE:
        best = _competing_in_its_place(known, row, "cluster")
        return aside, f"a near-duplicate: of its cluster {best} is the best"
    if aside == candidates.CONTAMINATED:
        return aside, contamination_text(known.contaminated[row["doc_id"]].asDict())
    if aside == candidates.UNSCORED and isinstance(score, ScoreColumn):
        return aside, f"{score.table} has no {score.column} of it"
    if aside == candidates.NOT_FINITE and isinstance(score, ScoreColumn):
        return aside, f"its {score.column} in {score.table} is not finite"
    if aside == candidates.UNSCORED:
        return aside, f"baseline_scores has no {score} of it"
    if aside == candidates.OVERSIZED:
        most = f"more than the {cutoff['most_tokens']:,} that one of its pool may have"
        return aside, f"oversized: {row['n_tokens']:,} tokens, {most}"
    if aside:
        return aside, f"{aside} by the settings of the selection"
    if row["quality"] is None:
        return bins.QUARANTINED, f"quarantined: {row['reason']}"
    return None, ""


def _competing_in_its_place(known: _Known, row: Row, key: str) -> str:
    """The id of the document that competes of those with the same `key`, oversized or not."""
    alike = [r for r in known.candidates.values() if r[key] == row[key]]
    best = [r["doc_id"] for r in alike if r["set_aside"] in (None, candidates.OVERSIZED)
            and r["quality"] is not None]  # fmt: skip
    return ", ".join(best)


def _dimensions(row: Row, student: Row | None, manifest: Manifest | None) -> list[ScoredDimension]:
    if student is None:
        return []
    names: Sequence[str] = student["dimensions"]
    counted: Sequence[bool | None] = [None] * len(names)
    if manifest is not None:
        counted = manifest.quality.counts(row["source"])
    scores = row["dimension_scores"] or [None] * len(names)
    return [ScoredDimension(*slot) for slot in zip(names, scores, counted, strict=True)]


def _better_than(known: _Known, cutoff: Row, level: int) -> tuple[float, float] | None:
    if not known.levels.sources:
        return None
    group = [s for s, c in known.cutoffs.items() if c["source_group"] == cutoff["source_group"]]
    of_source = share_below(known.levels, [cutoff["source"]], level)
    return of_source, share_below(known.levels, group, level)


def share_below(levels: Positions, sources: Iterable[str], level: int) -> float:
    """The share of the sources' competing documents that compete by less than `level`; 0 of
    none."""
    _, (end,) = levels.within([level], [FIRST_HASH], [FIRST_HASH])
    below = total = 0
    for source in sources:
        own = levels.source_positions(source)
        below += own.between(end, len(levels.quality))[0]
        total += int(own.documents[-1])
    return below / max(1, total)
