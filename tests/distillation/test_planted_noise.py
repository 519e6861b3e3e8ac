"""What a scorer sees of planted noise is what its AUC says."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from mira_spark.distillation.planted_noise import ALL_KINDS, NoiseCheck, noise_checks
from mira_spark.labels.agreement import Estimate
from mira_spark.labels.spoiling import spoilt_copies
from mira_spark.students.paper_rule import NO_QUALITY
from tests.spoilable_texts import TEXTS

Qualities = npt.NDArray[np.int16]
DOCUMENTS = [text for each in TEXTS.values() for text in each]
SOURCES = [kind for kind, each in TEXTS.items() for _ in each]
ORIGINALS = set(DOCUMENTS)


def constant(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
    return np.full(len(texts), 5_000, np.int16)


def by_length(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
    return np.array([min(len(text), 10_000) for text in texts], np.int16)


def reads(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
    """High for what was not spoilt."""
    return np.array([7_000 if text in ORIGINALS else 3_000 for text in texts], np.int16)


def checked(score: object, seed: int = 0, per_source: int = 12) -> dict[object, NoiseCheck]:
    found = noise_checks(score, DOCUMENTS, SOURCES, seed, per_source)  # type: ignore[arg-type]
    return {(check.source, check.kind): check for check in found}


def test_a_constant_is_chance_everywhere() -> None:
    assert {check.auc for check in checked(constant).values()} == {Estimate(0.5, 0.5, 0.5)}


def test_what_spoiling_destroys_is_told_every_time() -> None:
    assert {check.auc for check in checked(reads).values()} == {Estimate(1, 1, 1)}
    upside_down = checked(lambda texts, sources: -reads(texts, sources) + 10_000)
    assert {check.auc for check in upside_down.values()} == {Estimate(0, 0, 0)}


def test_length_alone_is_near_chance() -> None:
    checks = checked(by_length)
    for (_, kind), check in checks.items():
        if kind not in (ALL_KINDS, "answers_swapped"):
            assert check.auc == Estimate(0.5, 0.5, 0.5), kind
    swapped = checks[None, "answers_swapped"].auc
    assert swapped.low is not None
    assert swapped.high is not None
    assert swapped.low < 0.5 < swapped.high
    overall = checks[None, ALL_KINDS].auc.value
    assert overall is not None
    assert abs(overall - 0.5) < 0.05


def test_there_is_a_row_for_all_and_each_source_and_each_kind_in_order() -> None:
    found = noise_checks(constant, DOCUMENTS, SOURCES, 0, 12)
    copies = spoilt_copies(DOCUMENTS, SOURCES, 0, 12)
    names = [(check.source or "", check.kind != ALL_KINDS, check.kind) for check in found]
    assert names == sorted(names)
    planted = {(c.source, c.kind) for c in copies}
    sources = {*SOURCES, None}
    kinds = {(None, c.kind) for c in copies}
    assert {(c.source, c.kind) for c in found} == planted | kinds | {
        (s, ALL_KINDS) for s in sources
    }
    pairs = {(c.source, c.kind): c.pairs for c in found}
    for source, kind in planted:
        assert pairs[source, kind] == sum((c.source, c.kind) == (source, kind) for c in copies)
    assert pairs["code", ALL_KINDS] == sum(c.source == "code" for c in copies)


def test_the_mean_is_over_kinds_and_no_kind_of_few_pairs_or_many_dominates() -> None:
    """Code is told from its copies in one of its five ways, the others tie."""
    scrambled = {
        c.text
        for c in spoilt_copies(DOCUMENTS, SOURCES, 0, 12)
        if c.kind == "identifiers_scrambled"
    }

    def names(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
        return np.array([0 if text in scrambled else 5_000 for text in texts], np.int16)

    checks = checked(names)
    assert checks["code", "identifiers_scrambled"].auc.value == 1
    assert checks["code", ALL_KINDS].auc.value == pytest.approx((1 + 4 * 0.5) / 5)
    assert checks[None, "identifiers_scrambled"].pairs == 12
    assert checks[None, ALL_KINDS].auc.value == 0.5, (
        "twelve pairs are too few for the mean over all"
    )


def test_foreign_text_is_of_the_texts_given_for_it() -> None:
    """The others' quality is what tells: here they are of another alphabet."""
    foreign = ["ж" * 900, "щ " * 4_000]

    def latin(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
        return np.array([7_000 if text.isascii() else 3_000 for text in texts], np.int16)

    found = noise_checks(latin, DOCUMENTS, SOURCES, 0, 12, foreign)
    aucs = {check.kind: check.auc.value for check in found if check.source is None}
    assert aucs.pop("foreign_text") == 1
    del aucs[ALL_KINDS]
    assert set(aucs.values()) == {0.5}


def test_a_pair_without_a_quality_does_not_count() -> None:
    def half(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
        missing = np.array([source == "prose" for source in sources])
        return np.where(missing, NO_QUALITY, reads(texts, sources)).astype(np.int16)

    checks = checked(half)
    assert checks["prose", ALL_KINDS] == NoiseCheck(
        "prose", ALL_KINDS, 0, Estimate(None, None, None)
    )
    assert checks[None, ALL_KINDS].auc == Estimate(1, 1, 1)
    assert checks[None, "words_shuffled"].pairs == checked(reads)[None, "words_shuffled"].pairs - 12


def test_seed_and_documents_decide_whatever_their_order() -> None:
    def noisy(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
        return np.array([sum(map(ord, text)) % 997 for text in texts], np.int16)

    first = noise_checks(noisy, DOCUMENTS, SOURCES, 1, 6)
    assert first == noise_checks(noisy, DOCUMENTS[::-1], SOURCES[::-1], 1, 6)
    assert first != noise_checks(noisy, DOCUMENTS, SOURCES, 2, 6)
    overall = first[0].auc
    assert overall.low is not None
    assert overall.high is not None
    assert overall.value is not None
    assert 0 < overall.low < overall.value < overall.high < 1


@pytest.mark.parametrize("texts", [[], ["short"], [""] * 3])
def test_texts_that_cannot_be_spoilt_give_no_check_and_are_not_scored(texts: list[str]) -> None:
    def never(texts: Sequence[str], sources: Sequence[str]) -> Qualities:
        raise AssertionError(texts)

    assert noise_checks(never, texts, ["web"] * len(texts), 0) == []


def test_one_pair_has_no_interval() -> None:
    checks = noise_checks(reads, DOCUMENTS[:1], ["web"], 0)
    kinds = {check.kind: check.auc for check in checks if check.source == "web"}
    assert kinds.pop(ALL_KINDS).value == 1
    assert set(kinds.values()) == {Estimate(1, None, None)}
