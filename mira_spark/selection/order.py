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
from mira_spark.selection import gumbel
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
            f"smallest document ({smallest:,} tokens); nothing could be selected: set a larger one"
        )
    return tokens


def tie_hash(seed: int) -> Column:
    """xxhash64(doc_id, seed), the order among documents of equal quality."""
    return F.xxhash64(F.col("doc_id"), F.lit(seed).cast("bigint"))


def level_sql(score: str, of: str = "", seed: int = 0, noise_scale: int = 0) -> str:
    """SQL: what documents compete by, 0 to 10,000, null for one without a quality; `of` qualifies
    the columns of the scores, e.g. `s.`. With noise as in `noise`, where it has a scale."""
    found = {
        "quality": f"{of}quality",
        "random": "0",
        "length": f"least({FULL_SCALE}, cast(1000 * log10({of}n_tokens + 1) AS int))",
    }[score]
    found = gumbel.noisy_level_sql(found, _hash_sql(seed, of), noise_scale)
    return f"cast(if({of}quality IS NULL, NULL, {found}) AS smallint)"


def _hash_sql(seed: int, of: str = "") -> str:
    return f"xxhash64({of}doc_id, CAST({int(seed)} AS BIGINT))"


def is_selected(seed: int) -> Column:
    """Whether candidates, whose `quality` is what they compete by, are at or before the cut of
    their source in `selection_cutoffs`."""
    return F.expr(f"coalesce({_is_before_cut('quality', seed)}, false)")


def selected_condition(settings: SelectionSettings, of: str = "") -> str:
    """The predicate of a selection over scores joined with `selection_cutoffs`, as SQL; false,
    never null, for documents that do not compete. `of` as in `level_sql`."""
    level = level_sql(str(settings.score), of, settings.seed, settings.noise_scale)
    fits = f"{of}n_tokens <= coalesce(most_tokens, {of}n_tokens)"
    return f"coalesce({fits} AND ({_is_before_cut(level, settings.seed, of)}), false)"


def _is_before_cut(level: str, seed: int, of: str = "") -> str:
    hashed = _hash_sql(seed, of)
    return (
        f"{level} > quality_cut OR ({level} = quality_cut AND "
        f"({hashed} < tie_hash_cut OR ({hashed} = tie_hash_cut AND {of}doc_id <= tie_doc_id_cut)))"
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
