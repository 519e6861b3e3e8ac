"""What of a document's answers becomes labels, and what is asked again."""

from dataclasses import replace

import pytest
from pyspark.sql import Row

from mira_spark.judges import prompts
from mira_spark.judges.calls.ledger import Answered
from mira_spark.judges.heuristic.judge import HeuristicJudge
from mira_spark.judges.protocol import Anchor, Answer, CallOutcome, Purpose, Request
from mira_spark.judges.reading import Labels
from mira_spark.labels.asking import AskedDocument
from mira_spark.labels.desks import Labelling
from mira_spark.labels.forms import Form
from mira_spark.labels.label_rows import label_rows
from mira_spark.rubrics.rubric import Rubric

RUBRIC = Rubric("r", "group_a", (Anchor(0, "clear", ""),))
FORM = Form("labelling", HeuristicJudge(), prompts.load(None), b"salt", 0, 1_000)
WORK = Labelling("l", RUBRIC, FORM, None)  # nothing is asked
ROW = Row(doc_id="a", source="web", document="a text", content_hash=b"h", unseen_share=0.0)
QUESTION = Request("key", "label", "a", "group_a", "a text", RUBRIC.anchors, ())


def answered(purpose: Purpose, outcome: CallOutcome) -> Answered[Labels]:
    value = Labels([7], [None], 0) if outcome == "answered" else None
    reason = None if value else f"the {purpose} came to nothing"
    asked = replace(QUESTION, purpose=purpose, call_key=f"key of {purpose}")
    return Answered(asked, Answer("{}", outcome, reason), value, asked)


def document(**outcomes: CallOutcome) -> AskedDocument:
    purposes: tuple[Purpose, ...] = ("label", "repeat", "spoilt")
    answers = {p: answered(p, outcomes.get(p, "answered")) for p in purposes}
    return AskedDocument(ROW, 0, ("words_shuffled", "text a"), answers)


def test_a_document_and_its_copy_are_labelled() -> None:
    whole = document()
    assert whole.answer.outcome == "answered"
    rows = [(row["call_key"], row.get("spoilt")) for row in label_rows(whole, WORK)]
    assert rows == [("key of label", None), ("key of spoilt", "words_shuffled")]


@pytest.mark.parametrize("purpose", ["label", "repeat", "spoilt"])
def test_a_document_is_asked_again_whichever_of_its_questions_failed(purpose: Purpose) -> None:
    """What has no label is asked about again, and counted meanwhile."""
    failed = document(**{purpose: "failed"})
    assert failed.answer.outcome == "failed"
    assert failed.answer.reason == f"the {purpose} came to nothing"
    assert list(label_rows(failed, WORK)) == []


def test_an_answer_that_cannot_be_used_is_not_asked_for_again() -> None:
    unread = document(repeat="invalid", spoilt="truncated")
    assert unread.answer.outcome == "answered"
    (label,) = label_rows(unread, WORK)
    assert label["scores"] == [7]
    assert label["repeat_scores"] is None
    assert list(label_rows(document(label="invalid"), WORK)) == []
