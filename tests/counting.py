"""Spark's part in a selection, in plain Python: sums, filters and the predicate of a cut."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mira_spark.selection import histogram
from mira_spark.selection.allocation import Policy, boundaries, cuts, ties, walks
from mira_spark.selection.oversized import most_tokens
from mira_spark.selection.positions import Positions, levels, prefixes, single_documents
from mira_spark.selection.walk import Boundary, Cut
from tests.selection_oracle import Document

KINDS = {"quality": pa.int16(), "document_tokens": pa.int64(), "documents": pa.int64(),
         "tokens": pa.int64()}  # fmt: skip


def counted_bins(
    *rows: tuple[str, str, str, int | None, str | None, int, int], large: Collection[int] = ()
) -> histogram.Bins:
    """Of rows of `score_histogram`: student, group, source, quality, set aside, documents, tokens;
    those at the places `large` are of documents that may be oversized."""
    keys = [name for name in histogram.KEYS if name != "document_tokens"]
    found: list[dict[str, Any]] = [
        dict(zip([*keys, *histogram.SUMS], row, strict=True)) for row in rows
    ]
    for place in large:
        found[place]["document_tokens"] = found[place]["tokens"] // found[place]["documents"]
    names = [*histogram.KEYS, *histogram.SUMS]
    schema = pa.schema([(name, KINDS.get(name, pa.string())) for name in names])
    return histogram.bins_from_rows(pa.Table.from_pylist(found, schema))


def bins_of(documents: Iterable[Document], groups: Mapping[str, str]) -> histogram.Bins:
    """What Spark counts of all documents: those with over a thousandth of the tokens that compete
    of their source have rows of their own."""
    documents = list(documents)
    total: dict[str, int] = {}
    for d in documents:
        total[d.source] = total.get(d.source, 0) + (0 if d.quality is None else d.tokens)
    is_large = [d.quality is not None and d.tokens * 1_000 > total[d.source] for d in documents]
    rows = [("s", groups[d.source], d.source, d.quality, None, 1, d.tokens) for d in documents]
    return counted_bins(*rows, large=[place for place, large in enumerate(is_large) if large])


def counted(documents: Iterable[Document], bits: int) -> Positions:
    """What Spark counts: documents and tokens by source, quality and the hash's leading bits."""
    cells: dict[tuple[str, int, int], list[int]] = {}
    for d in documents:
        if d.quality is not None:
            prefix = d.tie_hash >> (64 - bits) if bits else 0
            cell = cells.setdefault((d.source, d.quality, prefix), [0, 0])
            cell[0] += 1
            cell[1] += d.tokens
    source, quality = [c[0] for c in cells], [c[1] for c in cells]
    counts = [n for n, _ in cells.values()], [tokens for _, tokens in cells.values()]
    if bits == 0:
        return levels(source, quality, *counts)
    return prefixes(bits, source, quality, [c[2] for c in cells], *counts)


def singly(documents: Sequence[Document]) -> Positions:
    return single_documents(
        [d.source for d in documents],
        [d.quality or 0 for d in documents],
        [d.tie_hash for d in documents],
        [d.doc_id for d in documents],
        [d.tokens for d in documents],
    )


def tied(documents: Iterable[Document], ends: Iterable[Boundary]) -> list[Document]:
    """What Spark filters: the documents at the boundaries."""
    wanted = ties(ends)
    return [
        d
        for d in documents
        if any(
            (d.source, d.quality) == (t.source, t.quality)
            and t.first_hash <= d.tie_hash <= t.last_hash
            for t in wanted
        )
    ]


def cuts_of(
    documents: Sequence[Document],
    policy: Policy,
    budget: int,
    groups: Mapping[str, str],
    bits: Iterable[int] = (),
) -> dict[str, Cut]:
    """What a step does, with Spark's part (sums and filters) in Python."""
    bins = bins_of(documents, groups)
    limits = most_tokens(policy, bins)
    documents = [d for d in documents if d.tokens <= limits[d.source]]
    histogram = bins.within(limits).levels
    found = walks(policy, budget, groups, histogram)
    ends = boundaries(found, histogram)
    for width in bits:
        ends = boundaries(found, counted(tied(documents, ends.values()), width), ends)
    ends = boundaries(found, singly(tied(documents, ends.values())), ends)
    return cuts(found, ends)


def passes(document: Document, cut: Cut) -> bool:
    """The predicate of a selection."""
    if document.quality is None or document.quality != cut.quality_cut:
        return document.quality is not None and document.quality > cut.quality_cut
    if cut.tie_hash_cut is None or cut.tie_doc_id_cut is None:
        return False
    last = (cut.tie_hash_cut, cut.tie_doc_id_cut.encode())
    return (document.tie_hash, document.doc_id.encode()) <= last
