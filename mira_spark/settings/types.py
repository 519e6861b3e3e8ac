"""The types of settings that several sections share, each defined once."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from mira_spark.lake import storage

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def spelt(pattern: str, words: str) -> AfterValidator:
    """The check that a whole text matches a pattern, in ASCII; `words` say so to people."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"should be {words}")
        return text

    return AfterValidator(check)


NAME, NAME_IN_WORDS = "[a-z0-9_]{1,64}", "1 to 64 of a to z, 0 to 9 and _"
Name = Annotated[str, spelt(NAME, NAME_IN_WORDS)]
"""Of a group, a selection, a part of a student's name or a run: it is also a folder's name, part of
a view's name, and a value in SQL."""

IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]{0,127}"
SchemaName = Annotated[
    str,
    spelt(
        rf"{IDENTIFIER}(\.{IDENTIFIER})?", "a schema, or catalog.schema, of letters, digits and _"
    ),
]
JavaMemory = Annotated[str, spelt("[1-9][0-9]*[gm]", "a whole number and g or m, e.g. 4g")]

Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What Spark's 64-bit hashes take. For numpy, scikit-learn and torch use `seed % SEEDS`."""
SEEDS = 2**32


def local_path(value: object) -> object:
    """The value, when it can name a file or folder of this machine; else ValueError."""
    text = str(value) if isinstance(value, str | Path) else ""
    if _URI.match(text):
        raise ValueError("should be a path of this machine's file system, not a URI")
    if not text or "\0" in text:
        raise ValueError("should be a path")
    return value


def _in_ascii(value: object) -> object:
    if isinstance(value, str) and not value.isascii():
        raise ValueError("should be a number in the digits 0 to 9")
    return value


LocalPath = Annotated[Path, BeforeValidator(local_path)]
"""A path on this machine or on what is mounted there; `s3://…` would become a folder `s3:`."""


def root_folder(value: object) -> Path | str:
    """The URI as text, a path as a path; ValueError for what is neither."""
    text = str(value)
    if not storage.is_uri(text):
        if _URI.match(text):
            known = ", ".join(storage.SCHEMES)
            raise ValueError(f"should be a path, or a URI of {known}")
        local_path(value)
        return Path(text)
    if re.search(r"[\0?#]|//.*//|/\.\.?(/|$)", text.removesuffix("/")):
        raise ValueError("should be a URI as s3://bucket/prefix, without // or .. in it")
    return text.rstrip("/")


RootFolder = Annotated[Path | str, BeforeValidator(root_folder)]
"""What driver and executors share: a path that both have, or a URI of object storage."""

Usd = Annotated[Decimal, BeforeValidator(_in_ascii), Field(ge=0, max_digits=18, decimal_places=9)]
"""US dollars, to the billionth."""
