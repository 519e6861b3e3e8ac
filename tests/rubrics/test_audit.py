"""What an audit says of a rubric: its figures, and warnings in words."""

import json

import numpy as np
import pytest

from mira_spark.cli.audit import show_audit
from mira_spark.process.plain_values import plain
from mira_spark.process.progress import console
from mira_spark.rubrics.audit import Audit, ScoredDocuments, audit
from mira_spark.rubrics.dimension_figures import DimensionScores

N = 200
RANDOM = np.random.default_rng(4)
SOURCES = ["web", "code"] * (N // 2)


def audited(again: DimensionScores | None = None, n: int = N, **columns: DimensionScores) -> Audit:
    scores = np.stack(list(columns.values()), axis=1)[:n]
    scored = ScoredDocuments(
        "labels",
        [f"d{i}" for i in range(n)],
        SOURCES[:n],
        scores,
        scores if again is None else again[:n],
    )
    return audit("group_a", "0123", list(columns), scored)


def scale() -> dict[str, DimensionScores]:
    """Four dimensions that have much in common and each something of its own."""
    quality = RANDOM.normal(5, 2, N)
    return {f"side {i}": quality + RANDOM.normal(0, 2, N) for i in range(4)}


def test_a_rubric_that_is_a_scale_has_no_warning() -> None:
    found = audited(**scale())
    assert found.warnings == ()
    assert found.documents == N
    assert 1 < found.effective_dimensions < 4
    assert found.alpha is not None
    assert 0.7 < found.alpha < 1
    assert [each.agreement for each in found.slots] == [1] * 4
    for effective, alpha in found.halves:
        assert abs(effective - found.effective_dimensions) < 0.6
        assert alpha is not None
        assert abs(alpha - found.alpha) < 0.15


def test_each_fault_of_a_dimension_is_said_in_words() -> None:
    columns = scale()
    flat = np.where(np.array(SOURCES) == "web", 9.0, 2.0)
    rare = np.where(RANDOM.random(N) < 0.9, np.nan, RANDOM.normal(5, 2, N))
    against = 10 - columns["side 0"] + RANDOM.normal(0, 1, N)
    double = columns["side 1"] * 0.5 + RANDOM.normal(0, 0.1, N)
    found = audited(**columns, flat=flat, rare=rare, against=against, double=double)
    assert [warning.split(": ")[0] for warning in found.warnings] == [
        "slot 4, 'flat', separates nothing",
        "slot 5, 'rare', applies to no source",
        "slot 6, 'against', goes against the others",
        "slots 0 and 6, 'side 0' and 'against', say the same",
        "slots 1 and 7, 'side 1' and 'double', say the same",
        found.warnings[-1],
    ]
    assert found.warnings[-1].startswith("8 dimensions are worth 2.")
    assert found.slots[7].nearest == 1
    assert found.slots[4].spread == 0


def test_a_dimension_that_the_judge_does_not_say_again_is_named() -> None:
    columns = scale()
    again = np.stack(list(columns.values()), axis=1)
    again[:, 2] = RANDOM.permutation(again[:, 2])
    (warning,) = audited(again=again, **columns).warnings
    assert warning.startswith("slot 2, 'side 2', is not judged alike in reversed order: agreement ")


def test_dimensions_without_anything_in_common_are_no_scale() -> None:
    found = audited(**{name: RANDOM.normal(5, 2, N) for name in "abcdef"})
    assert 5 < found.effective_dimensions <= 6
    assert found.warnings[-1].startswith("the dimensions have little in common (alpha ")


def test_dimensions_that_all_say_the_same_are_worth_one() -> None:
    quality = RANDOM.normal(5, 2, N)
    found = audited(**{name: quality + RANDOM.normal(0, 0.5, N) for name in "abcd"})
    assert found.effective_dimensions == pytest.approx(1, abs=0.2)
    assert any(w.startswith("4 dimensions are worth 1.") for w in found.warnings)


def test_few_documents_are_said_to_be_few() -> None:
    found = audited(n=40, **scale())
    assert found.warnings[0] == (
        "40 documents are few: correlations are known to about 0.2 or worse"
    )


def test_other_programs_get_every_figure() -> None:
    found = audited(**scale())
    answer = json.loads(json.dumps(plain(found), allow_nan=False))
    assert [each["name"] for each in answer["slots"]] == [f"side {i}" for i in range(4)]
    assert answer["slots"][2]["spread"] == found.slots[2].spread
    assert np.allclose(answer["correlations"], found.correlations)
    assert (answer["documents"], answer["alpha"]) == (N, found.alpha)


def test_what_is_printed_names_every_slot_and_figure() -> None:
    with console.capture() as printed:
        show_audit(audited(**scale()))
    text = printed.get()
    assert "group_a, rubric 0123, by 200 documents of its labels" in text
    assert all(f"side {i}" in text for i in range(4))
    assert "independent dimensions (" in text
    assert "Cronbach's alpha 0." in text
