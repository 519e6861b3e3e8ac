"""What runs on executors: Arrow batches of items or documents in, batches of their n-grams out."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.corpus.ngrams import Ngrams, distinct_ngrams, filter_bits

ITEM = ("item_set", "item_column", "item_id")
"""What names an item."""
DOCUMENT = ("doc_id", "content_hash")
"""What names a document and its text."""
ITEM_NGRAMS = (
    ", ".join(f"{name} string" for name in ITEM)
    + ", ngram string, hash bigint, bits bigint, ngrams int, needed int"
)
DOCUMENT_NGRAMS = "doc_id string, content_hash binary, ngram string, position bigint"
_MOST_ROWS = 50_000
_Batches = Iterator[pa.RecordBatch]


def item_ngrams(batches: _Batches, words: int, short_words: int, share: Fraction) -> _Batches:
    """The distinct n-grams of items, batches of ITEM and `text`, as ITEM_NGRAMS: with the number of
    them that the item has, and how many a document needs to hold. An item of fewer than
    `short_words` words has none."""
    for batch in batches:
        long = distinct_ngrams(batch.column("text"), [words])
        yield from _batches_of_items(batch, long, Fraction(0))
        is_short = pa.array((long.words < words) & (long.words >= short_words))
        short = batch.filter(is_short)
        if short.num_rows:
            ngrams = distinct_ngrams(short.column("text"), [short_words])
            yield from _batches_of_items(short, ngrams, share)


def _batches_of_items(batch: pa.RecordBatch, found: Ngrams, share: Fraction) -> _Batches:
    """`share` of an item's n-grams are needed, and at least one."""
    counts = np.bincount(found.rows, minlength=batch.num_rows)
    needed = np.array([max(1, ceil(share * int(count))) for count in counts], np.int32)
    columns = {name: batch.column(name).take(pa.array(found.rows)) for name in ITEM}
    columns |= {
        "ngram": found.ngrams,
        "hash": pa.array(found.hashes),
        "bits": pa.array(filter_bits(found.hashes)),
        "ngrams": pa.array(counts[found.rows].astype(np.int32)),
        "needed": pa.array(needed[found.rows]),
    }
    yield from _parts(columns)


def document_ngrams(
    batches: _Batches, sizes: Sequence[int], passing: npt.NDArray[np.int64]
) -> _Batches:
    """Of documents, batches of DOCUMENT and `text`, the distinct n-grams of these sizes that pass
    the filter, as DOCUMENT_NGRAMS: with the character at which the first begins."""
    for batch in batches:
        found = distinct_ngrams(batch.column("text"), sizes, passing)
        rows = pa.array(found.rows)
        columns = {name: batch.column(name).take(rows) for name in DOCUMENT}
        yield from _parts(columns | {"ngram": found.ngrams, "position": pa.array(found.positions)})


def _parts(columns: dict[str, pa.Array]) -> _Batches:
    """The columns in batches that Spark can take: short ones, and strings as Spark has them."""
    whole = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    place = whole.schema.get_field_index("ngram")
    for first in range(0, whole.num_rows, _MOST_ROWS):
        part = whole.slice(first, _MOST_ROWS)
        yield part.set_column(place, "ngram", part.column(place).cast(pa.string()))
