"""The cut: exactly the longest prefix of each group's order within its share of the budget."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from mira_spark import selection
from mira_spark.errors import InputError
from mira_spark.selection import Bin, SelectionSettings


class Document(NamedTuple):
    doc_id: str
    source_group: str
    quality: int | None
    tie_hash: int
    tokens: int


def oracle(documents: Sequence[Document], budget: int) -> set[str]:
    """Sort every group, keep documents until the first that does not fit its share."""
    total = sum(d.tokens for d in documents)
    kept = set()
    for group in {d.source_group for d in documents}:
        of_group = [d for d in documents if d.source_group == group]
        left = Fraction(budget * sum(d.tokens for d in of_group), total) if total else Fraction(0)
        scored = [d for d in of_group if d.quality is not None]
        for d in sorted(scored, key=lambda d: (-(d.quality or 0), d.tie_hash, d.doc_id)):
            if d.tokens > left:
                break
            left -= d.tokens
            kept.add(d.doc_id)
    return kept


def by_cut(documents: Sequence[Document], budget: int) -> set[str]:
    """What the step does, with Spark's part (sums and filters) in Python."""
    bins = [Bin("student", d.source_group, "source", d.quality, 1, d.tokens) for d in documents]
    boundary = selection.boundaries(bins, selection.shares(bins, budget))
    tied = [
        d for d in documents
        if boundary[d.source_group].left is not None
        and d.quality == boundary[d.source_group].quality
    ]  # fmt: skip
    sums: dict[tuple[str, int], int] = {}
    for d in tied:
        key = (d.source_group, d.tie_hash >> 48)
        sums[key] = sums.get(key, 0) + d.tokens
    ends = selection.walk_prefixes([(*key, tokens) for key, tokens in sums.items()], boundary)
    last = [
        (d.source_group, d.tie_hash, d.doc_id, d.tokens) for d in tied
        if d.source_group in ends and ends[d.source_group][0] == d.tie_hash >> 48
    ]  # fmt: skip
    ties = selection.walk_documents(last, ends)
    kept = set()
    for d in documents:
        hash_cut, id_cut = selection.cut_of(ends.get(d.source_group), ties.get(d.source_group))
        cut = boundary[d.source_group].quality
        above = d.quality is not None and d.quality > cut
        tie = (
            d.quality == cut
            and hash_cut is not None
            and (d.tie_hash, d.doc_id) <= (hash_cut, id_cut)
        )
        if above or tie:
            kept.add(d.doc_id)
    return kept


HASHES = st.one_of(
    st.integers(-3, 3),
    st.integers(-3, 3).map(lambda n: n << 48),
    st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def corpora(draw: st.DrawFn) -> list[Document]:
    """Heavy ties in quality and hash, huge and empty documents, quarantined ones."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.one_of(st.none(), st.integers(0, 2), st.integers(0, 10_000)),
                HASHES,
                st.one_of(st.integers(0, 3), st.integers(0, 10**12)),
            ),
            min_size=1,
            max_size=12,
        )
    )
    return [Document(f"d{i}", *row) for i, row in enumerate(rows)]


@settings(max_examples=2_000, deadline=None)
@given(corpora(), st.data())
def test_the_cut_is_the_sorted_prefix_and_never_over_the_budget(
    documents: list[Document], data: st.DataObject
) -> None:
    total = sum(d.tokens for d in documents)
    budget = data.draw(st.integers(1, max(1, total)))
    kept = by_cut(documents, budget)
    assert kept == oracle(documents, budget)
    assert sum(d.tokens for d in documents if d.doc_id in kept) <= budget


@settings(max_examples=1_000, deadline=None)
@given(corpora(), st.data())
def test_a_larger_budget_keeps_all_the_smaller_kept(
    documents: list[Document], data: st.DataObject
) -> None:
    total = max(1, sum(d.tokens for d in documents))
    small = data.draw(st.integers(1, total))
    large = data.draw(st.integers(small, total))
    assert by_cut(documents, small) <= by_cut(documents, large)


def bins_of(*tokens: int) -> list[Bin]:
    return [Bin("s/1", "group_a", "source", 5_000, 1, n) for n in tokens]


@pytest.mark.parametrize(
    ("budget", "tokens"),
    [
        ("40%", 4_000),
        ("100%", 10_000),
        ("33.3%", 3_330),
        ("0.07%", 7),
        ("2_500", 2_500),
        (300, 300),
    ],
)
def test_a_budget_is_whole_tokens(budget: str | int, tokens: int) -> None:
    chosen = SelectionSettings.model_validate({"budget": budget})
    assert selection.budget_tokens(chosen, bins_of(9_993, 7), 7) == tokens


def test_a_budget_below_the_smallest_document_is_refused() -> None:
    with pytest.raises(InputError) as error:
        selection.budget_tokens(SelectionSettings(budget="1%"), bins_of(600, 400), 400)
    assert str(error.value) == (
        "selection.budget: 1% is 10 of 1,000 tokens, less than the smallest document (400 tokens); "
        "nothing could be selected"
    )


def test_shares_are_exact_and_add_up_to_the_budget() -> None:
    bins = [Bin("s", group, group, 1, 1, n) for group, n in (("a", 1), ("b", 1), ("c", 1))]
    found = selection.shares(bins, 100)
    assert found == dict.fromkeys("abc", Fraction(100, 3))


def test_the_predicate_in_sql_agrees_with_the_cut(spark: SparkSession) -> None:
    hashed = spark.range(200).selectExpr("concat('d', id) AS doc_id")
    rows = hashed.withColumn("h", selection.tie_hash(7)).orderBy("h", "doc_id").collect()
    middle = rows[100]
    table = hashed.selectExpr(
        "doc_id", "CAST(CASE WHEN doc_id = 'd0' THEN NULL ELSE 5 END AS SMALLINT) AS quality",
        "5 AS quality_cut", f"{middle['h']} AS tie_hash_cut",
        f"'{middle['doc_id']}' AS tie_doc_id_cut",
    )  # fmt: skip
    kept = {r["doc_id"] for r in table.filter(selection.is_selected(7)).collect()}
    assert kept == {r["doc_id"] for r in rows[:101]} - {"d0"}
    other = {r["doc_id"] for r in table.filter(selection.is_selected(8)).collect()}
    assert other != kept, "another seed is another order"
