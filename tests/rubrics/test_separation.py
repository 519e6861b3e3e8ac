"""Which candidates become slots: those that tell documents of a source apart, each something of its
own."""

import numpy as np

from mira_spark.rubrics.dimension_figures import DimensionScores
from mira_spark.rubrics.separation import Separation, separations

N = 120
SOURCES = ["web", "code", "chat"] * (N // 3)
RANDOM = np.random.default_rng(5)


def noise(spread: float = 2.0) -> DimensionScores:
    return RANDOM.normal(5, spread, N)


def found(
    most: int = 15, again: DimensionScores | None = None, **columns: DimensionScores
) -> dict[str, Separation]:
    """Of candidates with these scores; asked in reversed order the judge says the same."""
    scores = np.stack(list(columns.values()), axis=1)
    reversed_scores = scores if again is None else again
    separation = separations(list(columns), scores, reversed_scores, SOURCES, most)
    return dict(zip(columns, separation, strict=True))


def others() -> dict[str, DimensionScores]:
    """Four that are taken: a common quality and noise of their own."""
    quality = noise()
    return {f"other {i}": quality + noise() for i in range(4)}


def taken(separation: dict[str, Separation]) -> list[str]:
    return [name for name, each in separation.items() if each.reason is None]


def test_what_varies_and_differs_is_taken() -> None:
    columns = others()
    separation = found(**columns)
    assert taken(separation) == list(columns)
    for each in separation.values():
        assert each.applying == 1
        assert each.agreement == 1
        assert each.spread is not None
        assert 2 < each.spread < 4
        assert each.item_rest is not None
        assert each.item_rest > 0
        assert each.source_spreads is not None
        assert sorted(each.source_spreads) == ["chat", "code", "web"]


def test_what_only_tells_sources_apart_is_left_out() -> None:
    means = np.array([{"web": 1.0, "code": 5.0, "chat": 9.0}[source] for source in SOURCES])
    separation = found(flat=means + RANDOM.normal(0, 0.1, N), **others())
    assert "flat" not in taken(separation)
    assert separation["flat"].reason is not None
    assert separation["flat"].reason.startswith("its scores vary by 0.1")
    assert separation["flat"].reason.endswith(" points within a source at most")


def test_what_varies_in_one_source_is_enough() -> None:
    columns = others()
    columns["one"] = np.where(np.array(SOURCES) == "code", columns["other 0"] + noise(), 5.0)
    assert "one" in taken(found(**columns))


def test_what_applies_to_no_source_is_left_out() -> None:
    rare, one = noise(), noise()
    rare[RANDOM.random(N) < 0.8] = np.nan
    one[np.array(SOURCES) != "code"] = np.nan
    separation = found(rare=rare, one=one, **others())
    assert "rare" not in taken(separation)
    assert "one" in taken(separation), "a dimension of one source is a dimension"
    assert separation["one"].applying == 1 / 3
    assert str(separation["rare"].reason).startswith("it applies to ")


def test_what_the_judge_does_not_say_again_is_left_out() -> None:
    columns = others() | {"moody": noise()}
    again = np.stack(list(columns.values()), axis=1)
    again[:, -1] = noise()
    again[N // 3 :] = np.nan  # a third was asked about
    separation = found(again=again, **columns)
    assert "moody" not in taken(separation)
    assert separation["moody"].agreement is not None
    assert separation["moody"].agreement < 0.4
    assert separation["other 0"].agreement == 1


def test_what_goes_against_the_others_is_left_out() -> None:
    columns = others()
    columns["against"] = 10 - columns["other 0"] + RANDOM.normal(0, 1, N)
    separation = found(**columns)
    assert taken(separation) == [name for name in columns if name != "against"]
    assert str(separation["against"].reason).startswith("it goes against the others: item-rest")
    assert separation["other 0"].item_rest is not None
    assert separation["other 0"].item_rest > 0.3, "measured without the one that is left out"


def test_of_two_that_say_the_same_the_one_that_separates_more_is_taken() -> None:
    columns = others()
    columns["double"] = 0.8 * columns["other 2"] + RANDOM.normal(0, 0.8, N)
    separation = found(**columns)
    assert taken(separation) == [name for name in columns if name != "double"]
    assert str(separation["double"].reason).startswith(
        "it says what 'other 2' says: correlation 0.9"
    )


def test_when_all_slots_are_taken_those_that_separate_least_are_left_out() -> None:
    columns = others() | {"narrow": noise(1.0)}
    separation = found(most=4, **columns)
    assert taken(separation) == list(columns)[:4]
    assert separation["narrow"].reason == "it separates less than the 4 that are taken"


def test_no_rule_of_the_pilot_leaves_fewer_than_a_rubric_needs_for_going_against_others() -> None:
    quality = noise()
    assert (
        len(taken(found(up=quality, down=10 - quality + RANDOM.normal(0, 3, N), side=noise()))) == 3
    )


def test_a_pilot_of_few_documents_leaves_the_commonest() -> None:
    scores = np.full((9, 5), 5.0)
    separation = separations(list("abcde"), scores, scores, ["web"] * 9, 3)
    assert [each.reason is None for each in separation] == [True] * 3 + [False] * 2
    assert separation[4] == Separation(
        "it is not among the 3 commonest, and the pilot has 9 documents only"
    )


def test_an_empty_pilot_leaves_the_commonest() -> None:
    nothing = np.empty((0, 5))
    assert [e.reason is None for e in separations(list("abcde"), nothing, nothing, [], 3)] == [
        True, True, True, False, False
    ]  # fmt: skip


def test_equal_scores_give_equal_figures_in_any_order_of_the_documents() -> None:
    columns = others()
    scores = np.stack(list(columns.values()), axis=1)
    order = RANDOM.permutation(N)
    shuffled = separations(
        list(columns), scores[order], scores[order], [SOURCES[i] for i in order], 3
    )
    for one, other in zip(
        separations(list(columns), scores, scores, SOURCES, 3), shuffled, strict=True
    ):
        assert one.reason == other.reason
        assert np.isclose(one.spread or 0, other.spread or 0)
