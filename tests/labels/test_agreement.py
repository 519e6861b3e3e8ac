"""Kappa, alpha and the plain figures of two askings, with intervals that hold what they say."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import cohen_kappa_score

from mira_spark.labels.agreement import (
    _LEVELS,
    Agreement,
    Estimate,
    agreement,
    by_slot,
    ordinal_alpha,
    weighted_kappa,
)

NAN = float("nan")
UNDEFINED = Estimate(None, None, None)
INTERVALS = ("kappa", "alpha", "mae", "within_one", "shift")
Score = st.integers(0, 10)
Floats = npt.NDArray[np.float64]


def of(first: Sequence[float], second: Sequence[float], slot: int = 0, seed: int = 0) -> Agreement:
    return agreement(np.array(first, float), np.array(second, float), slot, "repeat", seed)


def coincidences(raters: Sequence[str], levels: int = _LEVELS) -> Floats:
    """The coincidence matrix of raters, each a text of one digit or `.` (missing) for a unit."""
    table = np.zeros((levels, levels))
    for unit in zip(*raters, strict=True):
        values = [int(value) for value in unit if value != "."]
        for one, other in permutations(values, 2):
            table[one, other] += 1 / (len(values) - 1)
    return table


def noisy(n: int, seed: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    first = random.integers(0, 11, n)
    return first.astype(float), np.clip(first + random.integers(-2, 3, n), 0, 10).astype(float)


def test_figures_of_a_case_worked_by_hand() -> None:
    """Squared distances of the pairs are 0 1 0 4, and 36 / 16 on average between the margins.
    The values 1 1 1 2 2 3 3 4 have the mid-ranks 1.5 4 6 7.5."""
    found = of([1, 1, 3, 4], [1, 2, 3, 2])
    assert found.n == 4
    assert found.mae.value == 3 / 4
    assert found.shift.value == -1 / 4
    assert found.within_one.value == 3 / 4
    assert found.kappa.value == pytest.approx(1 - (5 / 4) / (36 / 16))
    ranks = {1: 1.5, 2: 4, 3: 6, 4: 7.5}
    values = [ranks[v] for v in (1, 1, 1, 2, 2, 3, 3, 4)]
    of_all = sum((a - b) ** 2 for a, b in permutations(values, 2)) / (8 * 7)
    assert found.alpha.value == pytest.approx(1 - ((6.25 + 12.25) / 4) / of_all)


def test_alpha_is_that_of_the_published_example() -> None:
    """Krippendorff 2011: four observers, twelve units, missing data; ordinal alpha is 0.815."""
    observers = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    assert ordinal_alpha(coincidences(observers)) == pytest.approx(0.815, abs=5e-4)


def test_alpha_of_two_askings_is_that_of_their_coincidences() -> None:
    first, second = "12332141209", "12332241259"
    found = of([int(c) for c in first], [int(c) for c in second])
    assert found.alpha.value == pytest.approx(float(ordinal_alpha(coincidences([first, second]))))


@settings(deadline=None)
@given(st.lists(st.tuples(Score, Score), min_size=2, max_size=40))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    kappa = of(first, second).kappa
    if len({*first, *second}) == 1:
        assert kappa == UNDEFINED
    else:
        known = cohen_kappa_score(first, second, weights="quadratic", labels=range(_LEVELS))
        assert kappa.value == pytest.approx(known, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(Score, Score), min_size=2, max_size=30), st.integers(0, 3))
def test_what_is_the_same_either_way_round_is_and_the_shift_turns(
    pairs: list[tuple[int, int]], seed: int
) -> None:
    first, second = zip(*pairs, strict=True)
    there, back = of(first, second, seed=seed), of(second, first, seed=seed)
    for figure in ("kappa", "alpha", "mae", "within_one"):
        one, other = getattr(there, figure).value, getattr(back, figure).value
        assert one == (None if other is None else pytest.approx(other, abs=1e-12))
    assert there.shift.value is not None
    assert back.shift.value == -there.shift.value


def test_perfect_agreement_is_one_without_doubt() -> None:
    found = of([0, 3, 7, 10, 10] * 20, [0, 3, 7, 10, 10] * 20)
    assert found.kappa == found.alpha == found.within_one == Estimate(1.0, 1.0, 1.0)
    assert found.mae == found.shift == Estimate(0.0, 0.0, 0.0)


def test_scores_by_chance_agree_by_zero() -> None:
    random = np.random.default_rng(0)
    found = of(random.integers(0, 11, 20_000), random.integers(0, 11, 20_000))
    assert found.kappa.value == pytest.approx(0, abs=0.03)
    assert found.alpha.value == pytest.approx(0, abs=0.03)


def test_scores_turned_about_are_worse_than_chance() -> None:
    found = of(range(11), [10 - i for i in range(11)])
    assert found.kappa.value == pytest.approx(-1)
    assert found.alpha.value is not None
    assert found.alpha.value < -0.5


def test_a_second_asking_one_point_higher_is_an_order_effect_of_one() -> None:
    found = of([1, 4, 6, 8] * 10, [2, 5, 7, 9] * 10)
    assert found.shift == found.mae == found.within_one == Estimate(1.0, 1.0, 1.0)


def test_two_points_apart_is_not_within_one() -> None:
    assert of([1, 4, 6, 8], [3, 5, 6, 5]).within_one.value == 1 / 2


def test_one_score_everywhere_has_neither_kappa_nor_alpha() -> None:
    found = of([7] * 9, [7] * 9)
    assert found.kappa == found.alpha == UNDEFINED
    assert found.mae == Estimate(0.0, 0.0, 0.0)


def test_nulls_are_left_out_and_counted_where_only_one_asking_has_them() -> None:
    found = of([1, NAN, 3, NAN, 4, 5], [1, 2, 3, NAN, 2, NAN])
    assert found.n == 3
    assert found.null_in_one == 2 / 6
    assert (found.mae, found.kappa) == (
        of([1, 3, 4], [1, 3, 2]).mae,
        of([1, 3, 4], [1, 3, 2]).kappa,
    )


@pytest.mark.parametrize(("scores", "null_in_one"), [([], None), ([NAN, NAN], 0.0)])
def test_without_a_pair_every_figure_is_undefined(
    scores: list[float], null_in_one: float | None
) -> None:
    found = of(scores, scores)
    assert (found.n, found.null_in_one) == (0, null_in_one)
    assert all(getattr(found, figure) == UNDEFINED for figure in INTERVALS)


def test_one_document_has_figures_and_no_interval() -> None:
    found = of([4], [5])
    assert found.mae == found.shift == found.within_one == Estimate(1.0, None, None)
    assert found.kappa.value == 0


def test_two_documents_have_an_interval() -> None:
    assert of([4, 6], [5, 6]).mae == Estimate(0.5, 0.0, 1.0)


@pytest.mark.parametrize("wrong", [11, -1, 3.5, float("inf")])
@pytest.mark.parametrize("second", [False, True])
def test_what_is_no_score_is_refused(wrong: float, second: bool) -> None:
    pair = ([1, 2], [1, wrong])
    with pytest.raises(ValueError, match=f"score {wrong:g} is not an integer from 0 to 10"):
        of(*(pair if second else pair[::-1]))


def test_the_interval_is_the_same_for_a_seed_and_another_for_another() -> None:
    first, second = noisy(200, 0)
    assert of(first, second, seed=1) == of(first, second, seed=1)
    assert of(first, second, seed=1).mae != of(first, second, seed=2).mae
    assert of(first, second, seed=1).mae.value == of(first, second, seed=2).mae.value


def test_the_order_of_documents_does_not_matter() -> None:
    first, second = noisy(200, 0)
    moved = np.random.default_rng(5).permutation(200)
    assert of(first, second) == of(first[moved], second[moved])


def test_each_slot_is_figured_from_its_own_scores() -> None:
    slots = [noisy(100, seed) for seed in range(4)]
    first, second = (np.stack(side, axis=1) for side in zip(*slots, strict=True))
    first[:30, 2] = NAN
    found = by_slot(first, second, "reversed", 3)
    assert [(a.slot, a.kind, a.n) for a in found] == [
        (slot, "reversed", 70 if slot == 2 else 100) for slot in range(4)
    ]
    for slot in range(4):
        assert found[slot] == agreement(first[:, slot], second[:, slot], slot, "reversed", 3)
    first[:, 0] = 5
    assert by_slot(first, second, "reversed", 3)[1:] == found[1:]


@pytest.mark.parametrize("shape", [(4, 2), (5, 3), (4,)])
def test_askings_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected two alike"):
        by_slot(np.zeros((4, 3)), np.zeros(shape), "repeat", 0)


def coverage(simulations: int, n: int) -> dict[str, float]:
    """How often the interval of each figure holds the true value, in samples of a known table."""
    apart = np.subtract.outer(np.arange(_LEVELS), np.arange(_LEVELS))
    truth = np.exp(-(apart**2) / 4.0 - 0.3 * apart)
    truth /= truth.sum()
    expected = {
        "kappa": float(weighted_kappa(truth)),
        "alpha": float(ordinal_alpha((truth + truth.T) * 1e9)),
        "mae": float((truth * np.abs(apart)).sum()),
        "within_one": float(truth[np.abs(apart) <= 1].sum()),
        "shift": float((truth * -apart).sum()),
    }
    held = dict.fromkeys(expected, 0)
    random = np.random.default_rng(0)
    for seed in range(simulations):
        pairs = random.choice(_LEVELS**2, n, p=truth.ravel())
        found = of(pairs // _LEVELS, pairs % _LEVELS, seed=seed)
        for figure, value in expected.items():
            estimate = getattr(found, figure)
            held[figure] += estimate.low <= value <= estimate.high
    return {figure: times / simulations for figure, times in held.items()}


def test_the_intervals_hold_the_true_value_nineteen_times_in_twenty() -> None:
    assert all(0.88 <= share <= 0.995 for share in coverage(120, 200).values())


@pytest.mark.long
def test_the_intervals_hold_the_true_value_nineteen_times_in_twenty_over_many() -> None:
    assert all(0.925 <= share <= 0.975 for share in coverage(1_500, 200).values())


def test_more_documents_narrow_the_interval() -> None:
    few, many = (of(*noisy(n, 0)).kappa for n in (100, 1_600))
    assert None not in (few.low, few.high, many.low, many.high)
    widths = [float(e.high or 0) - float(e.low or 0) for e in (few, many)]
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.35)
