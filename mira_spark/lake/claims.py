"""The right to write tables, and what Delta says when another has written them."""

import re
from collections.abc import Collection
from typing import Protocol

from pyspark.sql import DataFrame

_CONFLICT = re.compile(
    r"(Concurrent(Append|DeleteRead|DeleteDelete|Write|Transaction)|MetadataChanged|ProtocolChanged)"
    r"Exception|\[DELTA_(CONCURRENT_|METADATA_CHANGED|PROTOCOL_CHANGED)"
)
_OTHER_APPEND = re.compile(r"ConcurrentAppendException|\[DELTA_CONCURRENT_APPEND")
_SAME_TRANSACTION = re.compile(r"ConcurrentTransactionException|\[DELTA_CONCURRENT_TRANSACTION")


class Claim(Protocol):
    """The right to write `tables`, which ends when another driver takes it over (see `leases`)."""

    @property
    def tables(self) -> Collection[str]:
        """The tables it is for."""

    def row_while_valid(self) -> DataFrame:
        """A frame of one row, True, while the claim stands, else of none; it is looked up each time
        the frame is executed."""

    def check(self, within_s: float = 0) -> None:
        """Raises BusyError when the claim has ended; may trust what was seen `within_s` ago."""


def is_conflict(error: BaseException) -> bool:
    """Whether Delta refused a commit for the sake of another one made beside it. Before Delta 4.4,
    and over Connect, it may arrive as another kind of error, which the text alone tells."""
    return _CONFLICT.search(_text(error)) is not None


def is_other_append(error: BaseException) -> bool:
    """Whether the other commit appended to what this one had read."""
    return _OTHER_APPEND.search(_text(error)) is not None


def is_same_transaction(error: BaseException) -> bool:
    """Whether the other commit had the same transaction id."""
    return _SAME_TRANSACTION.search(_text(error)) is not None


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
