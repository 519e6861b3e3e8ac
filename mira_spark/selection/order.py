"""The best documents under an exact token budget, as a predicate on each source.

What a policy does with a budget is `allocation`'s; here are its settings, and the columns that tell
a document's place in the order (quality descending, xxhash64(doc_id, seed), doc_id).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from pyspark.sql import Column, functions as F

from mira_spark.errors import InputError
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.settings.selection import SelectionSettings


def budget_tokens(budget: str, corpus_tokens: int, smallest: int) -> int:
    """The budget in whole tokens; InputError when not even the smallest candidate would fit."""
    if budget.endswith("%"):
        tokens = int(Fraction(budget[:-1]) / 100 * corpus_tokens)
    else:
        tokens = int(budget.replace("_", ""))
    if tokens < smallest:
        raise InputError(
            f"selection.budget: {budget} is {tokens:,} of {corpus_tokens:,} tokens, less than the "
            f"smallest document ({smallest:,} tokens); nothing could be selected"
        )
    return tokens


def tie_hash(seed: int) -> Column:
    """xxhash64(doc_id, seed), the order among documents of equal quality."""
    return F.xxhash64(F.col("doc_id"), F.lit(seed).cast("bigint"))


def level_sql(score: str, of: str = "") -> str:
    """SQL: what documents compete by, 0 to 10,000, null for one without a quality; `of` qualifies
    the columns of the scores, e.g. `s.`."""
    found = {
        "quality": f"{of}quality",
        "random": "0",
        "length": f"least({FULL_SCALE}, cast(1000 * log10({of}n_tokens + 1) AS int))",
    }[score]
    return f"cast(if({of}quality IS NULL, NULL, {found}) AS smallint)"


def is_selected(seed: int) -> Column:
    """The predicate of a selection over candidates joined with `selection_cutoffs`."""
    return F.expr(selected_condition(seed))


def selected_condition(seed: int, score: str = "quality", of: str = "") -> str:
    """`is_selected` as SQL text for the views; false, never null, for quarantined documents.

    `score` is what documents compete by; `of` as in `level_sql`.
    """
    hashed = f"xxhash64({of}doc_id, CAST({int(seed)} AS BIGINT))"
    place = level_sql(score, of)
    return (
        f"coalesce({place} > quality_cut OR ({place} = quality_cut AND "
        f"({hashed} < tie_hash_cut OR ({hashed} = tie_hash_cut AND {of}doc_id <= tie_doc_id_cut)))"
        ", false)"
    )


def selection_id(
    settings: SelectionSettings,
    documents_version: int,
    scores_version: int,
    students: Iterable[str],
    others: Mapping[str, str],
) -> str:
    """Digest of everything the selection follows from; `others` are versions of users' tables."""
    content: list[Any] = [settings.model_dump(mode="json"), documents_version, scores_version]
    text = json.dumps([*content, sorted(students), dict(others)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
