"""What a judge is shown of a document that is too long for it, and how much it did not see."""

import pytest
from pyspark.sql import Row

from mira_spark.corpus.excerpts import EXCERPT_MARK, excerpt
from mira_spark.judges import prompts
from mira_spark.judges.heuristic.judge import HeuristicJudge
from mira_spark.judges.protocol import Request
from mira_spark.labels.forms import Form
from mira_spark.labels.questions import request, unseen_share, with_shorter_excerpt

WINDOW = 32
FORM = Form("discovery", HeuristicJudge(), prompts.load(), b"salt", 0, WINDOW)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def question(text: str) -> Request:
    shown = excerpt(text, WINDOW)
    row = Row(doc_id="1", source="books", document=shown, sendable=True, license=None)
    return request(row, FORM, "discover", "group_a")


@pytest.mark.parametrize("length", [97, 300, 384, 385, 5_000])
def test_the_shorter_excerpt_is_that_of_the_whole_text_by_a_quarter(length: int) -> None:
    text = (LETTERS * 200)[:length]
    first = question(text)
    shorter = with_shorter_excerpt(first, FORM)
    begin, middle, end = shorter.document.split(EXCERPT_MARK)
    assert (begin, end) == (text[:WINDOW], text[-WINDOW:])
    start = text.index(middle, (length - WINDOW) // 2 - 1)
    assert abs(start - (length - WINDOW) // 2) <= 1
    assert shorter.document in "\n".join(
        line.removeprefix("\u00a6") for line in shorter.messages[-1][1].split("\n")
    )
    assert f"<document {shorter.code}>" in shorter.messages[-1][1]
    assert shorter.code != first.code
    assert shorter.call_key != first.call_key
    assert first.can_be_cut
    assert not shorter.can_be_cut, "cut once"


def test_a_document_of_three_quarter_windows_is_not_cut() -> None:
    assert not question("x" * 3 * WINDOW).can_be_cut


def test_another_asking_of_what_was_cut_is_cut_as_well() -> None:
    repeat = with_shorter_excerpt(question(LETTERS * 9), FORM)
    assert repeat.replicate == 0
    again = with_shorter_excerpt(Request(**{**vars(question(LETTERS * 9)), "replicate": 3}), FORM)
    assert again.replicate == 3
    assert again.document == repeat.document
    assert again.call_key != repeat.call_key


@pytest.mark.parametrize("length", [97, 384, 385, 5_000])
def test_the_share_that_was_not_seen_is_of_the_whole_text(length: int) -> None:
    first = question("x" * length)
    outside = max(0.0, 1 - 3 * WINDOW * 4 / length)
    assert unseen_share(outside, first, first) == outside
    shorter = with_shorter_excerpt(first, FORM)
    assert unseen_share(outside, first, shorter) == pytest.approx(1 - 3 * WINDOW / length)
