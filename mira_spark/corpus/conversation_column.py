"""Conversations of inputs as texts, and the messages that they were read from."""

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import Column, functions as F
from pyspark.sql.pandas.functions import pandas_udf

from mira_spark.corpus.conversation_text import TURN_MARK, text_of_messages

MESSAGES = "messages"
"""The key in the metadata of a conversation that has its messages as JSON."""


def conversation_column(messages: Column) -> Column:
    """The text of the conversation in each JSON, as `text_of_messages`: null for null and for what
    is no conversation. Half of a pair in it gives bytes that are no valid UTF-8."""

    def texts(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        """The texts of each batch, as bytes."""
        for batch in batches:
            yield pd.Series([_encoded_text(each) for each in batch], batch.index, object)

    # Else Spark computes them for every filter on them anew.
    udf = pandas_udf(texts, "binary").asNondeterministic()  # type: ignore[call-overload]  # stubs want functionType
    column: Column = udf(F.make_valid_utf8(messages))
    return column.cast("string")


def _encoded_text(messages: str | None) -> bytes | None:
    text = None if messages is None else text_of_messages(messages)
    return None if text is None else text.encode("utf-8", "surrogatepass")


def with_messages(metadata: Column, messages: Column) -> Column:
    """The metadata of a conversation with its messages; that of another document as it is."""
    others = F.map_filter(metadata, lambda key, _: key != MESSAGES)
    both = F.map_concat(others, F.create_map(F.lit(MESSAGES), messages))
    return F.when(messages.isNull(), metadata).otherwise(both)


def original_messages() -> Column:
    """The messages that a document of `documents` was read from, as JSON; null where it is no
    conversation."""
    there = F.coalesce(F.col("messages"), F.try_element_at("metadata", F.lit(MESSAGES)))
    return F.when(F.col("text").startswith(TURN_MARK), there)
