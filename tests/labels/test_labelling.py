"""Repeats by the document's id alone; labels of another asking are never mixed."""

from hypothesis import given, strategies as st

from mira_spark.corpus.draws import draw
from mira_spark.labels.labelling import is_repeated, labelling_id
from mira_spark.settings.labels import LabellingSettings

IDS = [f"doc-{i}" for i in range(20_000)]


def test_about_the_asked_share_is_asked_again() -> None:
    repeated = [doc_id for doc_id in IDS if is_repeated(doc_id, LabellingSettings())]
    assert abs(len(repeated) / len(IDS) - 0.05) < 0.005


def test_none_or_all_are_asked_again_at_the_ends() -> None:
    none, all_ = LabellingSettings(repeat_share=0), LabellingSettings(repeat_share=1)
    assert not any(is_repeated(doc_id, none) for doc_id in IDS)
    assert all(is_repeated(doc_id, all_) for doc_id in IDS)


def test_a_larger_share_holds_the_smaller_one() -> None:
    small, large = LabellingSettings(repeat_share=0.1), LabellingSettings(repeat_share=0.2)
    repeated = {doc_id for doc_id in IDS if is_repeated(doc_id, small)}
    assert repeated < {doc_id for doc_id in IDS if is_repeated(doc_id, large)}


REPEATED = [0, 6, 11, 45, 52, 62, 75]


def test_who_is_asked_again_never_changes() -> None:
    # Golden: another hash would ask about other documents again, and pay for it.
    chosen = LabellingSettings(seed=9)
    assert [i for i in range(100) if is_repeated(f"doc-{i}", chosen)] == REPEATED


@given(st.text(), st.sampled_from(["fold", "repeat"]))
def test_a_share_is_in_range_and_its_own_for_each_purpose(doc_id: str, purpose: str) -> None:
    assert 0 <= draw(doc_id, purpose) < 1
    assert draw(doc_id, purpose) == draw(doc_id, purpose)
    assert draw(doc_id, "fold") != draw(doc_id, "repeat")


def test_another_rubric_or_another_way_of_asking_is_another_labelling() -> None:
    ids = {labelling_id(r, a) for r in ("r1", "r2") for a in ("a1", "a2")}
    assert len(ids) == 4
    assert labelling_id("r", "1a") != labelling_id("r1", "a")
