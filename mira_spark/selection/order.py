"""The best documents under an exact token budget, as a predicate on each source.

What a policy does with a budget is `allocation`'s; here are its settings, and the columns that tell
a document's place in the order (quality descending, xxhash64(doc_id, seed), doc_id).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pyspark.sql import Column
from pyspark.sql import functions as F

from mira_spark.errors import InputError
from mira_spark.lake.schemas import TABLES
from mira_spark.selection.allocation import FORM, Policy, contradictions, readable
from mira_spark.settings.types import Name, Seed

_BUDGET = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?%|[0-9][0-9_]{0,24}")
_MOST_TOKENS = 2**63 - 1
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
_TABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,127}(\.[A-Za-z_][A-Za-z0-9_]{0,127}){0,2}$"
HIGHEST = 10_000

Scalar = bool | int | float | str


def _readable(share: str) -> str:
    if readable(share) is None:
        raise ValueError(FORM)
    return share


Share = Annotated[str, AfterValidator(_readable)]
"""Of the budget, as in `allocation.Policy`."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Filter(_Settings):
    """A document is a candidate when this holds of it; a null is no value, and holds of nothing.

    `column` is one of `documents`, or `metadata.<key>`; `value` a list for `in` and `not in`. How
    metadata, which are texts, are compared: `candidates.holds`.
    """

    column: str = Field(pattern=r"^[a-z_]+(\..+)?$")
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in"]
    value: Scalar | tuple[Scalar, ...]


class Exclusion(_Settings):
    """A table of documents that are never selected, such as a test set's; `by` is its column."""

    table: str = Field(pattern=_TABLE)
    by: Literal["doc_id", "content_hash"] = "doc_id"


class ScoreColumn(_Settings):
    """A numeric column of the user's, by doc_id, to select by: the highest are the best."""

    table: str = Field(pattern=_TABLE)
    column: str = Field(pattern=_NAME)


class SelectionSettings(_Settings):
    """`budget`: tokens (`25_000_000_000`) or per cent of the tokens of all documents (`40%`).

    `score` is what documents compete by: their quality, or a baseline: `random`, `length` (tokens),
    or a column. `shares`, `floors` and `caps` are as in `allocation.Policy`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: Name = "default"
    policy: Literal["group", "global", "source"] = "group"
    budget: str = "40%"
    shares: Literal["tokens", "equal"] | dict[str, str] = "tokens"
    floors: dict[str, Share] = {}
    caps: dict[str, Share] = {}
    score: Literal["quality", "random", "length"] | ScoreColumn = "quality"
    where: tuple[Filter, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    duplicates: Literal["keep", "first"] = "keep"
    materialize: Literal["view", "manifest", "text"] = "view"
    keep_days: int = Field(30, ge=0)
    seed: Seed = 0

    @field_validator("name")
    @classmethod
    def _is_no_table(cls, name: str) -> str:
        if f"selected_{name}" in TABLES:
            raise ValueError(f"selected_{name} is a table of ours, not a view: use another name")
        return name

    @field_validator("budget")
    @classmethod
    def _readable(cls, budget: str) -> str:
        if not _BUDGET.fullmatch(budget):
            raise ValueError("should be a number of tokens, e.g. 25_000_000_000, or e.g. 40%")
        share = Fraction(budget.removesuffix("%").replace("_", ""))
        if share <= 0:
            raise ValueError("should be more than 0")
        if budget.endswith("%") and share > 100:
            raise ValueError("should be at most 100%")
        if share > _MOST_TOKENS:
            raise ValueError(f"should be at most {_MOST_TOKENS:,} tokens")
        return budget

    @model_validator(mode="after")
    def _possible(self) -> Self:
        floors, caps = ({s: readable(text) or Fraction(0) for s, text in given.items()}
                        for given in (self.floors, self.caps))  # fmt: skip
        problems = list(contradictions(floors, caps))
        if not isinstance(self.shares, str):
            shares = {pool: readable(text) for pool, text in self.shares.items()}
            problems += [
                f"shares.{pool}: {FORM}" for pool, share in shares.items() if share is None
            ]
            total = sum(share for share in shares.values() if share is not None)
            if total != 1 and None not in shares.values():
                problems.append(f"shares: sum to {total}, should be exactly 1")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def allocation(self) -> Policy:
        """Who competes with whom for which part."""
        return Policy(self.policy, self.shares, self.floors, self.caps)

    @property
    def candidates_id(self) -> str:
        """Digest of what decides who competes by what; `all` for all documents by quality."""
        chosen = self.model_dump(mode="json", include={"score", "where", "exclude", "duplicates"})
        if chosen == SelectionSettings().model_dump(mode="json", include=set(chosen)):
            return "all"
        if self.duplicates == "first":
            chosen["seed"] = self.seed  # which of two equals is first
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def is_predicate(self) -> bool:
        """Whether a selection can be told from `scores` alone, without a list of documents."""
        by_list = self.where or self.exclude or self.duplicates == "first"
        return not (by_list or isinstance(self.score, ScoreColumn) or self.materialize != "view")


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


def level(score: str, of: str = "") -> str:
    """SQL: what documents compete by, 0 to 10,000, null for one without a quality; `of` qualifies
    the columns of the scores, e.g. `s.`."""
    found = {
        "quality": f"{of}quality",
        "random": "0",
        "length": f"least({HIGHEST}, cast(1000 * log10({of}n_tokens + 1) AS int))",
    }[score]
    return f"cast(if({of}quality IS NULL, NULL, {found}) AS smallint)"


def is_selected(seed: int) -> Column:
    """The predicate of a selection over candidates joined with `selection_cutoffs`."""
    return F.expr(selected_condition(seed))


def selected_condition(seed: int, score: str = "quality", of: str = "") -> str:
    """`is_selected` as SQL text for the views; false, never null, for quarantined documents.

    `score` is what documents compete by; `of` as in `level`.
    """
    hashed = f"xxhash64({of}doc_id, CAST({int(seed)} AS BIGINT))"
    place = level(score, of)
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
