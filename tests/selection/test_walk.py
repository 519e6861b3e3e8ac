"""The walk by itself: where it ends among equal qualities, and how a cut says so."""

import pytest

from mira_spark.errors import ReconciliationError
from mira_spark.selection.allocation import (
    KEEP_ALL,
    KEEP_NONE,
    Policy,
    Tie,
    boundaries,
    cuts,
    ties,
    walks,
)
from mira_spark.selection.positions import FIRST_HASH, levels
from mira_spark.selection.walk import Cut
from tests.counting import counted, cuts_of, tied
from tests.selection_oracle import Document

EQUAL = [
    Document("low", "web", 5, FIRST_HASH, 10),
    Document("first", "web", 5, 0, 10),
    Document("other", "news", 5, 0, 10),
    Document("second", "web", 5, 0, 10),
    Document("large", "news", 5, 1, 60),
    Document("far", "web", 5, 2**62, 10),
]
GROUPS = {"web": "x", "news": "y"}


@pytest.mark.parametrize(
    ("web_tokens", "cut"),
    [
        (9, Cut(5, FIRST_HASH, "")),
        (10, Cut(5, FIRST_HASH, "low")),
        (29, Cut(5, 0, "first")),
        (30, Cut(5, 0, "second")),
        (40, Cut(KEEP_ALL)),
    ],
)
def test_a_cut_is_at_the_last_document_kept_whoever_else_ties(web_tokens: int, cut: Cut) -> None:
    """Another pool's document lies between those of web and is not named in the cut of web."""
    policy = Policy("group", shares={"x": f"{web_tokens}/50", "y": f"{50 - web_tokens}/50"})
    assert cuts_of(EQUAL, policy, 50, GROUPS)["web"] == cut


def test_a_cut_may_lie_between_prefixes() -> None:
    """The first two bits of the hashes are -2, 0, 0 and 1; 10 + 20 tokens of 39 are whole."""
    policy = Policy("group", shares={"x": "39/50", "y": "11/50"})
    bins = counted(EQUAL, 0)
    found = walks(policy, 50, GROUPS, bins)
    ends = boundaries(found, bins)
    assert ties([ends["pool", "x"]]) == {Tie("web", 5, FIRST_HASH, 2**63 - 1)}
    ends = boundaries(found, counted(tied(EQUAL, ends.values()), 2), ends)
    assert ties([ends["pool", "x"]]) == {Tie("web", 5, 2**62, 2**63 - 1)}
    assert ends["pool", "x"].above == {"web": 30}
    assert cuts(found, ends)["web"] == Cut(5, 2**62, "")


def test_only_sources_with_documents_at_a_boundary_are_looked_at() -> None:
    documents = [*EQUAL, Document("good", "books", 6, 0, 1)]
    bins = counted(documents, 0)
    groups = GROUPS | {"books": "z"}
    ends = boundaries(walks(Policy("global"), 20, groups, bins), bins)
    assert {tie.source for tie in ties(ends.values())} == {"web", "news"}


def test_places_of_cuts_go_down_the_order() -> None:
    """Hashes are signed, ids stand by their UTF-8 bytes, (hash, "") is before all of that hash."""
    down = [
        Cut(KEEP_NONE),
        Cut(10_000),
        Cut(5),
        Cut(5, FIRST_HASH, "b"),
        Cut(5, -1, "a"),
        Cut(5, 0, ""),
        Cut(5, 0, "\uffff"),
        Cut(5, 0, "\U00010000"),
        Cut(5, 1, ""),
        Cut(4),
        Cut(KEEP_ALL),
    ]
    places = [cut.place for cut in down]
    assert places == sorted(set(places))


def test_other_documents_than_were_counted_are_refused() -> None:
    bins = counted(EQUAL, 0)
    found = walks(Policy("global"), 20, GROUPS, bins)
    with pytest.raises(ReconciliationError, match="documents of quality 5 were counted twice"):
        boundaries(found, counted(EQUAL[1:], 16), boundaries(found, bins))


def test_only_integers_are_counted() -> None:
    with pytest.raises(TypeError, match="float64"):
        levels(["web"], [5], [1], [10.0])  # type: ignore[list-item]
