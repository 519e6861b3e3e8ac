"""Which test data a document may not hold."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from mira_spark.settings.corpus import ColumnMapping, InputSettings, ReadableInput
from mira_spark.settings.selection import Share, parse_share


def _as_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} is named twice")
    return names


def _above_zero(share: str) -> str:
    if not parse_share(share):
        raise ValueError("should be above 0")
    return share


class ItemColumns(BaseModel):
    """The columns of an evaluation set. `doc_id` is the item's id; None: a hash of its text. The
    texts of several columns, as a question and its answer, are items of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    doc_id: str | None = None
    text: Annotated[tuple[str, ...], BeforeValidator(_as_several), AfterValidator(_distinct)] = (
        Field(("text",), min_length=1)
    )


class EvaluationSet(ReadableInput):
    """The items of a benchmark, read as an input of the corpus is."""

    columns: ItemColumns = ItemColumns()

    @field_validator("format", mode="before")
    @classmethod
    def _no_conversations(cls, value: object) -> object:
        if value == "messages":
            raise ValueError("conversations are no items: name columns of text, or paths into them")
        return value

    @property
    def inputs(self) -> Mapping[str, InputSettings]:
        """An input for each column of text."""
        same = {name: getattr(self, name) for name in ReadableInput.model_fields}
        id_column = self.columns.doc_id
        return {
            column: InputSettings(
                **same,
                source=self.name,
                columns=ColumnMapping(doc_id=id_column, source=None, text=column),
            )
            for column in self.columns.text
        }


class EvaluationSettings(BaseModel):
    """A document is contaminated by an item when it holds one of the item's n-grams of `words`
    normalised words.

    A shorter item has n-grams of `short_words` words, and a document must hold `share` of them. An
    item of fewer words is not looked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    sets: tuple[EvaluationSet, ...] = ()
    words: int = Field(13, ge=1, le=1_000)
    short_words: int = Field(5, ge=1)
    share: Annotated[Share, AfterValidator(_above_zero)] = "80%"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.short_words > self.words:
            raise ValueError(
                f"short_words: should be at most words, {self.words}, found {self.short_words}"
            )
        names = [each.name for each in self.sets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sets: {', '.join(twice)} is the name of more than one; use others")
        return self

    @property
    def least_share(self) -> Fraction:
        """The share of a short item's n-grams that a document must hold."""
        return parse_share(self.share) or Fraction(1)
