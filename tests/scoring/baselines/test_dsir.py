"""DSIR's weights are those of the package data-selection, and say what the paper says of them."""

import numpy as np
import pytest

from mira_spark.scoring.baselines import dsir
from tests.scoring.baselines import package_weights


def test_weights_are_those_of_the_package_on_2_000_documents() -> None:
    documents, target = package_weights.documents(), package_weights.target()
    counts = dsir.bucket_counts(target), dsir.bucket_counts(documents)
    ratios = dsir.log_ratios(*counts)
    ours = np.array([dsir.log_weight(text, ratios) for text in documents])
    theirs = np.load(package_weights.FILE)
    assert len(ours) == len(theirs) == 2_000
    assert theirs.min() < -100 < 0 < 10 < theirs.max()
    assert np.abs(ours - theirs).max() < 1e-11  # 2.3e-13 when it was written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop-me_now…", ["don", "'", "t", "stop", "-", "me_now", "…"]),
        ("a==b\n\tc2 ÄÖ", ["a", "==", "b", "c2", "äö"]),
        (" \n", []),
    ],
)
def test_words_are_runs_of_letters_and_of_signs(text: str, words: list[str]) -> None:
    assert list(dsir.words(text)) == words


def test_a_text_s_n_grams_are_its_words_and_their_pairs() -> None:
    whole = dsir.bucket_counts(["A b, a"])
    parts = sum(dsir.bucket_counts([gram]) for gram in ("a", "b", ",", "a"))
    assert whole.sum() == 4 + 3
    assert ((whole - parts) >= 0).all()
    assert dsir.bucket_counts(["a b", "c"]).sum() == 4  # no pair goes from text to text


def test_what_the_target_set_has_more_of_weighs_more() -> None:
    ratios = dsir.log_ratios(dsir.bucket_counts(["sun sea"]), dsir.bucket_counts(["sun sea rain"]))
    weights = [dsir.log_weight(text, ratios) for text in ("sun", "rain", "unheard", "")]
    assert weights[0] > weights[2] == weights[3] == 0 > weights[1]
