"""Keep the best documents under the token budget. Reads `scores`, `near_duplicates` and
`contaminated`; writes `score_histogram`, `selections`, `selection_cutoffs`, `selected_documents`
and the views `selected`, `selected_<name>` and those of `helper_views`."""

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.conversation_column import original_messages
from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.lake import retention
from mira_spark.lake.clock import clock_after
from mira_spark.lake.runs import SELECTION_NAME, Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.scoring.current_scores import current_scores
from mira_spark.selection import (
    candidates,
    choice,
    helper_views,
    histogram,
    unscored,
    user_tables,
    views,
)
from mira_spark.selection.allocation import allocation_policy
from mira_spark.selection.choice import Choice
from mira_spark.selection.histogram import QUARANTINED, Bins
from mira_spark.selection.oversized import most_tokens
from mira_spark.selection.pinned import (
    PINNED,
    Pinned,
    further_tables,
    other_versions,
    pinned_candidates,
    pinned_state,
    scored_champions,
)
from mira_spark.settings.root import Settings

SETTINGS = ("selection",)
WRITES = ("score_histogram", "selections", "selection_cutoffs", "selected_documents")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The selection's name, the versions of `documents`, `scores`, of `near_duplicates` and
    `contaminated` where they count, of the user's tables and of a baseline's scores, and every
    group's champion."""
    chosen = settings.selection
    candidates.check(chosen)
    scorers = scored_champions(lake, settings.source_grouping, settings.student_registry)
    tables = {table: lake.snapshot(table) for table in PINNED}
    tables |= further_tables(lake, chosen, settings.evaluation, tables["documents"])
    versions = {table: str(snapshot) for table, snapshot in tables.items()}
    others = other_versions(lake, chosen)
    name = {SELECTION_NAME: chosen.name}
    return name | versions | others | {f"student of {g}": s.student_id for g, s in scorers.items()}


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """One reason when the selection was dropped or parts of it are gone; else empty."""
    wanted = _pinned_state(lake, settings).selection_id(settings.selection)
    here = F.col("selection_id") == wanted
    selections = lake.read("selections").filter(here).select("selected_documents").collect()
    cuts = lake.read("selection_cutoffs").filter(here).agg(F.sum("kept_documents")).collect()[0]
    sums = [cuts[0]] if settings.selection.is_predicate else [cuts[0], _count_listed(lake, wanted)]
    whole = len(selections) == 1 and all(selections[0][0] == documents for documents in sums)
    return [] if whole else ["its selection is not there"]


def _pinned_state(lake: Lakehouse, settings: Settings) -> Pinned:
    sections = (settings.source_grouping, settings.student_registry, settings.selection)
    return pinned_state(lake, *sections, settings.evaluation)


def _count_listed(lake: Lakehouse, selection_id: str) -> int:
    """How many documents the list of the selection has."""
    return lake.read("selected_documents").filter(F.col("selection_id") == selection_id).count()


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Choose the documents and record the selection. Its views are replaced last: until then those
    of the selection before stand."""
    chosen = settings.selection
    state = _pinned_state(lake, settings)
    if chosen.materialize != "text":
        retention.check(lake, (*PINNED, *state.further), chosen.keep_days)
    rows = pinned_candidates(
        lake, current_grouping_id(lake, settings.source_grouping), chosen, state
    )
    bins = histogram.counted_bins(lake, chosen, state, lambda: rows, run_id)
    reach("histogram.written")
    left = unscored.count_unscored(lake, source_groups(lake, settings.source_grouping), state, bins)
    left.check(chosen)
    limits = most_tokens(allocation_policy(chosen), bins)
    bins = bins.within(limits)
    competing = _competing(lake, rows, limits)
    selected = choice.choose(lake, chosen, state, bins, competing, left.corpus_tokens)
    digest = None if chosen.is_predicate else _list(lake, selected, competing, run_id)
    reach("list.written")
    here = ("selection_id", selected.selection_id, run_id)
    lake.replace_rows(_cutoffs(selected, bins, limits), "selection_cutoffs", *here)
    reach("cutoffs.written")
    now = clock_after(lake, "selections", "created_at")()
    lake.replace_rows([_row(selected, digest, now)], "selections", *here)
    reach("selection.written")
    views.replace_views(lake, current_grouping_id(lake, settings.source_grouping), selected)
    helper_views.create_helper_views(lake)
    idle = _idle_exclusions(lake, settings, state)
    message = "; ".join([_message(selected, bins, left.corpus_tokens), *idle, *left.lines()])
    return Outcome(message, rows_in=bins.documents, rows_out=selected.documents)


def _competing(lake: Lakehouse, rows: DataFrame, limits: Mapping[str, int]) -> DataFrame:
    by_source = lake.spark.createDataFrame(
        list(limits.items()), "source string, most_tokens bigint"
    )
    found = candidates.set_aside_oversized(rows, by_source)
    return found.filter("set_aside IS NULL AND quality IS NOT NULL")


def _idle_exclusions(lake: Lakehouse, settings: Settings, state: Pinned) -> list[str]:
    """A line for each exclusion that names no document with a score."""
    scored = current_scores(
        lake,
        current_grouping_id(lake, settings.source_grouping),
        state.students.values(),
        *state.versions,
    )
    return [
        f"nothing is excluded by {one.table}: none of its {one.by} is that of a scored document"
        for one in settings.selection.exclude
        if scored.join(user_tables.exclusions(lake.spark, one), one.by, "left_semi").isEmpty()
    ]


def _list(lake: Lakehouse, selected: Choice, competing: DataFrame, run_id: str) -> str:
    """Write the list of the selected documents, with their texts if so chosen; its digest: SHA-256
    over those of the buckets' sorted ids."""
    rows = choice.selected_rows(lake, competing, selected.cuts, selected.settings.seed)
    if selected.settings.materialize == "text":
        documents = lake.read("documents", selected.state.versions[0])
        texts = documents.select(*SCORE_KEY, "text", original_messages().alias("messages"))
        rows = rows.join(texts, on=SCORE_KEY)
    else:
        rows = rows.withColumns(dict.fromkeys(("text", "messages"), F.lit(None).cast("string")))
    rows = rows.withColumn("selection_id", F.lit(selected.selection_id))
    lake.replace(rows, "selected_documents", "selection_id", selected.selection_id, run_id)
    listed = lake.read("selected_documents").filter(F.col("selection_id") == selected.selection_id)
    ids = F.concat_ws("\n", F.sort_array(F.collect_list("doc_id")))
    buckets = listed.groupBy("bucket").agg(F.sha2(ids, 256).alias("sha256"))
    joined = F.concat_ws(
        "\n", F.transform(F.sort_array(F.collect_list(F.struct("bucket", "sha256"))),
                          lambda one: one["sha256"])
    )  # fmt: skip
    return str(buckets.agg(F.sha2(joined, 256)).collect()[0][0])


def _cutoffs(selected: Choice, bins: Bins, limits: Mapping[str, int]) -> list[dict[str, object]]:
    rows, groups = [], bins.groups
    for source, of_source in sorted(bins.by_source().items()):
        group = groups[source]
        aside = of_source.set_aside
        cut, (documents, tokens) = selected.cuts[source], selected.kept.get(source, (0, 0))
        rows.append(
            {
                "selection_id": selected.selection_id,
                "source_group": group,
                "source": source,
                "student_id": selected.state.students[group],
                **vars(cut),
                "most_tokens": limits[source],
                "kept_documents": documents,
                "kept_tokens": tokens,
                "total_documents": of_source.documents,
                "total_tokens": of_source.tokens,
                "quarantined_documents": aside.pop(QUARANTINED, 0),
                "set_aside_documents": sum(aside.values()),
            }
        )
    return rows


def _row(selected: Choice, digest: str | None, now: datetime) -> dict[str, object]:
    return {
        "selection_id": selected.selection_id,
        "name": selected.settings.name,
        "policy": selected.settings.policy,
        "candidates": selected.state.candidates_id(selected.settings),
        "settings": selected.state.settings_text(selected.settings),
        "documents_version": selected.state.versions[0],
        "scores_version": selected.state.versions[1],
        "seed": selected.settings.seed,
        "budget_tokens": selected.budget,
        "selected_tokens": selected.tokens,
        "selected_documents": selected.documents,
        "digest": digest,
        "created_at": now,
    }


def _message(selected: Choice, bins: Bins, tokens: int) -> str:
    total = bins.documents
    message = (
        f"{selected.documents:,} of {total:,} documents, "
        f"{selected.tokens:,} of {selected.budget:,} tokens"
    )
    if selected.budget >= tokens:
        message += f"; the budget holds the whole corpus of {tokens:,} tokens"
    aside = sorted(bins.set_aside.items())
    return message + "".join(f"; {count:,} {why}" for why, count in aside)
