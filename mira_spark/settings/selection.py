"""Which documents are selected."""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from mira_spark.errors import joined
from mira_spark.lake.scale import POINT, POINTS
from mira_spark.settings.types import IDENTIFIER, Name, Seed, spelt

_SHARE = re.compile(r"\d{1,18}(\.\d{1,18})?%?|\d{1,18}/[1-9]\d{0,17}", re.ASCII)


FORM = "should be from 0 to 1, e.g. 0.05, 5% or 1/20"
FLOOR_FORM = f"{FORM}, or of the source's own tokens, e.g. 5% of source"
OF_SOURCE = " of source"
SMALLEST_DOCUMENT_SHARE = Fraction(1, 1000)
"""The least that `max_document_share` may be: the histogram tells apart what is larger."""


def parse_share(text: str) -> Fraction | None:
    """The share of something that a text gives; None when it gives none from 0 to 1."""
    if not _SHARE.fullmatch(text):
        return None
    share = Fraction(text.removesuffix("%")) * (Fraction(1, 100) if text.endswith("%") else 1)
    return share if share <= 1 else None


def parse_floor(text: str, source_share: Fraction) -> Fraction | None:
    """The share of a budget that a source's floor gives; None when it gives none.

    `source_share` is what the source's own tokens are of the budget: a floor `of source` is a part
    of it, any other of the budget.
    """
    share = parse_share(text.removesuffix(OF_SOURCE))
    return share * source_share if share is not None and text.endswith(OF_SOURCE) else share


def contradictions(floors: Mapping[str, Fraction], caps: Mapping[str, Fraction]) -> Iterator[str]:
    """Why no corpus could be selected from by these floors and caps of sources."""
    for source in sorted(floors.keys() & caps.keys()):
        if caps[source] < floors[source]:
            cap, floor = share_text(caps[source]), share_text(floors[source])
            yield f"caps.{source}: {cap} is below the source's floor, {floor}"
    if (total := sum(floors.values(), Fraction(0))) > 1:
        yield f"floors: sum to {share_text(total)}, should be at most 1"


def share_text(share: Fraction) -> str:
    """A share as people write it, e.g. 3/5, or with six digits where that would be longer."""
    return str(share) if share.denominator <= 1_000 else f"{float(share):.6f}"


_BUDGET = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?%|[0-9][0-9_]{0,24}")


_MOST_TOKENS = 2**63 - 1


_Table = Annotated[
    str,
    spelt(
        rf"{IDENTIFIER}(\.{IDENTIFIER}){{0,2}}",
        "table, schema.table or catalog.schema.table, of letters, digits and _",
    ),
]


Scalar = bool | int | float | str


def _readable(share: str) -> str:
    if parse_share(share) is None:
        raise ValueError(FORM)
    return share


def _readable_floor(floor: str) -> str:
    if parse_floor(floor, Fraction(0)) is None:
        raise ValueError(FLOOR_FORM)
    return floor


def _document_share(text: str) -> str:
    share = parse_share(text)
    if share is None or share < SMALLEST_DOCUMENT_SHARE:
        raise ValueError("should be from 0.1% to 100%")
    return text


def _whole_thousandths(points: float) -> float:
    if round(points, 3) != points:
        raise ValueError("should have at most three decimals, e.g. 0.5")
    return points


Share = Annotated[str, AfterValidator(_readable)]
"""As in `allocation.Policy`."""
Floor = Annotated[str, AfterValidator(_readable_floor)]
"""A share of the budget, or `of source` of the source's own tokens, as in `allocation.Policy`."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Filter(_Settings):
    """A document is a candidate when this holds of it; a null is no value, and holds of nothing.

    `column` is one of `documents`, or `metadata.<key>`; `value` a list for `in` and `not in`. How
    metadata, which are texts, are compared: `candidates.filter_condition`.
    """

    column: Annotated[str, spelt(r"[a-z_]+(\..+)?", "a column of documents, or metadata.KEY")]
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in"]
    value: Scalar | tuple[Scalar, ...]


class Exclusion(_Settings):
    """A table of documents that are never selected, such as a test set's; `by` is its column."""

    table: _Table
    by: Literal["doc_id", "content_hash"] = "doc_id"


_TAKEN = frozenset({"documents"})
"""Names of selections whose view, `selected_<name>`, would be a table of ours."""
BaselineName = Literal["dsir", "perplexity", "heuristics", "educational"]
"""Of the section `baselines`."""


class ScoreColumn(_Settings):
    """A numeric column of the user's, by doc_id, to select by: the highest are the best."""

    table: _Table
    column: Annotated[str, spelt(IDENTIFIER, "a column's name, of letters, digits and _")]


class SelectionSettings(_Settings):
    """`budget`: tokens (`25_000_000_000`) or per cent of the tokens of all documents (`40%`).

    `score` is what documents compete by: their quality, or to compare `random`, `length` (tokens),
    a baseline, by the ranks of its scores, or a column. `temperature`, in points of it, adds noise
    as in `noise`; 0 adds none. `shares`, `floors`, `every_source`, `caps` and `max_document_share`
    are as in `allocation.Policy`. `contaminated` documents hold items of `evaluation.sets`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: Name = "default"
    policy: Literal["group", "global", "source"] = "group"
    budget: str = "40%"
    shares: Literal["tokens", "equal"] | dict[str, str] = "tokens"
    floors: dict[str, Floor] = {}
    every_source: Share = "0%"
    caps: dict[str, Share] = {}
    max_document_share: Annotated[str, AfterValidator(_document_share)] = "1%"
    score: Literal["quality", "random", "length", BaselineName] | ScoreColumn = "quality"
    temperature: Annotated[float, AfterValidator(_whole_thousandths)] = Field(0.0, ge=0, le=POINTS)
    where: tuple[Filter, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    contaminated: Literal["exclude", "keep"] = "exclude"
    duplicates: Literal["keep", "first", "near"] = "keep"
    materialize: Literal["view", "manifest", "text"] = "view"
    keep_days: int = Field(30, ge=0)
    seed: Seed = 0

    @field_validator("name")
    @classmethod
    def _is_no_table(cls, name: str) -> str:
        if name in _TAKEN:
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
        none = Fraction(0)
        floors = {s: parse_floor(text, none) or none for s, text in self.floors.items()}
        caps = {s: parse_share(text) or none for s, text in self.caps.items()}
        problems = list(contradictions(floors, caps))
        if not isinstance(self.shares, str):
            shares = {pool: parse_share(text) for pool, text in self.shares.items()}
            problems += [
                f"shares.{pool}: {FORM}" for pool, share in shares.items() if share is None
            ]
            total = sum(share for share in shares.values() if share is not None)
            if total != 1 and None not in shares.values():
                problems.append(f"shares: sum to {total}, should be exactly 1")
        if problems:
            raise ValueError(joined(problems))
        return self

    @property
    def noise_scale(self) -> int:
        """The temperature in thousandths of a point."""
        return round(self.temperature * POINT)

    @property
    def is_predicate(self) -> bool:
        """Whether a selection can be told from `scores` alone, without a list of documents."""
        by_list = self.where or self.exclude or self.duplicates != "keep" or self.baseline
        return not (by_list or isinstance(self.score, ScoreColumn) or self.materialize != "view")

    @property
    def baseline(self) -> str | None:
        """The baseline that documents compete by, if any."""
        is_baseline = self.score in get_args(BaselineName)
        return str(self.score) if is_baseline else None
