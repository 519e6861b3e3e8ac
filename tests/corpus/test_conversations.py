"""Conversations are read in every shape, whatever they hold."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.corpus.conversation_text import conversation_text, text_of_messages, turns_from_text
from mira_spark.corpus.conversations import Turn, TurnPart, read_turns
from tests.conversation_cases import JSON, NAMES, SHAPES, conversations

ASKED = Turn("user", (TurnPart("text", "How deep is the lake?"),))
CALL = TurnPart("tool call", '{"q": "lake"}', "search", "c1")
RESULT = TurnPart("tool result", "Nine metres.", None, "c1")
ANSWER = (TurnPart("thinking", "Nine, it says."), TurnPart("text", "Nine metres."))
TRACE = (
    Turn("system", (TurnPart("text", "Be brief."),)), ASKED,
    Turn("assistant", (TurnPart("text", "Let me see."), CALL)), Turn("tool", (RESULT,)),
    Turn("assistant", ANSWER),
)  # fmt: skip
OPENAI = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "How deep is the lake?"}]},
    {"role": "assistant", "content": "Let me see.", "tool_calls": [
        {"id": "c1", "type": "function",
         "function": {"name": "search", "arguments": '{"q": "lake"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "Nine metres."},
    {"role": "assistant", "reasoning_content": "Nine, it says.", "content": "Nine metres."},
]  # fmt: skip
ANTHROPIC = {"system": "Be brief.", "messages": [
    {"role": "user", "content": "How deep is the lake?"},
    {"role": "assistant", "content": [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "c1", "name": "search", "input": {"q": "lake"}}]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "c1", "content": "Nine metres."}]},
    {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "Nine, it says.", "signature": "x"},
        {"type": "text", "text": "Nine metres."}]},
]}  # fmt: skip
SHAREGPT = {"system": "Be brief.", "conversations": [
    {"from": "human", "value": "How deep is the lake?"},
    {"from": "gpt", "value": "Let me see.", "tool_calls": json.dumps(
        [{"id": "c1", "name": "search", "arguments": {"q": "lake"}}])},
    {"from": "observation", "value": "Nine metres.", "tool_call_id": "c1"},
    {"from": "gpt", "value": "<think>\nNine, it says.\n</think>\n\nNine metres."},
]}  # fmt: skip


def turns(messages: Any) -> tuple[Turn, ...] | None:
    return read_turns(json.dumps(messages))


@pytest.mark.parametrize("messages", [OPENAI, ANTHROPIC, SHAREGPT, json.dumps(OPENAI),
                                      [json.dumps(each) for each in OPENAI]])  # fmt: skip
def test_one_conversation_has_one_text_in_every_shape(messages: Any) -> None:
    assert turns(messages) == TRACE
    assert text_of_messages(json.dumps(messages)) == (
        "@@@ system\nBe brief.\n@@@ user\nHow deep is the lake?\n@@@ assistant\nLet me see.\n"
        '@@@@ tool call search c1\n{"q": "lake"}\n@@@ tool\n@@@@ tool result - c1\nNine metres.\n'
        "@@@ assistant\n@@@@ thinking\nNine, it says.\n@@@@ text\nNine metres."
    )


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        ({"content": "hi"}, Turn(None, (TurnPart("text", "hi"),))),
        ({"role": "user"}, Turn("user")),
        ({"role": "Human", "content": ""}, Turn("user")),
        ({"role": "user", "name": "Ann", "content": ["a", {"text": "b"}]},
         Turn("user", (TurnPart("text", "a"), TurnPart("text", "b")), "Ann")),
        ({"role": 5, "content": 1.5}, Turn("5", (TurnPart("text", "1.5"),))),
        ({"role": "user", "content": {"type": "text", "text": "a"}},
         Turn("user", (TurnPart("text", "a"),))),
        ({"role": "user", "content": {"a": [1]}}, Turn("user", (TurnPart("text", '{"a": [1]}'),))),
        ({"role": "tool", "content": [{"t": 1}, {"t": 2}]},
         Turn("tool", (TurnPart("tool result", '[{"t": 1}, {"t": 2}]'),))),
        ({"role": "function", "name": "f", "content": None},
         Turn("tool", (TurnPart("tool result", "", "f"),))),
        ({"role": "tool", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
         Turn("tool", (TurnPart("tool result", "a"), TurnPart("attachment", name="image")))),
        ({"role": "user", "content": [{"type": "video_url", "video_url": {}}]},
         Turn("user", (TurnPart("attachment", name="video_url"),))),
        ({"role": "user", "content": [{"type": "new", "body": "b"}]},
         Turn("user", (TurnPart("text", '{"type": "new", "body": "b"}'),))),
        ({"role": "user", "content": [{"type": 1, "text": "a"}]},
         Turn("user", (TurnPart("text", "a"),))),
        ({"role": "assistant", "content": None, "refusal": "No."},
         Turn("assistant", (TurnPart("text", "No."),))),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{cut"}},
         Turn("assistant", (TurnPart("tool call", "{cut", "f"),))),
        ({"role": "assistant", "tool_calls": ["f", {"function": {}}], "function_call": {}},
         Turn("assistant", (TurnPart("tool call", "f"), TurnPart("tool call")))),
        ({"from": "function_call", "value": '{"name": "f", "arguments": {"a": 1}}'},
         Turn("assistant", (TurnPart("tool call", '{"a": 1}', "f"),))),
        ({"from": "function_call", "value": "f(1)"},
         Turn("assistant", (TurnPart("tool call", "f(1)"),))),
        ({"from": "gpt", "value": "<think>cut in"},
         Turn("assistant", (TurnPart("thinking", "cut in"),))),
        ({"from": "gpt", "value": "<think>\n</think>\nYes."},
         Turn("assistant", (TurnPart("text", "Yes."),))),
        ({"from": "human", "value": "<think>a</think>b"},
         Turn("user", (TurnPart("text", "<think>a</think>b"),))),
    ],
)  # fmt: skip
def test_a_message_of_any_kind_is_a_turn(message: Any, turn: Turn) -> None:
    assert turns([message]) == (turn,)


def test_each_result_of_a_tool_is_a_turn() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "c1", "content": "a"},
        {"type": "tool_result", "tool_use_id": "c2",
         "content": [{"type": "text", "text": "b"}, {"type": "image", "source": {}}]},
        {"type": "text", "text": "Go on."},
    ]  # fmt: skip
    assert turns([{"role": "user", "content": content}]) == (
        Turn("tool", (TurnPart("tool result", "a", None, "c1"),)),
        Turn(
            "tool",
            (TurnPart("tool result", "b", None, "c2"), TurnPart("attachment", "", "image", "c2")),
        ),
        Turn("user", (TurnPart("text", "Go on."),)),
    )


@pytest.mark.parametrize(
    "text",
    ["", "no json", "null", "5", '"hi"', "{}", '{"role": "user", "content": "hi"}', '["hi"]',
     "[null]", "[[]]", '[{"a": 1}]', '[{"role": "user"}, null]', '{"messages": 1}', "[" * 100_000,
     '{"messages":' * 10_000, '[{"content": "a"'],
)  # fmt: skip
def test_what_is_no_list_of_messages_is_no_conversation(text: str) -> None:
    assert read_turns(text) is None
    assert text_of_messages(text) is None


@pytest.mark.parametrize(
    "messages",
    [[], [{"role": "user"}], [{"role": "user", "content": " \n"}],
     [{"role": "user", "content": [{"type": "image_url"}]}]],
)  # fmt: skip
def test_where_nobody_says_anything_the_text_is_empty(messages: Any) -> None:
    assert text_of_messages(json.dumps(messages)) == ""


@given(st.lists(st.dictionaries(
    st.sampled_from(["role", "from", "content", "value", "type", "text", "tool_calls", "name",
                     "function_call", "reasoning", "refusal", "tool_call_id"]) | NAMES,
    JSON | st.lists(st.dictionaries(st.sampled_from(["type", "text", "content", "function", "id"]),
                                    JSON, max_size=3), max_size=3),
    max_size=4), max_size=4))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_whatever_messages_hold_is_read_and_comes_back_from_its_text(messages: Any) -> None:
    found = turns(messages)
    if found:
        assert turns_from_text(conversation_text(found)) == found


@pytest.mark.parametrize("shape", SHAPES)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_shape_loses_what_was_said(shape: str, data: st.DataObject) -> None:
    conversation = data.draw(conversations())
    assert turns(SHAPES[shape](conversation)) == conversation
