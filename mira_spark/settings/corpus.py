"""What is read, and how sources are grouped."""

import codecs
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mira_spark.lake.names import table_identifier
from mira_spark.settings.types import Name, Seed, spelt

InputFormat = Literal["parquet", "json", "csv", "text", "delta", "table", "messages"]
Input = Literal["python_environment", InputFormat]
KeepMessages = Literal["metadata", "column"]


NO_INPUT = (
    f"corpus.input: is missing; it should be one of {', '.join(get_args(Input))}, or corpus.inputs "
    "a list of several; mira init FILES writes a file that has it"
)


class ColumnMapping(BaseModel):
    """The input's column for each of ours; None where it has none. Others go into metadata. What a
    document is stands in `text` or, as a conversation, in `messages`, which stands in its place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    doc_id: str | None = None
    source: str | None = "source"
    text: str | None = "text"
    messages: str | None = None
    domain: str | None = None
    license: str | None = None
    sendable: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _messages_for_text(cls, values: Any) -> Any:
        has_messages = isinstance(values, Mapping) and values.get("messages") is not None
        return {"text": None, **values} if has_messages else values

    @model_validator(mode="after")
    def _text_or_messages(self) -> Self:
        if self.text is not None and self.messages is not None:
            raise ValueError("text: is named beside messages: set one of them to null")
        if self.text is None and self.messages is None:
            raise ValueError("text: is needed, a column of texts; or messages, of conversations")
        return self

    @property
    def not_given(self) -> frozenset[str]:
        """Columns of `documents` that the input does not have: a known document keeps its own."""
        return frozenset(c for c in ("domain", "license", "sendable") if getattr(self, c) is None)


OWN_COLUMNS = ColumnMapping(
    doc_id="doc_id", domain="domain", license="license", sendable="sendable"
)
"""The mapping of an input that has our columns already, as python_environment does."""


_Character = Annotated[str, spelt(r"[^\r\n]", "one character, no line break")]


class CsvSettings(BaseModel):
    """How fields are told apart. `escape` stands before a quote in quotes; where it is the quote, a
    quote is doubled. Spark's own writer needs `escape: "\\"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sep: Annotated[str, spelt(r"[^\r\n]{1,8}", "1 to 8 characters without line breaks")] = ","
    quote: _Character = '"'
    escape: _Character = '"'


class ReadableInput(BaseModel):
    """Files or a table, and how they are read.

    `filter` is a condition in SQL over the input's own columns; rows for which it does not hold are
    left out. `lines` is for text: a row is a line, or else a file. `encoding` is that of json, csv
    and text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    format: InputFormat
    path: str = Field(min_length=1)
    filter: str | None = None
    csv: CsvSettings = CsvSettings()
    encoding: str = "utf-8"
    lines: bool = True

    @property
    def file_format(self) -> InputFormat:
        """What its files are."""
        return "json" if self.format == "messages" else self.format

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(
                "should be an encoding that Python knows, as utf-8 or cp1252"
            ) from None

    @model_validator(mode="after")
    def _has_a_table_s_name(self) -> Self:
        if self.format == "table":
            _check_table(self.path)
        return self


class InputSettings(ReadableInput):
    """One input of several. `source` is a constant; without it `columns.source` names a column, or
    the folders `name=value` of a partition. A column may be a dotted path into structs.

    Of the rows that are documents at most `cap` come in, chosen by a hash of their ids. The format
    messages is json with conversations, in the column `messages` where no other is named.
    """

    source: str | None = None
    columns: ColumnMapping = ColumnMapping()
    cap: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _of_messages(cls, values: Any) -> Any:
        return _with_messages(values, "format")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.source is None and self.columns.source is None:
            raise ValueError("source: is needed, a constant; or columns.source, a column")
        _check_messages(self.format, self.columns)
        return self


def _with_messages(values: Any, key: str) -> Any:
    """An input with the column messages, where its format is that and none is named."""
    if not isinstance(values, Mapping) or values.get(key) != "messages":
        return values
    columns = values.get("columns") or {}
    if not isinstance(columns, Mapping) or not {"text", "messages"}.isdisjoint(columns):
        return values
    return {**values, "columns": {**columns, "messages": "messages"}}


def _check_table(path: str) -> None:
    try:
        table_identifier(path)
    except ValueError as error:
        raise ValueError(f"path: {error}, found {path!r}") from None


def _check_messages(chosen: str | None, columns: ColumnMapping) -> None:
    if chosen == "messages" and columns.messages is None:
        raise ValueError("columns.messages: is needed for conversations; or read them as json")


class CorpusSettings(BaseModel):
    """What `ingest_corpus` reads: `inputs`, or `input` with `path`, `source` and `columns` for a
    single one; without either there is nothing it could. `max_*_per_source` bound the
    python_environment input alone.

    `removed` is what becomes of a document that the inputs no longer hold: `keep` it, or `withdraw`
    it from `documents`, so that nothing samples, sends, scores or selects it any more.
    `keep_messages` is where the messages stay that a conversation was read from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Input | None = None
    path: str | None = None
    source: str | None = None
    columns: ColumnMapping = ColumnMapping()
    inputs: tuple[InputSettings, ...] = ()
    max_document_bytes: int = Field(33_554_432, ge=1, le=1_073_741_824)
    tokenizer: str = "bytes4"
    removed: Literal["keep", "withdraw"] = "keep"
    keep_messages: KeepMessages = "metadata"
    max_documents_per_source: int = Field(12_000, ge=1)
    max_bytes_per_source: int = Field(18_000_000, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _of_messages(cls, values: Any) -> Any:
        return _with_messages(values, "input")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.input == "python_environment" and self.path is not None:
            raise ValueError(
                "path: is not for input: python_environment; input is the files' format"
            )
        if self.input in get_args(InputFormat) and not self.path:
            raise ValueError(f"path: is needed with input: {self.input}, files or a table's name")
        if self.input == "table":
            _check_table(self.path or "")
        if self.source is None and self.columns.source is None:
            raise ValueError("source: is needed, a constant; or columns.source, a column")
        _check_messages(self.input, self.columns)
        if self.inputs and any((self.input, self.path, self.source)):
            raise ValueError("inputs: leave input, path and source out beside it: each has its own")
        if self.inputs and self.columns != ColumnMapping():
            raise ValueError("columns: leave them out beside inputs: each has its own")
        names = [each.name for each in self.inputs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"inputs: {', '.join(twice)} is the name of more than one; use others")
        return self


class GroupingSettings(BaseModel):
    """`groups` None: chosen by silhouette. `mapping` (source to group) overrides the clustering."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_source: int = Field(200, ge=1, le=10_000)
    groups: int | None = Field(None, ge=1)
    outlier_below: float = Field(0.3, ge=-1, le=1)
    mapping: Mapping[str, Name] = {}
    seed: Seed = 0
