"""What is read, and how sources are grouped."""

import re
from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.settings.types import Name, Seed

TABLE_NAME = re.compile(r"^[A-Za-z_]\w{0,127}(\.[A-Za-z_]\w{0,127}){0,2}$", re.ASCII)


Input = Literal["python_environment", "parquet", "json", "csv", "delta", "table"]


NO_INPUT = f"corpus.input: is missing; it should be one of {', '.join(get_args(Input))}"


class ColumnMapping(BaseModel):
    """The input's column for each of ours; None where it has none. Others go into metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    doc_id: str | None = None
    source: str | None = "source"
    text: str = "text"
    domain: str | None = None
    license: str | None = None
    sendable: str | None = None

    @property
    def not_given(self) -> frozenset[str]:
        """Columns of `documents` that the input does not have: a known document keeps its own."""
        return frozenset(c for c in ("domain", "license", "sendable") if getattr(self, c) is None)


OWN_COLUMNS = ColumnMapping(
    doc_id="doc_id", domain="domain", license="license", sendable="sendable"
)
"""The mapping of an input that has our columns already, as python_environment does."""


class CorpusSettings(BaseModel):
    """What `ingest_corpus` reads; with `input` None there is nothing it could. `max_*_per_source`
    bound the python_environment input alone.

    `removed` is what becomes of a document that the input no longer holds: `keep` it, or `withdraw`
    it from `documents`, so that nothing samples, sends, scores or selects it any more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Input | None = None
    path: str | None = None
    source: str | None = None
    columns: ColumnMapping = ColumnMapping()
    max_document_bytes: int = Field(33_554_432, ge=1, le=1_073_741_824)
    tokenizer: str = "bytes4"
    removed: Literal["keep", "withdraw"] = "keep"
    max_documents_per_source: int = Field(12_000, ge=1)
    max_bytes_per_source: int = Field(18_000_000, ge=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.input == "python_environment" and self.path is not None:
            raise ValueError("path is not for python_environment: name the kind of its files")
        if self.input in get_args(Input)[1:] and not self.path:
            raise ValueError(f"path is needed with input: {self.input} (files, or a table's name)")
        if self.input == "table" and not TABLE_NAME.match(self.path or ""):
            raise ValueError("path should be a table's name: table, schema.table or with a catalog")
        if self.source is None and self.columns.source is None:
            raise ValueError("source (a constant) or columns.source (a column) is needed")
        return self


class GroupingSettings(BaseModel):
    """`groups` None: chosen by silhouette. `mapping` (source to group) overrides the clustering."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_source: int = Field(200, ge=1, le=10_000)
    groups: int | None = Field(None, ge=1)
    outlier_below: float = Field(0.3, ge=-1, le=1)
    mapping: Mapping[str, Name] = {}
    seed: Seed = 0
