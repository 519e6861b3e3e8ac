"""Pairs of bands and their similarities are the same however rows are cut into batches."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest

from mira_spark.corpus.near_batches import (
    MEMBERS,
    PART_TEXTS,
    bands_of_texts,
    pairs_of_bands,
    similarities,
)
from mira_spark.corpus.shingles import MinHash, band_values
from tests import near_oracle

BY = MinHash(words=8, rows=6, seed=0)


def batches(rows: pa.Table, sizes: Iterator[int]) -> Iterator[pa.RecordBatch]:
    """The rows in batches of these sizes, empty ones among them."""
    start = 0
    while start < rows.num_rows:
        size = next(sizes)
        yield (
            rows.slice(start, size).combine_chunks().to_batches()[0]
            if size
            else pa.record_batch(
                [pa.array([], field.type) for field in rows.schema], schema=rows.schema
            )
        )
        start += size


def collected(found: Iterator[pa.RecordBatch]) -> list[tuple[object, ...]]:
    return sorted(tuple(row.values()) for batch in found for row in batch.to_pylist())


@pytest.mark.parametrize("sizes", [(1,), (3,), (7, 0, 1), (10_000,), (20_000,)])
def test_each_text_is_paired_with_the_first_of_its_band(sizes: Sequence[int]) -> None:
    draw = random.Random(2)
    held: dict[int, list[bytes]] = defaultdict(list)
    for band, members in ((-9, 1), (-5, 2), (0, MEMBERS), (3, MEMBERS + 1), (4, 1), (2**60, 4_200)):
        held[band] = sorted(draw.randbytes(16) for _ in range(members))
    rows = [(band, member) for band in sorted(held) for member in held[band]]
    table = pa.table({"band": [r[0] for r in rows], "content_hash": [r[1] for r in rows]})
    wanted = [
        (first, member, place // PART_TEXTS)
        for members in held.values()
        for place, member in enumerate(members)
        for first in members[: min(place, MEMBERS)]
    ]
    assert collected(pairs_of_bands(batches(table, itertools.cycle(sizes)))) == sorted(wanted)


@pytest.mark.parametrize("sizes", [(1,), (2, 0), (100,)])
def test_similarities_are_exact(sizes: Sequence[int]) -> None:
    texts = list(near_oracle.planted(60, seed=1).values())
    rows = [
        (str(n).encode(), str(place).encode() if place else None, text)
        for n, own in enumerate((texts[3], texts[12], texts[13]))
        for place, text in enumerate([own, *texts])
    ]
    names = ("earlier", "later", "text")
    types = (pa.binary(), pa.binary(), pa.string())
    columns = [pa.array(c, t) for c, t in zip(zip(*rows, strict=True), types, strict=True)]
    table = pa.table(dict(zip(names, columns, strict=True)))
    found = collected(similarities(8)(batches(table, itertools.cycle(sizes))))
    wanted = [
        (str(n).encode(), str(place).encode(), near_oracle.similarity(own, text))
        for n, own in enumerate((texts[3], texts[12], texts[13]))
        for place, text in enumerate(texts, 1)
    ]
    assert found == sorted(wanted)


def test_every_text_has_its_bands() -> None:
    texts = list(near_oracle.planted(30, seed=2).values())
    hashes = [near_oracle.content_hash(text) for text in texts]
    table = pa.table({"content_hash": hashes, "text": texts})
    found = list(bands_of_texts(BY)(batches(table, itertools.cycle((7, 0, 5)))))
    rows = [row for batch in found for row in batch.to_pylist()]
    assert [row["content_hash"] for row in rows] == hashes
    assert [row["bands"] for row in rows] == [band_values(text, BY).tolist() for text in texts]
