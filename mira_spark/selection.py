"""The best documents under an exact token budget: a histogram, a walk, and a cut at the tie.

Each group competes inside its share of the budget (policy `group`, paper section on retention). In
a group documents stand in the order (quality descending, xxhash64(doc_id, seed), doc_id); the
longest prefix within the share is kept. Only integers and exact fractions are compared, so the set
is the same on any partitioning, never over budget, and at most one document short.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mira_spark.errors import InputError

KEEP_ALL = -1
"""A quality_cut below every quality."""
HASH_PREFIX_BITS = 16
_BUDGET = re.compile(r"^(\d+(?:\.\d+)?)%$|^(\d[\d_]*)$")


class SelectionSettings(BaseModel):
    """`budget`: tokens (`25_000_000_000`) or per cent of the corpus' tokens (`40%`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: str = Field("default", pattern=r"^[a-z][a-z0-9_]{0,59}$")
    policy: Literal["group"] = "group"
    budget: str = "40%"
    seed: int = 0

    @field_validator("budget")
    @classmethod
    def _readable(cls, budget: str) -> str:
        if not _BUDGET.match(budget):
            raise ValueError("should be a number of tokens, e.g. 25_000_000_000, or e.g. 40%")
        share = Fraction(budget.removesuffix("%").replace("_", ""))
        if share <= 0:
            raise ValueError("should be more than 0")
        if budget.endswith("%") and share > 100:
            raise ValueError("should be at most 100%")
        return budget


@dataclass(frozen=True)
class Bin:
    """Documents of one source with one quality (None: quarantined, never selected)."""

    student_id: str
    source_group: str
    source: str
    quality: int | None
    documents: int
    tokens: int


@dataclass(frozen=True)
class Boundary:
    """Where a group's walk ends: all above `quality` are in; `left` tokens are for the ties at it.

    `left` is None when the whole group fits and there is no boundary.
    """

    quality: int
    left: Fraction | None


@dataclass(frozen=True)
class Tie:
    """The last document kept at the boundary quality."""

    tie_hash: int
    doc_id: str


def tie_hash(seed: int) -> Column:
    """xxhash64(doc_id, seed), the order among documents of equal quality."""
    return F.xxhash64(F.col("doc_id"), F.lit(seed).cast("bigint"))


def histogram(current: DataFrame) -> DataFrame:
    """Documents and tokens by (student_id, source_group, source, quality) of the current scores."""
    return current.groupBy("student_id", "source_group", "source", "quality").agg(
        F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens")
    )


def budget_tokens(settings: SelectionSettings, bins: Sequence[Bin], smallest: int) -> int:
    """The budget in whole tokens; InputError when not even the smallest document would fit."""
    total = sum(b.tokens for b in bins)
    if settings.budget.endswith("%"):
        tokens = int(Fraction(settings.budget[:-1]) / 100 * total)
    else:
        tokens = int(settings.budget.replace("_", ""))
    if tokens < smallest:
        raise InputError(
            f"selection.budget: {settings.budget} is {tokens:,} of {total:,} tokens, less than the "
            f"smallest document ({smallest:,} tokens); nothing could be selected"
        )
    return tokens


def shares(bins: Iterable[Bin], budget: int) -> dict[str, Fraction]:
    """Each group's part of the budget in tokens, by its part of the corpus' tokens; exact."""
    tokens: dict[str, int] = {}
    for b in bins:
        tokens[b.source_group] = tokens.get(b.source_group, 0) + b.tokens
    total = sum(tokens.values())
    return {g: Fraction(budget * t, total) if total else Fraction(0) for g, t in tokens.items()}


def boundaries(bins: Iterable[Bin], share: Mapping[str, Fraction]) -> dict[str, Boundary]:
    """Per group, the first quality (walking down) whose documents do not all fit its share."""
    levels: dict[str, dict[int, int]] = {g: {} for g in share}
    for b in bins:
        if b.quality is not None:
            level = levels[b.source_group]
            level[b.quality] = level.get(b.quality, 0) + b.tokens
    found = {}
    for source_group, level in levels.items():
        left = share[source_group]
        found[source_group] = Boundary(KEEP_ALL, None)
        for quality in sorted(level, reverse=True):
            if level[quality] > left:
                found[source_group] = Boundary(quality, left)
                break
            left -= level[quality]
    return found


def at_boundary(current: DataFrame, boundary: Mapping[str, Boundary], seed: int) -> DataFrame:
    """The documents tied at their group's boundary, with `tie_hash` and its leading bits."""
    tied = [
        (F.col("source_group") == g) & (F.col("quality") == b.quality)
        for g, b in boundary.items()
        if b.left is not None
    ]
    any_of = F.lit(False)
    for one in tied:
        any_of = any_of | one
    rows = current.filter(any_of).withColumn("tie_hash", tie_hash(seed))
    return rows.withColumn("prefix", F.shiftright("tie_hash", 64 - HASH_PREFIX_BITS))


def prefix_histogram(tied: DataFrame) -> DataFrame:
    """Tokens of the tied documents by (source_group, prefix): at most 65,536 rows a group."""
    return tied.groupBy("source_group", "prefix").agg(F.sum("n_tokens").alias("tokens"))


def walk_prefixes(
    rows: Iterable[tuple[str, int, int]], boundary: Mapping[str, Boundary]
) -> dict[str, tuple[int, Fraction]]:
    """Per group with a boundary, the prefix the walk ends in and the tokens left for it.

    `rows` are (source_group, prefix, tokens) of `prefix_histogram`.
    """
    by_group: dict[str, list[tuple[int, int]]] = {}
    for source_group, prefix, tokens in rows:
        by_group.setdefault(source_group, []).append((prefix, tokens))
    ends = {}
    for source_group, prefixes in by_group.items():
        left = boundary[source_group].left or Fraction(0)
        for prefix, tokens in sorted(prefixes):
            if tokens > left:
                ends[source_group] = (prefix, left)
                break
            left -= tokens
    return ends


def in_last_prefix(tied: DataFrame, ends: Mapping[str, tuple[int, Fraction]]) -> DataFrame:
    """The tied documents in the prefix the walk ends in."""
    keep = F.lit(False)
    for source_group, (prefix, _) in ends.items():
        keep = keep | ((F.col("source_group") == source_group) & (F.col("prefix") == prefix))
    return tied.filter(keep).select("source_group", "tie_hash", "doc_id", "n_tokens")


def walk_documents(
    rows: Iterable[tuple[str, int, str, int]], ends: Mapping[str, tuple[int, Fraction]]
) -> dict[str, Tie]:
    """Per group, the last document kept in the prefix the walk ends in; absent where none fits.

    `rows` are (source_group, tie_hash, doc_id, n_tokens) of `in_last_prefix`.
    """
    by_group: dict[str, list[tuple[int, str, int]]] = {}
    for source_group, hashed, doc_id, tokens in rows:
        by_group.setdefault(source_group, []).append((hashed, doc_id, tokens))
    last = {}
    for source_group, documents in by_group.items():
        left = ends[source_group][1]
        for hashed, doc_id, tokens in sorted(documents, key=lambda d: (d[0], d[1].encode())):
            if tokens > left:
                break
            left -= tokens
            last[source_group] = Tie(hashed, doc_id)
    return last


def cut_of(end: tuple[int, Fraction] | None, tie: Tie | None) -> tuple[int | None, str | None]:
    """(tie_hash_cut, tie_doc_id_cut): the last document kept, else the end of the last whole
    prefix (no document has the empty id, so every document before that hash is in)."""
    if tie is not None:
        return tie.tie_hash, tie.doc_id
    if end is None:
        return None, None
    return end[0] << (64 - HASH_PREFIX_BITS), ""


def is_selected(seed: int) -> Column:
    """The predicate of a selection over score columns joined with `selection_cutoffs`."""
    return F.expr(selected_condition(seed))


def selected_condition(seed: int, of: str = "") -> str:
    """`is_selected` as SQL text for the views; false, never null, for quarantined documents.

    `of` qualifies doc_id, e.g. `s.`.
    """
    hashed = f"xxhash64({of}doc_id, CAST({int(seed)} AS BIGINT))"
    return (
        "coalesce(quality > quality_cut OR (quality = quality_cut AND "
        f"({hashed} < tie_hash_cut OR ({hashed} = tie_hash_cut AND {of}doc_id <= tie_doc_id_cut)))"
        ", false)"
    )


def selection_id(
    settings: SelectionSettings,
    documents_version: int,
    scores_version: int,
    students: Iterable[str],
) -> str:
    """Digest of everything the selection follows from."""
    content = [settings.model_dump(mode="json"), documents_version, scores_version]
    text = json.dumps([*content, sorted(students)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
