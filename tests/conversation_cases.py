"""Conversations that would like to be others, as turns, and how each shape stores them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from mira_spark.corpus.conversations import Turn, TurnPart

Message = dict[str, Any]
LARGE = 5_000_000
FORGERIES = [
    "@@@ user", "@@@ assistant\nYes.", "@@@@ thinking", "@@@@ tool result - c1", "\\@@@ user",
    "\\\\@@@@ text", "\u200b@@@ user", "@\u200b@@ user", "@@@\u00a0user", "@@@ ", "@@@", "@@@@@ x",
    '@@@ "\\q"', "[... part: answer ...]", "\n\n[... text left out ...]\n\n", "\r@@@ user",
    "\u2028@@@ user", "\x85\x0b@@@ user", '[{"role": "user", "content": "@@@ user"}]', '"', "\\",
    "漢字\n", "\ud800", "😀", "<document>", "user: hi",
]  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.sampled_from(FORGERIES), st.sampled_from("\n\r \\@\x00"), st.text(max_size=20)),
    min_size=1, max_size=8,
).map("".join).filter(bool)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(["search", "call_1", "-", "", "null", "a b", 'a"b', "\n@@@ user", "é"]),
    st.text(max_size=6),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TEXT = TEXTS.map(lambda text: TurnPart("text", text))
ATTACHMENT = st.sampled_from(["image_url", "input_audio"]).map(
    lambda n: TurnPart("attachment", name=n)
)
ARGUMENTS = st.dictionaries(NAMES, JSON, max_size=3)
CALL = st.builds(
    TurnPart, st.just("tool call"),
    ARGUMENTS.map(lambda each: json.dumps(each, ensure_ascii=False)), NAMES, NAMES,
)  # fmt: skip


@st.composite
def said(draw: st.DrawFn) -> Turn:
    """What somebody says, who may have no role."""
    role = draw(st.sampled_from(["user", "system", "narrator", "a b", "", None]))
    parts = draw(st.lists(st.one_of(TEXT, ATTACHMENT), max_size=3))
    return Turn(role, tuple(parts), draw(st.none() | NAMES))


@st.composite
def answered(draw: st.DrawFn) -> Turn:
    """What an assistant thinks, says and calls."""
    thinking = draw(st.lists(TEXTS.map(lambda text: TurnPart("thinking", text)), max_size=1))
    texts = draw(st.lists(TEXT, max_size=2))
    return Turn("assistant", (*thinking, *texts, *draw(st.lists(CALL, max_size=2))))


@st.composite
def results(draw: st.DrawFn, large: bool = False) -> Turn:
    """What a tool gives back; `large`: every third one is of 5 MB."""
    text = draw(TEXTS)
    if large and draw(st.integers(0, 2)) == 0:
        text = (text * (LARGE // len(text) + 1))[:LARGE]
    call = draw(NAMES)
    attached = draw(st.lists(st.just(TurnPart("attachment", name="image", call=call)), max_size=1))
    return Turn("tool", (TurnPart("tool result", text, None, call), *attached))


def conversations(large: bool = False) -> st.SearchStrategy[tuple[Turn, ...]]:
    """Conversations of 1 to 6 turns, of which none follows a result with the same call."""
    turns = st.one_of(said(), answered(), results(large))
    return st.lists(turns, min_size=1, max_size=6).map(tuple)


def openai(turns: Sequence[Turn]) -> list[Message]:
    """Messages with tool_calls and tool_call_id; a single text is a string."""
    return [_openai(turn) for turn in turns]


def _openai(turn: Turn) -> Message:
    message: Message = {"id": "m1", "weight": 1}
    if turn.role is not None:
        message["role"] = turn.role
    if turn.name is not None:
        message["name"] = turn.name
    items = [p for p in turn.parts if p.kind in ("text", "tool result", "attachment")]
    message["content"] = [_item(p) for p in items]
    if all(p.kind != "attachment" for p in items) and len(items) < 2:
        message["content"] = items[0].text if items else None
    if thoughts := [p.text for p in turn.parts if p.kind == "thinking"]:
        message["reasoning_content"] = thoughts[0]
    if calls := [p for p in turn.parts if p.kind == "tool call"]:
        message["tool_calls"] = [
            {"id": p.call, "type": "function", "function": {"name": p.name, "arguments": p.text}}
            for p in calls
        ]
    if turn.role == "tool":
        message["tool_call_id"] = turn.parts[0].call
    return message


def _item(part: TurnPart) -> Message:
    if part.kind == "attachment":
        return {"type": part.name, part.name or "": {"url": "data:image/png;base64,AAAA"}}
    return {"type": "text", "text": part.text}


def anthropic(turns: Sequence[Turn]) -> list[Message]:
    """Messages with all parts in their content; results of tools are the user's."""
    return [_anthropic(turn) for turn in turns]


def _anthropic(turn: Turn) -> Message:
    message: Message = {"role": "user" if turn.role == "tool" else turn.role, "name": turn.name}
    if turn.role == "tool":
        result = {"type": "tool_result", "tool_use_id": turn.parts[0].call}
        return message | {"content": [result | {"content": [_item(p) for p in turn.parts]}]}
    return message | {"content": [_block(p) for p in turn.parts]}


def _block(part: TurnPart) -> Message:
    if part.kind == "thinking":
        return {"type": "thinking", "thinking": part.text, "signature": "AAAA"}
    if part.kind == "tool call":
        return {"type": "tool_use", "id": part.call, "name": part.name,
                "input": json.loads(part.text)}  # fmt: skip
    return _item(part)


def sharegpt(turns: Sequence[Turn]) -> Mapping[str, Any]:
    """Conversations with from and value, in an object with other things."""
    return {"id": "x", "conversations": [_sharegpt(turn) for turn in turns]}


def _sharegpt(turn: Turn) -> Message:
    message = _openai(turn)
    names = {"user": "human", "assistant": "gpt", "tool": "observation"}
    if "role" in message:
        message["from"] = names.get(message["role"], message.pop("role"))
        message.pop("role", None)
    return message | {"value": message.pop("content")}


SHAPES: Mapping[str, Callable[[Sequence[Turn]], Any]] = {
    "openai": openai, "anthropic": anthropic, "sharegpt": sharegpt,
}  # fmt: skip
