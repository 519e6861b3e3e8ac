"""Spark's part in a selection, in plain Python: sums, filters and the predicate of a cut."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from mira_spark.selection import histogram
from mira_spark.selection.allocation import Policy, boundaries, cuts, ties, walks
from mira_spark.selection.positions import Positions, levels, prefixes, single_documents
from mira_spark.selection.walk import Boundary, Cut
from tests.selection_oracle import Document


def counted_bins(*rows: tuple[str, str, str, int | None, str | None, int, int]) -> histogram.Bins:
    """Of rows of `score_histogram`: student, group, source, quality, set aside, documents,
    tokens."""
    names = [*histogram.KEYS, *histogram.SUMS]
    kinds = [pa.string(), pa.string(), pa.string(), pa.int16(), pa.string(), pa.int64(), pa.int64()]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return histogram.bins_from_rows(
        pa.Table.from_pylist(found, pa.schema(list(zip(names, kinds, strict=True))))
    )


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
    histogram = counted(documents, 0)
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
