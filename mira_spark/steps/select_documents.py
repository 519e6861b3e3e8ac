"""Keep the best documents under the token budget. Reads `scores`; writes `score_histogram`,
`selections`, `selection_cutoffs` and the views `selected`, `selected_<name>`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mira_spark import current, selection
from mira_spark.errors import InputError, ReconciliationError
from mira_spark.runs import Outcome
from mira_spark.selection import Bin, Boundary, Tie
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

SETTINGS = ("selection",)


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The versions of `documents` and `scores` and the champion of every group."""
    scorers = current.scorers(lake, settings, current.groups(lake, settings).values())
    if lake.version("scores") == 0:
        raise InputError(f"{lake.name('scores')} is empty: run score_documents first")
    versions = {table: str(lake.version(table)) for table in ("documents", "scores")}
    return versions | {f"student of {g}": s.student_id for g, s in scorers.items()}


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Nothing is visible before the views are replaced, last; the old views stand until then."""
    chosen = settings.selection
    groups = current.groups(lake, settings)
    scorers = current.scorers(lake, settings, groups.values())
    students = {g: s.student_id for g, s in scorers.items()}
    versions = (lake.version("documents"), lake.version("scores"))
    scores = current.scores(lake, settings, students.values(), *versions)
    bins = _histogram(lake, scores, versions, run_id)
    smallest = scores.filter("quality IS NOT NULL").agg(F.min("n_tokens")).collect()[0][0]
    budget = selection.budget_tokens(chosen, bins, smallest or 0)
    boundary = selection.boundaries(bins, selection.shares(bins, budget))
    cuts = _cuts(scores, boundary, chosen.seed)
    selection_id = selection.selection_id(chosen, *versions, students.values())
    kept = _kept(lake, scores, boundary, cuts, chosen.seed)
    rows = _cutoffs(selection_id, bins, boundary, cuts, kept, students)
    tokens = sum(tokens for _, tokens in kept.values())
    documents = sum(count for count, _ in kept.values())
    if tokens > budget:
        raise ReconciliationError(f"selected {tokens:,} tokens over a budget of {budget:,}")
    lake.replace_rows(rows, "selection_cutoffs", "selection_id", selection_id, run_id)
    row = {
        "selection_id": selection_id,
        "name": chosen.name,
        "policy": chosen.policy,
        "settings": json.dumps(chosen.model_dump(mode="json"), sort_keys=True),
        "documents_version": versions[0],
        "scores_version": versions[1],
        "seed": chosen.seed,
        "budget_tokens": budget,
        "selected_tokens": tokens,
        "selected_documents": documents,
        "created_at": datetime.now(UTC),
    }
    lake.replace_rows([row], "selections", "selection_id", selection_id, run_id)
    _views(lake, settings, selection_id, versions, students)
    total = sum(b.documents for b in bins)
    message = f"{documents:,} of {total:,} documents, {tokens:,} of {budget:,} tokens"
    return Outcome(message, rows_in=total, rows_out=documents)


def _histogram(
    lake: Lakehouse, scores: DataFrame, versions: tuple[int, int], run_id: str
) -> list[Bin]:
    """The bins of the current scores, recorded for these versions."""
    rows = [row.asDict() for row in selection.histogram(scores).collect()]
    stamp = {"documents_version": versions[0], "scores_version": versions[1]}
    same = [F.col(name) == version for name, version in stamp.items()]
    known = lake.read("score_histogram").filter(same[0] & same[1]).select("student_id").distinct()
    counted = {row["student_id"] for row in known.collect()}
    new = [row | stamp for row in rows if row["student_id"] not in counted]
    lake.append_rows(new, "score_histogram", run_id)
    return [Bin(**row) for row in rows]


Cut = tuple[int | None, str | None]


def _cuts(scores: DataFrame, boundary: Mapping[str, Boundary], seed: int) -> dict[str, Cut]:
    """Per group, (tie_hash_cut, tie_doc_id_cut), from two narrow passes over the tied documents."""
    tied = selection.at_boundary(scores, boundary, seed)
    prefixes = [tuple(row) for row in selection.prefix_histogram(tied).collect()]
    ends = selection.walk_prefixes(prefixes, boundary)
    last = [tuple(row) for row in selection.in_last_prefix(tied, ends).collect()] if ends else []
    ties: dict[str, Tie] = selection.walk_documents(last, ends)
    return {g: selection.cut_of(ends.get(g), ties.get(g)) for g in boundary}


def _kept(
    lake: Lakehouse,
    scores: DataFrame,
    boundary: Mapping[str, Boundary],
    cuts: Mapping[str, Cut],
    seed: int,
) -> dict[str, tuple[int, int]]:
    """Per source, documents and tokens that pass the predicate, counted from the scores."""
    rows = [(g, b.quality, *cuts[g]) for g, b in boundary.items()]
    columns = "source_group string, quality_cut int, tie_hash_cut bigint, tie_doc_id_cut string"
    passed = scores.join(F.broadcast(lake.rows_of(rows, columns)), on="source_group", how="inner")
    counted = passed.filter(selection.is_selected(seed)).groupBy("source")
    kept = counted.agg(F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
    return {r["source"]: (r["documents"], r["tokens"]) for r in kept.collect()}


def _cutoffs(
    selection_id: str,
    bins: list[Bin],
    boundary: Mapping[str, Boundary],
    cuts: Mapping[str, Cut],
    kept: Mapping[str, tuple[int, int]],
    students: Mapping[str, str],
) -> list[dict[str, object]]:
    rows = []
    for source, group in sorted({(b.source, b.source_group) for b in bins}):
        of_source = [b for b in bins if b.source == source]
        documents, tokens = kept.get(source, (0, 0))
        rows.append(
            {
                "selection_id": selection_id,
                "source_group": group,
                "source": source,
                "student_id": students[group],
                "quality_cut": boundary[group].quality,
                "tie_hash_cut": cuts[group][0],
                "tie_doc_id_cut": cuts[group][1],
                "kept_documents": documents,
                "kept_tokens": tokens,
                "total_documents": sum(b.documents for b in of_source),
                "total_tokens": sum(b.tokens for b in of_source),
            }
        )
    return rows


def _views(
    lake: Lakehouse,
    settings: Settings,
    selection_id: str,
    versions: tuple[int, int],
    students: Mapping[str, str],
) -> None:
    scores = current.scores_query(lake, settings, students.values(), *versions)
    cutoffs = (
        f"SELECT * FROM {lake.name('selection_cutoffs')} WHERE selection_id = '{selection_id}'"
    )
    condition = selection.selected_condition(settings.selection.seed, "s.")
    query = (
        "SELECT d.doc_id, d.source, s.source_group, d.text, d.n_bytes, d.n_tokens, s.quality, "
        "d.domain, d.license, d.metadata, d.content_hash "
        f"FROM ({scores}) AS s JOIN ({cutoffs}) AS c ON c.source = s.source "
        f"JOIN {lake.name('documents')} VERSION AS OF {versions[0]} AS d "
        f"ON d.doc_id = s.doc_id AND d.content_hash = s.content_hash WHERE {condition}"
    )
    for view in (f"selected_{settings.selection.name}", "selected"):
        lake.create_view(view, query, f"the documents of selection {settings.selection.name}")
