"""A conversation is its text, and nothing that is said in it is a mark."""

import json
import re
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.corpus.conversation_text import (
    Mark,
    conversation_text,
    is_conversation,
    marks,
    turns_from_text,
)
from mira_spark.corpus.conversations import Turn, TurnPart, read_turns
from mira_spark.corpus.excerpts import windows
from mira_spark.judges.defence import normalised
from tests.conversation_cases import FORGERIES, SHAPES, conversations


def expected_marks(turns: tuple[Turn, ...]) -> list[tuple[str | None, str | None]]:
    """Role and kind of every mark: the text that a turn begins with has that of its turn."""
    expected: list[tuple[str | None, str | None]] = []
    for turn in turns:
        kinds = [part.kind for part in turn.parts]
        expected += [
            (turn.role, kind) for kind in (kinds if kinds[:1] == ["text"] else [None, *kinds])
        ]
    return expected


def check_text(turns: tuple[Turn, ...]) -> str:
    text = conversation_text(turns)
    assert is_conversation(text)
    assert turns_from_text(text) == turns
    assert [(mark.role, mark.kind) for mark in marks(text)] == expected_marks(turns)
    judged = [mark.role for mark in marks(normalised(text))]
    assert judged == [role for role, _ in expected_marks(turns)]
    return text


def check_windows(text: str, turns: tuple[Turn, ...], size: int) -> None:
    """That a window ends inside of a turn only where it has more than `size` characters."""
    spans, start = [], 0
    for turn in turns:
        spans.append((start, start + len(conversation_text([turn]))))
        start = spans[-1][1] + 1
    assert spans[-1][1] == len(text)
    places = [place for window in windows(text, size) for place in window]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, len(text))
    for begin, end in windows(text, size):
        assert 0 < end - begin <= size
        for place in (begin, end):
            assert all(b - a > size for a, b in spans if a < place < b)


@given(conversations(), st.integers(8, 200))
@settings(max_examples=100, deadline=None)
def test_a_conversation_comes_back_from_its_text(turns: tuple[Turn, ...], size: int) -> None:
    text = check_text(turns)
    if len(text) > 3 * size:
        check_windows(text, turns, size)


@pytest.mark.long
@given(conversations(large=True), st.sampled_from([20, 400, 12_000]), st.sampled_from([*SHAPES]))
@settings(max_examples=500, deadline=None)
def test_so_do_500_with_results_of_5_mb(turns: tuple[Turn, ...], size: int, shape: str) -> None:
    text = check_text(turns)
    assert read_turns(json.dumps(SHAPES[shape](turns))) == turns
    if len(text) > 3 * size:
        check_windows(text, turns, size)


def test_windows_hold_whole_turns_whatever_their_lengths() -> None:
    draw, lengths_and_sizes = (
        Random(0),
        [([94, 14, 92], 20)],
    )  # the middle begins behind a long turn
    for _ in range(2_000):
        lengths = draw.choices((1, 3, 10, 20, 40, 60, 100, 200), k=draw.randint(1, 12))
        lengths_and_sizes.append((lengths, draw.randint(8, 60)))
    for lengths, size in lengths_and_sizes:
        turns = tuple(Turn("u", (TurnPart("text", "x" * length),)) for length in lengths)
        text = conversation_text(turns)
        if len(text) > 3 * size:
            check_windows(text, turns, size)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_looks_like_a_mark_is_none(forgery: str) -> None:
    parts = (TurnPart("text", f"{forgery}\n{forgery}"), TurnPart("thinking", forgery))
    check_text((Turn("user", parts),))


def test_headings_and_code_stay_as_they_are() -> None:
    text = "### user\n@decorator\n@@ -1,2 +1,3 @@\n--- a\n+++ b\n*** End\n=== RUN\na @@@ b"
    assert conversation_text([Turn("user", (TurnPart("text", text),))]) == f"@@@ user\n{text}"


def test_marks_say_where_their_lines_begin() -> None:
    turns = [
        Turn(None, (TurnPart("text", "a"),)),
        Turn("assistant", (TurnPart("tool call", "", "f"),)),
    ]
    text = conversation_text(turns)
    assert text == "@@@ -\na\n@@@ assistant\n@@@@ tool call f"
    assert list(marks(text)) == [
        Mark(0, None, "text"), Mark(8, "assistant", None), Mark(22, "assistant", "tool call"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "@@@", "@@@ ", "@@@ -1,2 -1,2 +1,3 @@@", "@@@@ text\na", '@@@ "\\q"', "@@@ a b c d",
     "@@@ user\r\nhi", " @@@ user", '@@@ "a', "a\n@@@ user"],
)  # fmt: skip
def test_another_text_is_no_conversation(text: str) -> None:
    assert turns_from_text(text) is None
    assert list(marks(text)) == []


@given(
    st.lists(st.sampled_from([*FORGERIES, "@@@ user", "@@@@ text", "\n", "x" * 9])).map("\n".join)
)
@settings(max_examples=200, deadline=None)
def test_any_text_that_begins_like_one_is_read_and_cut(rest: str) -> None:
    text = f"@@@ user\n{rest}"
    found = turns_from_text(text)
    assert found is not None
    assert turns_from_text(conversation_text(found)) == found
    if len(text) > 24:
        assert all(0 <= begin <= end for begin, end in windows(text, 8))


def test_a_turn_alone_is_cut_where_it_is_too_long() -> None:
    result = Turn("tool", (TurnPart("tool result", "x" * 500),))
    said = [Turn(r, (TurnPart("text", t),)) for r, t in (("user", "short"), ("assistant", "done"))]
    text = conversation_text([said[0], result, said[1]])
    shown = [text[begin:end] for begin, end in windows(text, 60)]
    assert re.fullmatch(r"@@@ user\nshort\n@@@ tool\n@@@@ tool result\nx+", shown[0])
    assert re.fullmatch("x{60}", shown[1])
    assert re.fullmatch(r"x+\n@@@ assistant\ndone", shown[2])
    assert [len(each) for each in shown] == [60, 60, 60]
