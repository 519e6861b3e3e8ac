"""Folds keep domains whole, and are as even as these allow."""

from collections import Counter

from hypothesis import given, strategies as st

from mira_spark.distillation.folds import balanced_folds

DOMAINS = st.lists(st.sampled_from([f"d{n}" for n in range(12)]), max_size=200)


@given(DOMAINS)
def test_a_domain_is_in_one_fold_and_no_fold_outgrows_the_least_by_more_than_a_domain(
    domains: list[str],
) -> None:
    folds = balanced_folds(Counter(domains), 5)
    assert set(folds) == set(domains)
    sizes = Counter({fold: 0 for fold in range(5)})
    sizes.update(folds[domain] for domain in domains)
    largest = max(Counter(domains).values(), default=0)
    assert max(sizes.values()) - min(sizes.values()) <= largest


@given(DOMAINS)
def test_folds_depend_on_how_many_rows_a_domain_has_and_on_nothing_else(
    domains: list[str],
) -> None:
    rows = Counter(domains)
    assert balanced_folds(rows, 5) == balanced_folds(dict(sorted(rows.items(), reverse=True)), 5)


def test_two_domains_are_two_folds_and_one_is_one() -> None:
    assert set(balanced_folds({"a": 1_000, "b": 1}, 5).values()) == {0, 1}
    assert balanced_folds({"a": 1_000}, 5) == {"a": 0}
