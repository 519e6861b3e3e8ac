"""The column says what the rule says, and the table changes only where a verdict does."""

import random

import numpy as np
import pytest

from mira_spark.errors import BusyError
from mira_spark.labels.verdict import verdicts
from mira_spark.labels.verdict_column import update_verdicts
from mira_spark.lake import leases
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from tests.lake.test_leases import heir

WEIGHTS = {"plain": [1_000] * 4, "weighted": [2_500, 1, 0, 1_000_000]}
LABELLINGS = {"first": "plain", "second": "weighted", "third": "weighted"}


@pytest.fixture
def labelled(lake: Lakehouse) -> Lakehouse:
    """A lake with the rubrics and without a label."""
    create_tables(lake, ["labels", "rubrics"])
    for rubric_id, weights in WEIGHTS.items():
        for discovery in ("d", "e"):  # as one that was found a second time
            rows = [slot(rubric_id, discovery, *each) for each in enumerate(weights)]
            lake.append_rows(rows, "rubrics", "r")
    return lake


def slot(rubric_id: str, discovery: str, number: int, weight: int) -> dict[str, object]:
    return {"rubric_id": rubric_id, "discovery_id": discovery, "source_group": "group_a",
            "slot": number, "name": f"slot {number}", "definition": "", "status": "approved",
            "weight": None if weight == 1_000 and discovery == "d" else weight}  # fmt: skip


def label(
    doc_id: str, scores: list[int | None], source: str = "web", labelling: str = "first",
    set_aside: str | None = None,
) -> dict[str, object]:  # fmt: skip
    return {"doc_id": doc_id, "content_hash": doc_id.encode(), "source": source,
            "source_group": "group_a", "rubric_id": LABELLINGS[labelling],
            "labelling_id": labelling, "scores": scores, "reasons": ["why"] * 4,
            "judge": "j", "unseen_share": 0.0, "call_key": "k", "set_aside": set_aside}  # fmt: skip


def random_labels(seed: int, rows: int = 150) -> list[dict[str, object]]:
    """Each source answers each slot with a share of its own, half and none among them."""
    draw = random.Random(seed)
    shares = {s: [draw.choice((0, 0.5, 0.5, 0.9, 1)) for _ in range(4)] for s in "abcde"}
    found = []
    for number in range(rows):
        source, labelling = draw.choice("abcde"), draw.choice(list(LABELLINGS))
        scores = [draw.randint(0, 10) if draw.random() < p else None for p in shares[source]]
        aside = draw.choice((None, None, None, "marked"))
        found.append(label(f"doc {number}", scores, source, labelling, aside))
    found += [label(f"even {i}", [i, 2, None if i % 2 else 3, 4], "even") for i in range(4)]
    return [*found, label("none", [None] * 4, "never answered")]


def column(lake: Lakehouse) -> dict[str, float | None]:
    return {row["doc_id"]: row["verdict"] for row in lake.read("labels").collect()}


def by_the_rule(labels: list[dict[str, object]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {str(row["doc_id"]): None for row in labels}
    for labelling, rubric_id in LABELLINGS.items():
        rows = [r for r in labels if r["labelling_id"] == labelling and r["set_aside"] is None]
        judged = np.array([row["scores"] for row in rows], dtype=np.float64)
        sources = [str(row["source"]) for row in rows]
        for row, verdict in zip(rows, verdicts(judged, sources, WEIGHTS[rubric_id]), strict=True):
            found[str(row["doc_id"])] = None if np.isnan(verdict) else float(verdict)
    return found


def test_spark_and_the_rule_give_the_same_bits_and_a_second_time_changes_nothing(
    labelled: Lakehouse,
) -> None:
    labels = random_labels(seed=3)
    labelled.append_rows(labels, "labels", "r")
    update_verdicts(labelled)
    expected = by_the_rule(labels)
    assert column(labelled) == expected
    assert expected["none"] is None
    assert len(set(expected.values())) > 40
    version = labelled.version("labels")
    update_verdicts(labelled)
    assert labelled.version("labels") == version, "no commit for nothing"


def test_a_later_label_changes_the_verdicts_of_its_source_alone_in_one_commit(
    labelled: Lakehouse,
) -> None:
    first = [label("a", [4, 8, None, None]), label("b", [4, 8, None, None]),
             label("c", [1, 3, 5, 7], "code")]  # fmt: skip
    labelled.append_rows(first, "labels", "r")
    update_verdicts(labelled)
    assert column(labelled) == {"a": 6, "b": 6, "c": 4}
    more = [label(f"new {i}", [6, None, None, None]) for i in range(3)]
    labelled.append_rows(more, "labels", "r")
    before = labelled.version("labels")
    update_verdicts(labelled)
    assert column(labelled) == {"a": 4, "b": 4, "c": 4, **{f"new {i}": 6 for i in range(3)}}
    assert labelled.version("labels") == before + 1


def test_labels_that_are_set_aside_have_no_verdict_and_decide_nothing(
    labelled: Lakehouse,
) -> None:
    steering = [label(f"bad {i}", [10, None, 10, 10], set_aside="canary: 1") for i in range(3)]
    labelled.append_rows([*steering, label("a", [2, 4, 6, 8])], "labels", "r")
    update_verdicts(labelled)
    assert column(labelled) == {"bad 0": None, "bad 1": None, "bad 2": None, "a": 5}


def test_a_driver_that_was_taken_over_sets_no_verdict(labelled: Lakehouse) -> None:
    create_tables(labelled, ["leases"])
    with leases.hold_lease(labelled, ["labels"], "late") as late:
        late.append_rows([label("a", [2, 4, 6, 8])], "labels", "r")
        heir(labelled, "labels")
        with pytest.raises(BusyError, match="labels: heir has taken over and goes"):
            update_verdicts(late)
    assert column(labelled) == {"a": None}
