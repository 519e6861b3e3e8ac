"""What moved from one selection to another, by source and by reason."""

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, functions as F

from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import lost_versions, order, record
from mira_spark.selection.record import Selection

ONLY_A, ONLY_B, BOTH = "only in A", "only in B", "in both"
CHANGED, _ASIDE, QUALITY, _CUT = (
    "document changed or new",
    "set aside",
    "quality changed",
    "cut moved",
)


@dataclass(frozen=True)
class Moved:
    """Documents of a source that are in one of the selections or both. `reason` is why the other
    has them not, the first of: it has no such text, it set it aside, it has another quality for it,
    it is cut elsewhere; empty for those in both, whose tokens are B's."""

    source: str
    side: str
    reason: str
    documents: int
    tokens: int


def diff(lake: Lakehouse, a: Selection, b: Selection) -> list[Moved]:
    """What moved, by source, side and reason. InputError when a version that one of them was made
    from cannot be read any more.

    Where a selection reads users' tables, `set aside` is by what they say now.
    """
    lost_versions.check_readable(lake, [a, b], lost_versions.ALL_PINNED)
    rows = _side(lake, a, "a").join(_side(lake, b, "b"), on="doc_id", how="full")
    in_a, in_b = (F.coalesce(f"{x}_in", F.lit(False)) for x in "ab")
    side = F.when(in_a & in_b, BOTH).when(in_a, ONLY_A).otherwise(ONLY_B)
    reason = F.when(in_a & in_b, "").when(in_a, _reason("b")).otherwise(_reason("a"))
    moved = rows.filter(in_a | in_b).groupBy(
        F.when(in_b, F.col("b_source")).otherwise(F.col("a_source")).alias("source"),
        side.alias("side"),
        reason.alias("reason"),
    )
    tokens = F.when(in_b, F.col("b_tokens")).otherwise(F.col("a_tokens"))
    found = moved.agg(F.count("*").alias("documents"), F.sum(tokens).alias("tokens")).collect()
    return sorted((Moved(*row) for row in found), key=_place)


def _place(moved: Moved) -> tuple[bytes, int, str]:
    return moved.source.encode(), (BOTH, ONLY_A, ONLY_B).index(moved.side), moved.reason


def _side(lake: Lakehouse, one: Selection, x: str) -> DataFrame:
    """Every document that had a score, and whether it is in; columns begin with `x`_."""
    rows = record.competing_rows(lake, one, record.pinned_scores(lake, one))
    if one.settings.is_predicate:
        cuts = record.cutoffs(lake, one).select("source", *record.CUT)
        rows = rows.join(F.broadcast(cuts), on="source", how="inner")
        is_in = F.col("set_aside").isNull() & order.is_selected(one.settings.seed)
    else:
        items = record.listed_documents(lake, one).select("doc_id", F.lit(True).alias("is_item"))
        rows = rows.join(items, on="doc_id", how="left")
        is_in = F.coalesce("is_item", F.lit(False))
    competes_by = F.when(F.col("set_aside").isNull(), F.col("quality"))
    return rows.select(
        "doc_id",
        F.col("source").alias(f"{x}_source"),
        F.col("content_hash").alias(f"{x}_hash"),
        F.col("n_tokens").alias(f"{x}_tokens"),
        competes_by.alias(f"{x}_level"),
        is_in.alias(f"{x}_in"),
    )


def _reason(x: str) -> Column:
    """Why the selection `x` does not have a document that the other has."""
    same_text = F.col("a_hash") == F.col("b_hash")
    return (
        F.when(~F.coalesce(same_text, F.lit(False)), CHANGED)
        .when(F.col(f"{x}_level").isNull(), _ASIDE)
        .when(F.col("a_level") != F.col("b_level"), QUALITY)
        .otherwise(_CUT)
    )


def totals(found: Iterable[Moved]) -> dict[tuple[str, str], tuple[int, int]]:
    """Documents and tokens of all sources, by side and reason."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for m in found:
        documents, tokens = sums.get((m.side, m.reason), (0, 0))
        sums[m.side, m.reason] = documents + m.documents, tokens + m.tokens
    return sums
