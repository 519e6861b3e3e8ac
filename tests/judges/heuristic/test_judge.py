"""What the heuristic judge promises: it answers as asked, never raises, never wavers."""

import asyncio
import json

import pytest

from mira_spark.corpus.excerpts import EXCERPT_MARK
from mira_spark.errors import JudgeError
from mira_spark.judges.heuristic.judge import HeuristicJudge, Point, discover, label
from mira_spark.judges.protocol import Anchor, Purpose, Request
from tests.heuristic_properties import known_properties
from tests.judges.heuristic.texts import BARE, DIALOGUE, DOCUMENTED, OF_EVERY_KIND, PROSE

HOSTILE = {
    "nothing": "",
    "spaces": " " * 1_000_000,
    "newlines": "\n" * 1_000_000,
    "tabs": "\t\n" * 500_000,
    "NUL": "def f(x):\n    return '\0'\n" * 50,
    "lone surrogates": "def f(x):\n    return '\ud800'\n" * 50,
    "one long line": "a" * 1_000_000,
    "brackets": "([{" * 333_333,
    "open brackets": "import os\nx = " + "(" * 100_000,
    "signs": "import os\nx = " + "-" * 60_000 + "1",
    "attributes": "import os\nx = a" + ".b" * 30_000,
    "deep blocks": "".join(" " * depth + "if x:\n" for depth in range(300)),
    "broken definitions": "def f(\n" * 100_000,
    "broken methods": "class A:\n" + "    def f(self): (\n" * 50_000,
    "colons": "if " + ":" * 1_000_000,
    "fields": '{"a":' * 200_000,
    "quotes": '"' * 1_000_000,
    "marks": EXCERPT_MARK * 30_000,
    "empty turns": "Question:\n\nAnswer:\n" * 50_000,
    "commas": "Question: def f(" + ", " * 500_000 + "\nAnswer: x",
    "digits": "x = " + "1" * 60_000,
}


def request(document: str, names: tuple[str, ...] = ()) -> Request:
    anchors = tuple(Anchor(slot, name, "What is meant.") for slot, name in enumerate(names))
    purpose: Purpose = "label" if anchors else "discover"
    return Request("key", purpose, "doc", "group_a", document, anchors, ())


def test_it_is_named_for_what_it_is() -> None:
    assert HeuristicJudge.name == "heuristic:2"
    assert HeuristicJudge.identity == {"provider": "heuristic", "version": 2}


@pytest.mark.parametrize("document", OF_EVERY_KIND.values(), ids=OF_EVERY_KIND)
def test_discovery_names_at_least_ten_distinct_known_properties(document: str) -> None:
    names = [point.name for point in discover(document)]
    assert 10 <= len(names) == len(set(names)) <= 15
    assert set(names) <= set(known_properties())


def test_discovery_names_as_many_as_are_asked_for_at_most() -> None:
    assert discover(PROSE, limit=4) == discover(PROSE)[:4]


def test_discovery_names_what_is_central_to_the_kind_the_weakest_first() -> None:
    points = discover(BARE)
    assert [point.score for point in points] == sorted(point.score for point in points)
    names = {point.name for point in points}
    assert {"sound syntax", "used imports", "finished code"} <= names
    assert not {"word order", "answer relevance", "like values"} & names
    assert "answer relevance" in {point.name for point in discover(DIALOGUE)}
    assert "word order" in {point.name for point in discover(PROSE)}


@pytest.mark.parametrize("document", OF_EVERY_KIND.values(), ids=OF_EVERY_KIND)
def test_scores_are_whole_points_and_reasons_say_that_something_was_measured(document: str) -> None:
    points = [point for point in label(document, list(known_properties())) if point]
    assert len(points) >= 10
    for point in points:
        assert type(point.score) is int
        assert 0 <= point.score <= 10
        assert point.reason.startswith("Heuristic measurement: ")
        assert len(point.reason.split()) <= 25


def test_reasons_give_the_figures() -> None:
    assert label(DOCUMENTED, ["documented definitions"]) == [
        Point(
            "documented definitions",
            10,
            "Heuristic measurement: 2 of 2 public definitions are documented.",
        )
    ]


def test_asking_without_anchors_discovers() -> None:
    answer = asyncio.run(HeuristicJudge().ask(request(DOCUMENTED)))
    assert answer.outcome == "answered"
    assert json.loads(answer.raw_response or "") == {
        "document": "",
        "dimensions": [
            {"name": point.name, "score": point.score, "reason": point.reason}
            for point in discover(DOCUMENTED)
        ],
        "canary": 0,
    }


def test_asking_with_anchors_answers_every_slot_in_order() -> None:
    names = ("stop words", "sound syntax", "distinct lines")
    answer = asyncio.run(HeuristicJudge().ask(request(PROSE, names)))
    points = label(PROSE, names)
    answers = json.loads(answer.raw_response or "")["answers"]
    assert [(each["slot"], each["score"]) for each in answers] == [
        (slot, point.score if point else None) for slot, point in enumerate(points)
    ]
    assert points[1] is None
    assert answers[1]["reason"] == (
        "Heuristic measurement: not made, the document offers too little of its kind."
    )


def test_unknown_anchors_are_all_named_with_the_nearest_known_one() -> None:
    asked = request(PROSE, ("sound syntx", "word order", "distinct lins"))
    with pytest.raises(JudgeError) as raised:
        asyncio.run(HeuristicJudge().ask(asked))
    assert str(raised.value) == (
        "rubric: the heuristic judge cannot measure 'sound syntx'; "
        "the nearest it can is 'sound syntax'\n"
        "rubric: the heuristic judge cannot measure 'distinct lins'; "
        "the nearest it can is 'distinct lines'"
    )


@pytest.mark.parametrize("document", OF_EVERY_KIND.values(), ids=OF_EVERY_KIND)
def test_the_same_document_gets_the_same_answer(document: str) -> None:
    first, second = (asyncio.run(HeuristicJudge().ask(request(document))) for _ in range(2))
    assert first.raw_response == second.raw_response


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_no_text_makes_it_raise(document: str) -> None:
    names = list(known_properties())
    assert len(label(document, names)) == len(names)
    json.dumps([vars(point) for point in discover(document)]).encode()


def test_a_dimension_of_a_part_is_measured_on_that_part_alone() -> None:
    own = PROSE.strip("\n")
    thought = f"<think>\n{own}\n</think>\n1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"
    anchors = (
        Anchor(0, "share of letters", ""),
        Anchor(1, "share of letters", "", part="thinking"),
        Anchor(2, "share of letters", "", part="question"),
    )
    asked = Request("", "label", "d", "g", thought, anchors, (), code="0a1b2c3d")
    answers = json.loads(said(asked))["answers"]
    (alone,) = label(own, ["share of letters"])
    assert alone is not None
    assert [answer["score"] for answer in answers[1:]] == [alone.score, None]


def test_names_of_one_property_are_merged_into_the_first() -> None:
    names = ("plain spelling", "even layout", "Plain Spelling")
    anchors = tuple(Anchor(i, name, "") for i, name in enumerate(names))
    asked = Request("", "merge", "", "g", "list", anchors, (), code="0a1b2c3d")
    assert json.loads(said(asked)) == {
        "document": "0a1b2c3d",
        "canary": 0,
        "merges": [{"name": "Plain Spelling", "into": "plain spelling"}],
    }


def said(asked: Request) -> str:
    return str(asyncio.run(HeuristicJudge().ask(asked)).raw_response)
