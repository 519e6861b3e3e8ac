"""Keep the best documents under the token budget. Reads `scores`; writes `score_histogram`,
`selections`, `selection_cutoffs`, `selected_documents` and the views `selected`,
`selected_<name>`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mira_spark import allocation, bins, candidates, current, histograms, retention, selection
from mira_spark.allocation import Key
from mira_spark.bins import Bin
from mira_spark.errors import ReconciliationError
from mira_spark.failpoints import reach
from mira_spark.runs import Outcome
from mira_spark.selection import SelectionSettings
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse
from mira_spark.walk import Boundary, Cut, Walk

SETTINGS = ("selection",)
FEW = 100_000
"""So many tied documents are collected; more are told apart by longer prefixes of their hash."""
PREFIX_BITS = 16


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The versions of `documents`, `scores` and the user's tables, and every group's champion."""
    chosen = settings.selection
    candidates.check(chosen)
    scorers = current.selecting(lake, settings)
    versions = {table: str(lake.version(table)) for table in ("documents", "scores")}
    others = current.others(lake, chosen)
    return versions | others | {f"student of {g}": s.student_id for g, s in scorers.items()}


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """That the selection was dropped, if it was."""
    wanted = current.pinned(lake, settings).selection_id(settings.selection)
    found = lake.read("selections").filter(F.col("selection_id") == wanted).limit(1).collect()
    return [] if found else ["its selection is not there"]


@dataclass(frozen=True)
class Choice:
    """What was decided: where each source is cut, and what that keeps of it."""

    selection_id: str
    candidates_id: str
    settings: SelectionSettings
    versions: tuple[int, int]
    budget: int
    students: Mapping[str, str]
    cuts: Mapping[str, Cut]
    kept: Mapping[str, tuple[int, int]]

    @property
    def documents(self) -> int:
        """Documents kept."""
        return sum(documents for documents, _ in self.kept.values())

    @property
    def tokens(self) -> int:
        """Tokens kept."""
        return sum(tokens for _, tokens in self.kept.values())


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Nothing is visible before the views are replaced, last; the old views stand until then."""
    chosen = settings.selection
    if chosen.materialize != "text":
        retention.check(lake, ("documents", "scores"), chosen.keep_days)
    state = current.pinned(lake, settings)
    rows = current.candidates(lake, settings, state)
    found = bins.recorded(lake, chosen, state, lambda: rows, run_id)
    reach("histogram.written")
    competing = rows.filter("set_aside IS NULL AND quality IS NOT NULL")
    choice = _choose(lake, settings, state, found, competing)
    if choice.tokens > choice.budget:
        raise ReconciliationError(
            f"selected {choice.tokens:,} tokens over a budget of {choice.budget:,}"
        )
    digest = None if chosen.is_predicate else _list(lake, choice, competing, run_id)
    reach("list.written")
    cutoffs = _cutoffs(choice, found)
    lake.replace_rows(cutoffs, "selection_cutoffs", "selection_id", choice.selection_id, run_id)
    reach("cutoffs.written")
    row = _row(choice, digest)
    lake.replace_rows([row], "selections", "selection_id", choice.selection_id, run_id)
    reach("selection.written")
    _views(lake, settings, choice)
    return Outcome(
        _message(choice, found), rows_in=bins.documents(found), rows_out=choice.documents
    )


def _choose(
    lake: Lakehouse,
    settings: Settings,
    state: current.Pinned,
    found: Sequence[Bin],
    competing: DataFrame,
) -> Choice:
    chosen, groups = settings.selection, {b.source: b.source_group for b in found}
    levels = bins.levels(found)
    smallest = competing.agg(F.min("n_tokens")).collect()[0][0] or 0
    budget = selection.budget_tokens(chosen.budget, bins.tokens(found), smallest)
    walks = allocation.walks(chosen.allocation, budget, groups, levels)
    cuts = refined(lake, competing, walks, allocation.boundaries(walks, levels))
    sums = kept_of(lake, competing, cuts, chosen.seed).groupBy("source")
    counted = sums.agg(F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
    return Choice(
        state.selection_id(chosen),
        state.candidates_id(chosen),
        chosen,
        state.versions,
        budget,
        state.students,
        cuts,
        {r["source"]: (r["documents"], r["tokens"]) for r in counted.collect()},
    )


def refined(
    lake: Lakehouse,
    competing: DataFrame,
    walks: Mapping[Key, Walk],
    ends: Mapping[Key, Boundary],
) -> dict[str, Cut]:
    """The cut of every source, from narrow passes over the tied documents alone: counts by longer
    and longer prefixes of their hash, then the few that are left."""
    bits = 0
    while ends and bits < 64 and _tied_documents(ends) > FEW:
        bits += PREFIX_BITS
        prefix = F.shiftright("tie_hash", 64 - bits).alias("prefix")
        grouped = _tied(lake, competing, ends).groupBy("source", "quality", prefix)
        rows = grouped.agg(F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
        ends = allocation.boundaries(walks, histograms.prefixes(bits, **_columns(rows)), ends)
    if ends:
        rows = _tied(lake, competing, ends)
        rows = rows.select(
            "source", "quality", "tie_hash", "doc_id", F.col("n_tokens").alias("tokens")
        )
        ends = allocation.boundaries(walks, histograms.single_documents(**_columns(rows)), ends)
    return allocation.cuts(walks, ends)


def _tied_documents(ends: Mapping[Key, Boundary]) -> int:
    return sum(sum(end.documents.values()) for end in ends.values())


def _tied(lake: Lakehouse, competing: DataFrame, ends: Mapping[Key, Boundary]) -> DataFrame:
    ties = [tuple(tie) for tie in sorted(allocation.ties(ends.values()))]
    columns = "source string, quality smallint, first_hash bigint, last_hash bigint"
    rows = competing.join(
        F.broadcast(lake.rows_of(ties, columns)), on=["source", "quality"], how="inner"
    )
    return rows.filter("tie_hash BETWEEN first_hash AND last_hash")


def _columns(rows: DataFrame) -> dict[str, Any]:
    found = rows.toArrow()
    return {name: found.column(name).to_pylist() for name in found.column_names}


def kept_of(lake: Lakehouse, competing: DataFrame, cuts: Mapping[str, Cut], seed: int) -> DataFrame:
    """The candidates up to their source's cut."""
    rows = [(s, c.quality_cut, c.tie_hash_cut, c.tie_doc_id_cut) for s, c in cuts.items()]
    columns = "source string, quality_cut int, tie_hash_cut bigint, tie_doc_id_cut string"
    cut = F.broadcast(lake.rows_of(rows, columns))
    return competing.join(cut, on="source", how="inner").filter(selection.is_selected(seed))


def _list(lake: Lakehouse, choice: Choice, competing: DataFrame, run_id: str) -> str:
    """Write the list of the selected documents, with their texts if so chosen; its digest: SHA-256
    over those of the buckets' sorted ids."""
    rows = kept_of(lake, competing, choice.cuts, choice.settings.seed)
    if choice.settings.materialize == "text":
        documents = lake.read("documents", choice.versions[0])
        rows = rows.join(documents.select(*current.SCORE_KEY, "text"), on=current.SCORE_KEY)
    else:
        rows = rows.withColumn("text", F.lit(None).cast("string"))
    rows = rows.withColumn("selection_id", F.lit(choice.selection_id))
    lake.replace(rows, "selected_documents", "selection_id", choice.selection_id, run_id)
    listed = lake.read("selected_documents").filter(F.col("selection_id") == choice.selection_id)
    ids = F.concat_ws("\n", F.sort_array(F.collect_list("doc_id")))
    buckets = listed.groupBy("bucket").agg(F.sha2(ids, 256).alias("sha256"))
    joined = F.concat_ws(
        "\n", F.transform(F.sort_array(F.collect_list(F.struct("bucket", "sha256"))),
                          lambda one: one["sha256"])
    )  # fmt: skip
    return str(buckets.agg(F.sha2(joined, 256)).collect()[0][0])


def _cutoffs(choice: Choice, found: Sequence[Bin]) -> list[dict[str, object]]:
    rows = []
    for source, group in sorted({(b.source, b.source_group) for b in found}):
        of_source = [b for b in found if b.source == source]
        cut, (documents, tokens) = choice.cuts[source], choice.kept.get(source, (0, 0))
        rows.append(
            {
                "selection_id": choice.selection_id,
                "source_group": group,
                "source": source,
                "student_id": choice.students[group],
                **vars(cut),
                "kept_documents": documents,
                "kept_tokens": tokens,
                "total_documents": bins.documents(of_source),
                "total_tokens": bins.tokens(of_source),
                "quarantined_documents": sum(
                    b.documents for b in of_source if b.quality is None and b.set_aside is None
                ),
                "set_aside_documents": sum(b.documents for b in of_source if b.set_aside),
            }
        )
    return rows


def _row(choice: Choice, digest: str | None) -> dict[str, object]:
    return {
        "selection_id": choice.selection_id,
        "name": choice.settings.name,
        "policy": choice.settings.policy,
        "candidates": choice.candidates_id,
        "settings": json.dumps(choice.settings.model_dump(mode="json"), sort_keys=True),
        "documents_version": choice.versions[0],
        "scores_version": choice.versions[1],
        "seed": choice.settings.seed,
        "budget_tokens": choice.budget,
        "selected_tokens": choice.tokens,
        "selected_documents": choice.documents,
        "digest": digest,
        "created_at": datetime.now(UTC),
    }


def _message(choice: Choice, found: Sequence[Bin]) -> str:
    total, tokens = bins.documents(found), bins.tokens(found)
    message = (
        f"{choice.documents:,} of {total:,} documents, "
        f"{choice.tokens:,} of {choice.budget:,} tokens"
    )
    if choice.budget >= tokens:
        message += f"; the budget holds the whole corpus of {tokens:,} tokens"
    aside: dict[str, int] = {}
    for b in found:
        why = b.set_aside or ("quarantined" if b.quality is None else None)
        if why:
            aside[why] = aside.get(why, 0) + b.documents
    return message + "".join(f"; {count:,} {why}" for why, count in sorted(aside.items()))


def _views(lake: Lakehouse, settings: Settings, choice: Choice) -> None:
    documents = f"{lake.name('documents')} VERSION AS OF {choice.versions[0]}"
    columns = ("d.doc_id, d.source, s.source_group, {text}, d.n_bytes, d.n_tokens, s.quality, "
               "d.domain, d.license, d.metadata, d.content_hash")  # fmt: skip
    same = "d.doc_id = s.doc_id AND d.content_hash = s.content_hash"
    here = f"selection_id = '{choice.selection_id}'"
    if choice.settings.is_predicate:
        scores = current.scores_query(lake, settings, choice.students.values(), *choice.versions)
        cutoffs = f"SELECT * FROM {lake.name('selection_cutoffs')} WHERE {here}"
        score = choice.settings.score
        condition = selection.selected_condition(choice.settings.seed, str(score), "s.")
        query = (
            f"SELECT {columns.format(text='d.text')} FROM ({scores}) AS s JOIN ({cutoffs}) AS c "
            f"ON c.source = s.source JOIN {documents} AS d ON {same} WHERE {condition}"
        )
    elif choice.settings.materialize == "text":
        query = (
            "SELECT doc_id, source, source_group, text, n_tokens, quality, content_hash "
            f"FROM {lake.name('selected_documents')} WHERE {here}"
        )
    else:
        listed = f"SELECT * FROM {lake.name('selected_documents')} WHERE {here}"
        query = (
            f"SELECT {columns.format(text='d.text')} FROM ({listed}) AS s "
            f"JOIN {documents} AS d ON {same}"
        )
    name = choice.settings.name
    lake.create_view(f"selected_{name}", query, f"the documents of selection {name}")
    reach("view.named")
    lake.create_view("selected", query, f"the documents of selection {name}, the latest made")
