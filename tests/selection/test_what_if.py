"""What a budget would keep, from the histogram alone: exact above the cut, in proportion at it."""

from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings

from mira_spark.selection.allocation import KEEP_ALL, Policy
from mira_spark.selection.oversized import most_tokens
from mira_spark.selection.positions import Positions, levels
from mira_spark.selection.what_if import Kept, entropy_bits, what_if
from tests import selection_oracle as oracle
from tests.counting import bins_of, cuts_of
from tests.selection_cases import SOURCES, Case, cases

GROUPS = {"web": "x", "books": "x"}


def bins() -> Positions:
    """Web: 4 documents of quality 9 with 40 tokens and 2 of 7 with 20; books: 10 of 7 with 60."""
    return levels(["web", "web", "books"], [9, 7, 7], [4, 2, 10], [40, 20, 60])


def test_the_level_at_the_cut_is_in_proportion() -> None:
    """Of 60 tokens 40 are web's above; 20 of 80 at the cut: a quarter of 20 and of 60."""
    found = what_if(Policy("global"), 60, GROUPS, bins(), more=20)
    assert found.kept == {
        "web": Kept(4, 45, 39.5 / 4.5, 7),
        "books": Kept(2, 15, 7.0, 7),
    }
    assert {s: k.tokens for s, k in found.kept_with_more.items()} == {"web": 50, "books": 30}
    assert found.entropy_bits == pytest.approx(0.811278)


def test_a_source_at_its_cap_leaves_the_rest_of_the_level_to_others() -> None:
    found = what_if(Policy("global", caps={"web": "0.7"}), 60, GROUPS, bins())
    assert {s: k.tokens for s, k in found.kept.items()} == {"web": 42, "books": 18}


def test_a_floor_is_reserved_before_the_walk_comes_to_it() -> None:
    """30 of 60 tokens are for books, so of the 40 of web's best level three quarters fit."""
    found = what_if(Policy("global", floors={"books": "50%"}), 60, GROUPS, bins())
    assert found.kept == {"web": Kept(3, 30, 9.0, 9), "books": Kept(5, 30, 7.0, 7)}


def test_what_is_reserved_is_not_charged_again() -> None:
    """30 of 75 tokens are for books and 40 taken of web. The other 5 are a quarter of web's level
    at the cut; that of books, 15 tokens, is within the 30."""
    found = what_if(Policy("global", floors={"books": "0.4"}), 75, GROUPS, bins())
    assert {s: k.tokens for s, k in found.kept.items()} == {"web": 45, "books": 30}


def test_all_is_kept_and_more_adds_nothing_where_all_fits() -> None:
    found = what_if(Policy("source"), 120, GROUPS, bins())
    assert found.kept == {
        "web": Kept(6, 60, 50 / 6, None),
        "books": Kept(10, 60, 7.0, None),
    }
    assert found.kept_with_more == found.kept
    assert found.entropy_bits == 1.0


def test_nothing_has_no_mean_and_no_entropy() -> None:
    found = what_if(Policy("global"), 1, {"empty": "x"}, levels([], [], [], []))
    assert found.kept == {"empty": Kept(0, 0, None, None)}
    assert found.entropy_bits == entropy_bits([]) == entropy_bits([5]) == 0


@settings(max_examples=1_000, deadline=None, derandomize=True)
@given(cases())
def test_the_cut_is_exact_and_tokens_are_at_most_a_level_away(case: Case) -> None:
    given = (case.policy, case.budget, case.groups)
    bins = bins_of(case.documents, case.groups)
    competing = bins.within(most_tokens(case.policy, bins)).levels
    found = what_if(*given, competing).kept
    cut = cuts_of(case.documents, *given)
    selected = oracle.kept(case.documents, case.budget, case.rule)
    assert sum(k.tokens for k in found.values()) <= case.budget
    for source in SOURCES:
        own = oracle.of_source(oracle.sized(case.documents, case.rule), source)
        in_it = [d for d in own if d.doc_id in selected]
        level = [d for d in own if d.quality == found[source].marginal_quality]
        quality = cut[source].quality_cut
        assert found[source].marginal_quality == (None if quality == KEEP_ALL else quality)
        assert abs(found[source].tokens - oracle.tokens_of(in_it)) <= oracle.tokens_of(level)
        assert abs(found[source].documents - len(in_it)) <= len(level)


def test_fifty_sources_of_10_001_levels_take_less_than_a_second() -> None:
    """From the columns to the answer, with a floor and a cap for each; processor time."""
    generator = np.random.default_rng(0)
    names = [f"source_{i:02d}" for i in range(50)]
    source = np.repeat(np.array(names, object), 10_001)
    quality = np.tile(np.arange(10_001, dtype=np.int16), 50)
    documents = generator.integers(0, 10**6, len(source))
    tokens = documents * generator.integers(1, 10**3, len(source))
    shares = {"floors": dict.fromkeys(names, "0.5%"), "caps": dict.fromkeys(names, "1/30")}
    start = process_time()
    histogram = levels(source.tolist(), quality, documents, tokens)
    groups = {name: f"group_{i % 4}" for i, name in enumerate(names)}
    found = what_if(Policy("group", **shares), int(tokens.sum()) * 2 // 5, groups, histogram)
    assert process_time() - start < 1
    assert sum(k.tokens for k in found.kept.values()) > 0
