"""Conversations as they are stored, in the shapes of OpenAI, Anthropic and ShareGPT, as turns."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

PartKind = Literal["text", "thinking", "tool call", "tool result", "attachment"]
PART_KINDS: tuple[PartKind, ...] = get_args(PartKind)


class TurnPart(NamedTuple):
    """A piece of a turn. `name` is that of a tool, or says what an attachment is, which has no
    text; `call` is the id that a tool's call and its result share."""

    kind: PartKind
    text: str = ""
    name: str | None = None
    call: str | None = None


class Turn(NamedTuple):
    """What one says at a time; None for a role that is missing. No part of kind text is empty."""

    role: str | None
    parts: tuple[TurnPart, ...] = ()
    name: str | None = None


_LISTS = ("messages", "conversations", "conversation")
"""Where an object that is no message has its messages."""
_MESSAGE_KEYS = {"role", "from", "content", "value"}
"""What is no conversation has an object without any of these."""
_ROLES = {
    "system": "system", "developer": "developer", "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
    "model": "assistant", "tool": "tool", "function": "tool", "ipython": "tool",
    "observation": "tool", "tool_response": "tool", "function_response": "tool",
}  # fmt: skip
_CALL_ROLES = {"function_call", "tool_call"}
"""Roles of ShareGPT whose value is a call of a tool, in JSON."""
_CALLS = {"tool_use", "server_tool_use", "mcp_tool_use", "function_call", "tool_call"}
_RESULT = re.compile(r"tool_result\Z|call_output\Z")
_WITHOUT_TEXT = re.compile("image|audio|video|file|document|redacted")
"""Kinds of content that is not written, or not to be read; unknown ones are shown as JSON."""
_THOUGHT = re.compile(r"\s*<(think|thinking)>(.*?)(?:</\1>|\Z)", re.DOTALL)


def read_turns(messages: str) -> tuple[Turn, ...] | None:
    """The turns of the conversation that the JSON `messages` holds; None where it holds none.

    It is a list of messages, each with a role or a content, or an object with such a list and
    maybe a `system`; what stands as JSON in a string is read as well. One conversation has the same
    turns in every shape: the result of a tool is a turn of its own, what an assistant's text has
    in `<think>` at its begin is a part. Ids of messages, weights, images and the like are no turns.
    """
    try:
        return tuple(turn for each in _messages(messages) for turn in _turns(each))
    except (ValueError, RecursionError):
        return None


def _messages(value: Any) -> list[Mapping[str, Any]]:
    """The messages of a conversation; ValueError where it is none."""
    value = _decoded(value)
    if isinstance(value, Mapping):
        system = value.get("system")
        before = [] if system is None else [{"role": "system", "content": system}]
        return before + _messages(_first(value, _LISTS))
    messages = [_decoded(each) for each in value] if isinstance(value, list) else [value]
    if any(not isinstance(each, Mapping) or _MESSAGE_KEYS.isdisjoint(each) for each in messages):
        raise ValueError("no list of messages")
    return messages


def _decoded(value: Any) -> Any:
    """The value that JSON in a string holds."""
    while isinstance(value, str):
        value = json.loads(value)
    return value


def _first(values: Mapping[str, Any], keys: Iterable[str]) -> Any:
    """The first of these that there is."""
    return next((values[key] for key in keys if values.get(key) is not None), None)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _turns(message: Mapping[str, Any]) -> Iterator[Turn]:
    own_role = _as_text(_first(message, ("role", "from")))
    role = None if own_role is None else _ROLES.get(own_role.lower(), own_role)
    name, content = _as_text(message.get("name")), _first(message, ("content", "value", "text"))
    if role == "tool":
        call = _as_text(_first(message, ("tool_call_id", "tool_use_id")))
        yield Turn(role, tuple(_results(content, name, call)))
        return
    if role in _CALL_ROLES:
        role, parts = "assistant", list(_calls(content))
    else:
        thought = _first(message, ("reasoning_content", "reasoning", "thinking"))
        parts = [*_texts("thinking", thought), *_content(content, role == "assistant")]
        parts += _texts("text", message.get("refusal"))
        parts += [*_calls(message.get("tool_calls")), *_calls(message.get("function_call"))]
    if not parts:
        yield Turn(role, (), name)
    for result, group in groupby(parts, _result_id):
        together = tuple(group)
        yield Turn(role, together, name) if result is None else Turn("tool", together)


def _result_id(part: TurnPart) -> tuple[str | None] | None:
    """What the parts of one result of a tool share; None for others."""
    is_attached = part.kind == "attachment" and part.call is not None
    return (part.call,) if is_attached or part.kind == "tool result" else None


def _texts(kind: PartKind, value: Any) -> Iterator[TurnPart]:
    if text := _as_text(value):
        yield TurnPart(kind, text)


def _content(content: Any, thinks: bool = False) -> Iterator[TurnPart]:
    """The parts of a message's content; `thinks` where its text may begin with a thought."""
    items = [content] if isinstance(content, Mapping) else content
    if isinstance(items, list) and all(map(_is_item, items)):
        for item in items:
            yield from _content(item, thinks) if isinstance(item, str) else _item(item, thinks)
        return
    text = _as_text(content) or ""
    if thinks and (thought := _THOUGHT.match(text)):
        yield from _texts("thinking", thought[2].strip("\n"))
        text = text[thought.end() :].lstrip("\n")
    yield from _texts("text", text)


def _is_item(value: Any) -> bool:
    """Whether this is an item of a content; a list of others is data."""
    if isinstance(value, Mapping):
        return isinstance(value.get("type"), str) or isinstance(value.get("text"), str)
    return isinstance(value, str)


def _item(item: Mapping[str, Any], thinks: bool) -> Iterator[TurnPart]:
    kind = item["type"] if isinstance(item.get("type"), str) else "text"
    if kind in ("thinking", "reasoning"):
        yield from _texts("thinking", _first(item, ("thinking", "reasoning", "text")))
    elif kind in _CALLS:
        yield _call(item)
    elif _RESULT.search(kind):
        call = _as_text(_first(item, ("tool_use_id", "call_id")))
        yield from _results(_first(item, ("content", "output")), None, call)
    elif isinstance(text := _first(item, ("text", "refusal")), str):
        yield from _content(text, thinks)
    elif _WITHOUT_TEXT.search(kind):
        yield TurnPart("attachment", name=kind)
    else:
        yield from _texts("text", item)


def _results(content: Any, name: str | None, call: str | None) -> Iterator[TurnPart]:
    """What a tool answered, at least one part."""
    parts = list(_content(content))
    if not parts:
        yield TurnPart("tool result", "", name, call)
    for part in parts:
        if part.kind == "attachment":
            yield part._replace(call=call)
        else:
            yield TurnPart("tool result", part.text, name, call)


def _calls(value: Any) -> Iterator[TurnPart]:
    """Calls of tools, be they a list, a single one, or JSON in a string."""
    if isinstance(value, str) and value.strip():
        try:
            value = _decoded(value)
        except (ValueError, RecursionError):
            value = [value]
    if value:
        yield from map(_call, value if isinstance(value, list) else [value])


def _call(call: Any) -> TurnPart:
    if not isinstance(call, Mapping):
        return TurnPart("tool call", _as_text(call) or "")
    inner = call.get("function")
    function = inner if isinstance(inner, Mapping) else call
    arguments = _as_text(_first(function, ("arguments", "input", "args", "parameters")))
    call_id = _as_text(_first(call, ("id", "call_id")))
    return TurnPart("tool call", arguments or "", _as_text(function.get("name")), call_id)
