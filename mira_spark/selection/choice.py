"""Where a selection cuts each source, from narrow passes over its candidates, and what that keeps.

No pass sorts documents or brings many of them to the driver: they are counted by quality, those
that tie at a cut by longer and longer prefixes of their hash, and only the last few one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, functions as F

from mira_spark.errors import ReconciliationError
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import allocation, order, positions
from mira_spark.selection.allocation import Key
from mira_spark.selection.histogram import Bins
from mira_spark.selection.pinned import Pinned
from mira_spark.selection.walk import Boundary, Cut, Walk
from mira_spark.settings.selection import SelectionSettings

FEW = 100_000
"""So many tied documents are collected; more are told apart by longer prefixes of their hash."""
PREFIX_BITS = 16


@dataclass(frozen=True)
class Choice:
    """What was decided: where each source is cut, and the documents and tokens kept of it."""

    settings: SelectionSettings
    state: Pinned
    budget: int
    cuts: Mapping[str, Cut]
    kept: Mapping[str, tuple[int, int]]

    @property
    def selection_id(self) -> str:
        """Of the selection with these settings from this state."""
        return self.state.selection_id(self.settings)

    @property
    def documents(self) -> int:
        """Documents kept."""
        return sum(documents for documents, _ in self.kept.values())

    @property
    def tokens(self) -> int:
        """Tokens kept."""
        return sum(tokens for _, tokens in self.kept.values())


def choose(
    lake: Lakehouse,
    settings: SelectionSettings,
    state: Pinned,
    found: Bins,
    competing: DataFrame,
    corpus_tokens: int,
) -> Choice:
    """The choice that the settings lead to; `found` are the bins of all scored documents,
    `competing` the rows of those that compete, `corpus_tokens` what a budget in per cent is of.
    InputError as of `allocation.walks` and `order.budget_tokens`;
    ReconciliationError when the budget would be passed."""
    budget = order.budget_tokens(settings.budget, corpus_tokens, smallest=1)
    walks = allocation.walks(
        allocation.allocation_policy(settings), budget, found.groups, found.levels
    )
    cuts = refine(lake, competing, walks, allocation.boundaries(walks, found.levels))
    sums = selected_rows(lake, competing, cuts, settings.seed).groupBy("source")
    counted = sums.agg(F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
    of_source = {r["source"]: (r["documents"], r["tokens"]) for r in counted.collect()}
    choice = Choice(settings, state, budget, cuts, of_source)
    if choice.tokens > budget:
        raise ReconciliationError(
            f"selected {choice.tokens:,} tokens over a budget of {budget:,}: run mira scores "
            "repair, then mira run"
        )
    if not choice.documents:
        smallest = competing.agg(F.min("n_tokens")).collect()[0][0] or 0
        order.budget_tokens(settings.budget, corpus_tokens, smallest)
    return choice


def refine(
    lake: Lakehouse,
    competing: DataFrame,
    walks: Mapping[Key, Walk],
    ends: Mapping[Key, Boundary],
) -> dict[str, Cut]:
    """The cut of every source; `ends` are the boundaries of the walks at levels."""
    bits = 0
    while ends and bits < 64 and _tied_documents(ends) > FEW:
        bits += PREFIX_BITS
        prefix = F.shiftright("tie_hash", 64 - bits).alias("prefix")
        grouped = _tied(lake, competing, ends).groupBy("source", "quality", prefix)
        rows = grouped.agg(F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
        ends = allocation.boundaries(walks, positions.prefixes(bits, **_columns(rows)), ends)
    if ends:
        rows = _tied(lake, competing, ends)
        rows = rows.select(
            "source", "quality", "tie_hash", "doc_id", F.col("n_tokens").alias("tokens")
        )
        ends = allocation.boundaries(walks, positions.single_documents(**_columns(rows)), ends)
    return allocation.cuts(walks, ends)


def _tied_documents(ends: Mapping[Key, Boundary]) -> int:
    return sum(sum(end.documents.values()) for end in ends.values())


def _tied(lake: Lakehouse, competing: DataFrame, ends: Mapping[Key, Boundary]) -> DataFrame:
    ties = [tuple(tie) for tie in sorted(allocation.ties(ends.values()))]
    columns = "source string, quality smallint, first_hash bigint, last_hash bigint"
    rows = competing.join(
        F.broadcast(lake.spark.createDataFrame(ties, columns)),
        on=["source", "quality"],
        how="inner",
    )
    return rows.filter("tie_hash BETWEEN first_hash AND last_hash")


def _columns(rows: DataFrame) -> dict[str, Any]:
    found = rows.toArrow()
    return {name: found.column(name).to_pylist() for name in found.column_names}


def selected_rows(
    lake: Lakehouse, competing: DataFrame, cuts: Mapping[str, Cut], seed: int
) -> DataFrame:
    """The candidates up to their source's cut."""
    rows = [(s, c.quality_cut, c.tie_hash_cut, c.tie_doc_id_cut) for s, c in cuts.items()]
    columns = "source string, quality_cut int, tie_hash_cut bigint, tie_doc_id_cut string"
    cut = F.broadcast(lake.spark.createDataFrame(rows, columns))
    return competing.join(cut, on="source", how="inner").filter(order.is_selected(seed))
