"""What an answer says, read strictly: out of every envelope, nothing clamped, nothing guessed."""

import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, strategies as st

from mira_spark.judges.reading import (
    LONGEST_CONTENT,
    Labels,
    Unusable,
    content,
    parse_discovery,
    parse_labels,
    parse_merges,
)

CODE = "0a1b2c3d"
TWO = (0, 1)


def row(slot: Any, score: Any = 5, reason: Any = "so") -> dict[str, Any]:
    return {"slot": slot, "score": score, "reason": reason}


def labels(*rows: Any, **changes: Any) -> str:
    return json.dumps({"document": CODE, "answers": rows, "canary": 0} | changes)


def point(name: Any = "depth", score: Any = 5, reason: Any = "It is deep.") -> dict[str, Any]:
    return {"name": name, "score": score, "reason": reason}


def dimensions(*rows: Any, **changes: Any) -> str:
    return json.dumps({"document": CODE, "dimensions": rows, "canary": 0} | changes)


def completion(message: Any, finish_reason: Any = "stop", **more: Any) -> str:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return json.dumps({"object": "chat.completion", "choices": [choice]} | more)


def said(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text} | more


def converse(blocks: Any, stop: str = "end_turn") -> str:
    message = {"role": "assistant", "content": blocks}
    return json.dumps({"output": {"message": message}, "stopReason": stop, "usage": {}})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (2, 1, 0)])
def test_scores_and_reasons_come_in_slot_order(order: tuple[int, ...]) -> None:
    rows = [row(4, 0, "zero"), row(7, None, None), row(9, 10, "ten")]
    found = parse_labels(labels(*(rows[i] for i in order), canary=3), CODE, (9, 4, 7))
    assert found == Labels([0, None, 10], ["zero", None, "ten"], 3)


@given(st.lists(st.none() | st.integers(0, 10), min_size=1, max_size=15), st.randoms())
def test_every_answer_as_asked_is_read(scores: list[int | None], chance: random.Random) -> None:
    rows = [row(slot, score, f"because {slot}") for slot, score in enumerate(scores)]
    chance.shuffle(rows)
    found = parse_labels(f"\n {labels(*rows)}\t\n", CODE, range(len(scores)))
    assert found.scores == scores
    assert found.reasons == [f"because {slot}" for slot in range(len(scores))]


@pytest.mark.parametrize("seven", ["7.0", "7.00", "7e0", "70e-1", "0.7E1"])
def test_a_whole_number_is_one_however_it_is_written(seven: str) -> None:
    text = labels(row(0, 5), row(1, 4)).replace('"score": 4', f'"score": {seven}')
    scores = parse_labels(text, CODE, TWO).scores
    assert scores == [5, 7]
    assert [type(score) for score in scores] == [int, int]
    point_text = dimensions(point()).replace('"score": 5', f'"score": {seven}')
    assert parse_discovery(point_text, CODE) == [("depth", "It is deep.", 7)]


WRAPPINGS = (
    "{}",
    "```json\n{}\n```",
    "```\n{}\n```",
    "```JSON {}```\n",
    "  ```json\r\n{}\r\n```  ",
    "<think>The text seems good. {{}}\n</think>\n\n{}",
    "\n<think></think>{}",
    "<think>```json\nno\n```</think>\n```json\n{}\n```",
)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(
    "envelope", [lambda text: completion(said(text)), lambda text: converse([{"text": text}])]
)
def test_a_fence_and_a_thinking_block_are_taken_off(
    wrapping: str, envelope: Callable[[str], str]
) -> None:
    text = labels(row(0, 3, "It holds ```json and <think>."), row(1))
    found = content(envelope(wrapping.format(text)))
    assert parse_labels(found, CODE, TWO).scores == [3, 5]


@pytest.mark.parametrize(
    "wrapping",
    ["I say:\n```json\n{}\n```", "```json\n{}\n```\nDone.", "```json\n```json\n{}\n```\n```",
     "{}\n<think>so</think>", "<think>{}", "<think>a</think><think>b</think>{}", "```json\n{}"],
)  # fmt: skip
def test_what_else_stands_around_an_answer_is_no_part_of_one(wrapping: str) -> None:
    found = content(completion(said(wrapping.format(labels(row(0), row(1))))))
    with pytest.raises(ValueError, match=r"^not JSON: "):
        parse_labels(found, CODE, TWO)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_without_an_answer_is_said_as_that(name: str) -> None:
    for empty in (None, "", []):
        with pytest.raises(Unusable) as caught:
            content(completion(said(empty, **{name: "x" * 1_200})))
        assert caught.value.outcome == "invalid"
        assert caught.value.reason == "1,200 characters of reasoning and no answer"
    with pytest.raises(Unusable, match="cut short: length"):
        content(completion(said(None, **{name: "x"}), "length"))
    assert content(completion(said("{}", **{name: "x"}))) == "{}"


NO_SCORE = "slot 1: score {} is not an integer from 0 to 10"
NO_REASON = "slot 1: reason {} is not a text"


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([row(0), row(1, 11)], NO_SCORE.format("11")),
        ([row(0), row(1, -1)], NO_SCORE.format("-1")),
        ([row(0), row(1, "7")], NO_SCORE.format("'7'")),
        ([row(0), row(1, "11/10")], NO_SCORE.format("'11/10'")),
        ([row(0), row(1, "")], NO_SCORE.format("''")),
        ([row(0), row(1, 3.5)], NO_SCORE.format("3.5")),
        ([row(0), row(1, 7.5)], NO_SCORE.format("7.5")),
        ([row(0), row(1, 11.0)], NO_SCORE.format("11.0")),
        ([row(0), row(1, 1e300)], NO_SCORE.format("1e+300")),
        ([row(0), row(1, True)], NO_SCORE.format("True")),
        ([row(0), row(1, False)], NO_SCORE.format("False")),
        ([row(0), row(1, [5])], NO_SCORE.format("[5]")),
        ([row(0), row(1, {})], NO_SCORE.format("{}")),
        ([row(0), row(1, 10**30)], NO_SCORE.format("10000000000000000000")),
        ([row(0), row(1, float("nan"))], "not JSON: NaN is not a number"),
        ([row(0), row(1, float("inf"))], "not JSON: Infinity is not a number"),
        ([row(0), row(1, float("-inf"))], "not JSON: -Infinity is not a number"),
        ([row(0), row(1, 5, 5)], NO_REASON.format("5")),
        ([row(0), row(1, 5, ["x"])], NO_REASON.format("['x']")),
        ([row(0), row(1, 5, {})], NO_REASON.format("{}")),
        ([row(0), row(1, 5, True)], NO_REASON.format("True")),
        ([row(0), row(1, 5, "\ud800")], NO_REASON.format("'\\ud800'")),
        ([], "incomplete: no answer for slot 0, 1"),
        ([row(1)], "incomplete: no answer for slot 0"),
        ([row(0), row(1), row(2)], "slot 2 is not of this rubric"),
        ([row(0), row(-1)], "slot -1 is not of this rubric"),
        ([row(0), row("1")], "slot '1' is not of this rubric"),
        ([row(0), row(None)], "slot None is not of this rubric"),
        ([row(0), row(True)], "slot True is not of this rubric"),
        ([row(0), row(1.0)], "slot 1.0 is not of this rubric"),
        ([row(0), row([1])], "slot [1] is not of this rubric"),
        ([row(0), row(0)], "slot 0: answered twice"),
        ([row(0), row(1), row(1)], "slot 1: answered twice"),
        ([row(0), {"slot": 1, "reason": ""}], "one of answers lacks 'score'"),
        ([row(0), {"slot": 1, "score": 5}], "one of answers lacks 'reason'"),
        ([row(0), {"score": 5, "reason": ""}], "one of answers lacks 'slot'"),
        ([row(0), row(1) | {"sure": True}], "one of answers should not hold 'sure'"),
        ([row(0), None], "one of answers is not an object: None"),
        ([row(0), [1, 5, "so"]], "one of answers is not an object: [1, 5, 'so']"),
        ([row(0), row(1, 5, [[["x"]]])], "nested deeper than 4"),
    ],
)
def test_a_row_that_is_not_as_asked_spoils_the_answer(rows: list[Any], problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_labels(labels(*rows), CODE, TWO)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"document": "ffffffff"}, "is about document 'ffffffff', asked was '0a1b2c3d'"),
        ({"document": CODE.upper()}, "is about document '0A1B2C3D', asked was '0a1b2c3d'"),
        ({"document": None}, "is about document None, asked was '0a1b2c3d'"),
        ({"document": 5}, "is about document 5, asked was '0a1b2c3d'"),
        ({"canary": "0"}, "the canary '0' is not an integer"),
        ({"canary": None}, "the canary None is not an integer"),
        ({"canary": False}, "the canary False is not an integer"),
        ({"canary": 0.0}, "the canary 0.0 is not an integer"),
        ({"note": "x"}, "the answer should not hold 'note'"),
    ],
)
@pytest.mark.parametrize("discovery", [True, False])
def test_an_answer_is_about_the_document_asked(
    changes: dict[str, Any], problem: str, discovery: bool
) -> None:
    text = labels(row(0), row(1), **changes)
    read: Callable[[], object] = partial(parse_labels, text, CODE, TWO)
    if discovery:
        read = partial(parse_discovery, dimensions(point(), **changes), CODE)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read()
    assert str(caught.value) == problem


WHOLE = labels(row(0), row(1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        (" ", "not JSON"),
        ("I cannot judge this.", "not JSON"),
        (WHOLE[:-1], "not JSON"),
        (WHOLE + "}", "not JSON"),
        (WHOLE + WHOLE, "not JSON"),
        (f"```json\n{WHOLE}\n```", "not JSON"),
        ("\ufeff" + WHOLE, "not JSON"),
        (WHOLE.replace('"so"', '"s\no"'), "not JSON"),
        (WHOLE.replace("5", "05", 1), "not JSON"),
        (WHOLE.replace('"score":', '"score": 5, "score":', 1), "not JSON: a key twice"),
        (WHOLE.replace('"canary":', '"canary": 1, "canary":'), "not JSON: a key twice"),
        (WHOLE.replace("5", "1" * 5_000, 1), ""),
        ("null", "the answer is not an object: None"),
        ("5", "the answer is not an object: 5"),
        ("[]", "the answer is not an object"),
        ('"answers"', "the answer is not an object"),
        (json.dumps([row(0), row(1)]), "the answer is not an object"),
        ("{}", "the answer lacks 'answers'"),
        (json.dumps({"answers": [row(0), row(1)]}), "the answer lacks 'canary'"),
        (labels(answers=None), "answers is not a list: None"),
        (labels(answers="ab"), "answers is not a list: 'ab'"),
        (labels(answers={"0": 5, "1": 5}), "answers is not a list: {'0'"),
        (dimensions(point()), "the answer lacks 'answers'"),
        ("[" * 60_000, "nested deeper than 4"),
        ("[" * 6 + "]" * 6, "nested deeper than 4"),
        (WHOLE + " " * LONGEST_CONTENT, "longer than 65,536 bytes"),
        (labels(row(0, 5, "é" * 40_000), row(1)).encode().decode("unicode_escape"), "longer than"),
    ],
)
def test_what_is_no_answer_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_labels(text, CODE, TWO)
    assert str(caught.value).startswith(problem)


def test_an_answer_of_just_the_longest_size_is_read() -> None:
    text = WHOLE + " " * (LONGEST_CONTENT - len(WHOLE))
    assert parse_labels(text, CODE, TWO).scores == [5, 5]
    with pytest.raises(ValueError, match="longer"):
        parse_labels(text + " ", CODE, TWO)


def test_a_document_may_have_no_code() -> None:
    assert parse_labels(labels(row(0), document=""), "", (0,)).scores == [5]


def test_points_are_read_in_their_order_at_most_fifteen() -> None:
    rows = [point(f"name {i}", i % 11, f"reason {i}") for i in range(17)]
    assert parse_discovery(dimensions(*rows), CODE) == [
        (f"name {i}", f"reason {i}", i % 11) for i in range(15)
    ]
    assert parse_discovery(dimensions(), CODE) == []


NO_NAME = "a dimension without a name or reason: {}"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (point(score=11), "'depth': score 11 is not an integer from 0 to 10"),
        (point(score=-1), "'depth': score -1 is not an integer from 0 to 10"),
        (point(score="7"), "'depth': score '7' is not an integer from 0 to 10"),
        (point(score=3.5), "'depth': score 3.5 is not an integer from 0 to 10"),
        (point(score=True), "'depth': score True is not an integer from 0 to 10"),
        (point(score=None), "'depth': score None is not an integer from 0 to 10"),
        (point(score=float("nan")), "not JSON: NaN is not a number"),
        (point(name="x" * 99, score=11), f"'{'x' * 59}: score 11 is not an integer from 0 to 10"),
        (point(name=""), NO_NAME.format("''")),
        (point(name=" \n"), NO_NAME.format("' \\n'")),
        (point(name=None), NO_NAME.format("None")),
        (point(name=5), NO_NAME.format("5")),
        (point(name=["a"]), NO_NAME.format("['a']")),
        (point(name="\udc00"), NO_NAME.format("'\\udc00'")),
        (point(reason=None), NO_NAME.format("'depth'")),
        (point(reason=5), NO_NAME.format("'depth'")),
        (point(reason="\ud800"), NO_NAME.format("'depth'")),
        ({"name": "a", "score": 5}, "one of dimensions lacks 'reason'"),
        ({"name": "a", "reason": "b"}, "one of dimensions lacks 'score'"),
        ({"score": 5, "reason": "b"}, "one of dimensions lacks 'name'"),
        (point() | {"slot": 0}, "one of dimensions should not hold 'slot'"),
        (None, "one of dimensions is not an object: None"),
        ("depth", "one of dimensions is not an object: 'depth'"),
    ],
)
def test_one_dimension_that_is_not_as_asked_spoils_the_answer(bad: Any, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_discovery(dimensions(point("first"), bad), CODE)
    assert str(caught.value) == problem


@pytest.mark.parametrize("canary", [1, 10, -1])
def test_a_discovery_that_followed_its_document_is_refused(canary: int) -> None:
    with pytest.raises(ValueError, match=f"the canary is {canary}, should be 0"):
        parse_discovery(dimensions(point(), canary=canary), CODE)


@pytest.mark.parametrize("text", [WHOLE, dimensions(point()), "{}", "[1]", '"yes"', "5"])
def test_text_without_an_envelope_is_the_judges_own(text: str) -> None:
    assert content(text) == text


@pytest.mark.parametrize("ends", ["stop", None, "end_turn", "eos"])
def test_a_completion_is_opened(ends: str | None) -> None:
    assert content(completion(said(WHOLE, refusal=None), ends)) == WHOLE


def test_the_text_blocks_of_a_message_are_one_text() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Good."}]}
    blocks = [thought, *({"type": "text", "text": part} for part in (WHOLE[:9], WHOLE[9:]))]
    assert content(completion(said(blocks))) == WHOLE
    thought = {"reasoningContent": {"reasoningText": {"text": "Good.", "signature": "x"}}}
    assert content(converse([thought, {"text": WHOLE[:9]}, {"text": WHOLE[9:]}])) == WHOLE


@pytest.mark.parametrize(
    ("raw", "outcome", "reason"),
    [
        ("", "invalid", "an empty body"),
        (" \r\n", "invalid", "an empty body"),
        ("<!DOCTYPE html><p>Bad gateway", "invalid", "a page of HTML in place of an answer"),
        ("\n <HTML>\n", "invalid", "a page of HTML in place of an answer"),
        ("upstream failed", "invalid", "a body that is no JSON"),
        (completion(said(WHOLE))[:-9], "invalid", "a body that is no JSON"),
        ("[" * 100_000, "invalid", "a body that is no JSON"),
        ('{"choices": null}', "invalid", "a chat completion should hold one choice"),
        ('{"choices": []}', "invalid", "a chat completion should hold one choice"),
        ('{"choices": ["x"]}', "invalid", "a chat completion should hold one choice"),
        ('{"choices": [{}, {}]}', "invalid", "a chat completion should hold one choice"),
        ('{"choices": [{}]}', "invalid", "a choice without a message"),
        (completion("text"), "invalid", "a choice without a message"),
        (completion(said(None)), "invalid", "a message without text"),
        (completion(said("")), "invalid", "a message without text"),
        (completion(said(5)), "invalid", "a message without text"),
        (completion(said([])), "invalid", "a message without text"),
        (completion(said(["text"])), "invalid", "a message without text"),
        (completion(said([{"type": "text", "text": 5}])), "invalid", "a message without text"),
        (completion(said(WHOLE), "length"), "truncated", "cut short: length"),
        (completion(said(WHOLE), "content_filter"), "refused", "withheld by the provider"),
        (completion(said(None), "tool_calls"), "invalid", "no text was answered: tool_calls"),
        (completion(said(None, refusal="I won't.")), "refused", 'the judge refused: "I won\'t."'),
        (completion(said(None, refusal="\ud800")), "refused", "the judge refused: '\\ud800'"),
        (completion(said([{"type": "refusal", "refusal": "No."}])), "refused", "the judge refuse"),
        (converse([{"text": WHOLE}], "max_tokens"), "truncated", "cut short: max_tokens"),
        (converse([{"text": WHOLE}], "model_context_window_exceeded"), "truncated", "cut short"),
        (converse([{"text": "No."}], "guardrail_intervened"), "refused", "withheld"),
        (converse([{"text": WHOLE}], "content_filtered"), "refused", "withheld"),
        (converse([{"toolUse": {}}], "tool_use"), "invalid", "no text was answered: tool_use"),
        (converse([{"text": "{"}], "malformed_model_output"), "invalid", "no text was answered"),
        (converse([]), "invalid", "a message without text"),
        ('{"stopReason": "end_turn"}', "invalid", "a Converse response without a message"),
        ('{"stopReason": "end_turn", "output": null}', "invalid", "a Converse response without"),
    ],
)  # fmt: skip
def test_a_response_without_an_answer_says_why(raw: str, outcome: str, reason: str) -> None:
    with pytest.raises(Unusable) as caught:
        content(raw)
    assert caught.value.outcome == outcome
    assert caught.value.reason.startswith(reason)
    assert len(caught.value.reason.encode()) <= 200


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_no_text_breaks_the_reader(raw: str) -> None:
    try:
        text = content(raw)
    except Unusable:
        return
    with pytest.raises(ValueError):  # noqa: PT011
        parse_labels(text, CODE, TWO)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, st.integers(0, 7))
def test_nothing_but_an_answer_as_asked_is_accepted(value: Any, place: int) -> None:
    rows = [row(0), row(1)]
    answer: dict[str, Any] = {"document": CODE, "answers": rows, "canary": 0}
    if place < 3:
        answer[list(answer)[place]] = value
    elif place < 6:
        key = list(rows[1])[place - 3]
        rows[1][key] = value
    elif place == 6:
        rows[1] = value
    else:
        rows.append(value)
    try:
        found = parse_labels(json.dumps(answer), CODE, TWO)
    except ValueError:
        return
    assert answer["answers"] == [row(0), row(1, found.scores[1], found.reasons[1])]
    assert answer["document"] == CODE
    assert type(found.canary) is int
    assert all(score is None or type(score) is int for score in found.scores)
    assert all(score is None or 0 <= score <= 10 for score in found.scores)


GIVEN = ("clarity", "plainness", "depth", "insight")


def merges(*pairs: tuple[Any, Any], **changes: Any) -> str:
    rows = [{"name": name, "into": into} for name, into in pairs]
    return json.dumps({"document": CODE, "merges": rows, "canary": 0} | changes)


def test_merges_are_names_to_names_that_stand_for_both() -> None:
    assert parse_merges(merges(), CODE, GIVEN) == {}
    found = parse_merges(merges(("plainness", "clarity"), ("depth", "depth")), CODE, GIVEN)
    assert found == {"plainness": "clarity"}


def test_what_is_merged_into_what_is_merged_ends_at_the_last() -> None:
    chain = merges(("plainness", "clarity"), ("clarity", "depth"), ("insight", "depth"))
    assert parse_merges(chain, CODE, GIVEN) == dict.fromkeys(
        ["plainness", "clarity", "insight"], "depth"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (merges(("clarity", "lucidity")), "'lucidity' is none of the names that were given"),
        (merges(("lucidity", "clarity")), "'lucidity' is none of the names that were given"),
        (merges(("Clarity", "clarity")), "'Clarity' is none of the names that were given"),
        (merges((3, "clarity")), "3 is none of the names that were given"),
        (merges((["clarity"], "clarity")), r"\['clarity'\] is none of the names that were given"),
        (merges(("depth", "clarity"), ("depth", "insight")), "'depth' is merged twice"),
        (
            merges(("depth", "insight"), ("insight", "depth")),
            "is merged into itself, through others",
        ),
        (merges(canary=1), "the canary is 1, should be 0: the list led the judge"),
        (merges(document="00000000"), "is about document '00000000'"),
        (json.dumps({"document": CODE, "canary": 0}), "the answer lacks 'merges'"),
        (json.dumps({"document": CODE, "canary": 0, "merges": {}}), "merges is not a list"),
    ],
)
def test_a_merge_that_is_not_as_asked_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_merges(text, CODE, GIVEN)
