"""Conversations as text and back.

    @@@ user
    How deep is the lake?
    @@@ assistant
    @@@@ tool call search call_1
    {"query": "lake"}
    @@@ tool
    @@@@ tool result - call_1
    Nine metres.

A mark begins a line: `@@@` a turn, its role and maybe its name, `@@@@` a part of it, its kind,
name and call; the text that a turn begins with has no mark of its own. A name that is not plain is
JSON, `-` one that is missing. A line of the content that looks like a mark, also when what cannot
be seen is taken away, has one backslash more before it, so that no content is a mark.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

from mira_spark.corpus.conversations import PART_KINDS, PartKind, Turn, TurnPart, read_turns

TURN_MARK = "@@@ "
"""What a turn, and so a conversation, begins with."""
_PART_MARK = "@@@@ "
_MISSING = "-"
_PLAIN = re.compile(rf"(?!{_MISSING}\Z)[A-Za-z0-9_.:/+-]+")
_JSON = r'"(?:[ !#-\[\]-~]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*+"'
_NAME = rf"(?: ({_JSON}|[A-Za-z0-9_.:/+-]+))"
_MARK = re.compile(rf"\n@@@(?:{_NAME}{_NAME}?|@ ({'|'.join(PART_KINDS)}){_NAME}?{_NAME}?)(?![^\n])")
# Lines end where a judge's do. What it does not see may stand anywhere in a look-alike: that is
# taken to be all but ASCII, which costs other scripts a needless backslash at most.
_BREAK = r"([\n\r\x85\u2028\u2029])"
_UNSEEN = r"[^\n\r\x85\u2028\u2029 -\[\]-~]*+"
_LOOKS_LIKE_MARK = rf"(?={_UNSEEN}@{_UNSEEN}@{_UNSEEN}@{_UNSEEN}(?:@{_UNSEEN})? )"
_TO_ESCAPE = re.compile(_BREAK + _LOOKS_LIKE_MARK)
_ESCAPED = re.compile(rf"{_BREAK}\\{_LOOKS_LIKE_MARK}")


class Mark(NamedTuple):
    """Where a mark begins in a text, the role of its turn, and the kind of the part behind it; None
    where a turn begins without a text of its own."""

    place: int
    role: str | None
    kind: PartKind | None


def is_conversation(text: str) -> bool:
    """Whether the text begins as a conversation does. Another text may begin so: nothing fails, it
    is cut and shown as one."""
    return text.startswith(TURN_MARK)


def text_of_messages(messages: str) -> str | None:
    """The text of the conversation that the JSON `messages` holds, as `read_turns` reads it; empty
    where nobody says anything; None where it holds none."""
    turns = read_turns(messages)
    if turns is None:
        return None
    parts = [part for turn in turns for part in turn.parts]
    says_something = any(part.text.strip() or part.kind == "tool call" for part in parts)
    return conversation_text(turns) if says_something else ""


def conversation_text(turns: Iterable[Turn]) -> str:
    """The text of the turns, from which `turns_from_text` gives them back."""
    return "\n".join(line for turn in turns for line in _blocks_of_turn(turn))


def _blocks_of_turn(turn: Turn) -> Iterator[str]:
    """A mark and what stands under it, for the turn and for each of its parts with a mark."""
    mark = _with_names(TURN_MARK + _spelt(turn.role), turn.name)
    has_own_text = bool(turn.parts) and turn.parts[0].kind == "text"
    yield f"{mark}\n{_escaped(turn.parts[0].text)}" if has_own_text else mark
    for part in turn.parts[has_own_text:]:
        mark = _with_names(_PART_MARK + part.kind, part.name, part.call)
        yield f"{mark}\n{_escaped(part.text)}" if part.text else mark


def _with_names(mark: str, *names: str | None) -> str:
    """The mark with the names behind it, without those at the end that are missing."""
    while names and names[-1] is None:
        names = names[:-1]
    return " ".join([mark, *map(_spelt, names)])


def _spelt(name: str | None) -> str:
    if name is None:
        return _MISSING
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def _name(spelt: str | None) -> str | None:
    if spelt is None or spelt == _MISSING:
        return None
    return str(json.loads(spelt)) if spelt.startswith('"') else spelt


def _escaped(content: str) -> str:
    return _TO_ESCAPE.sub(r"\1\\", f"\n{content}")[1:]


def _content(escaped: str) -> str:
    return _ESCAPED.sub(r"\1", f"\n{escaped}")[1:]


def turns_from_text(text: str) -> tuple[Turn, ...] | None:
    """The turns of a conversation's text; None where it is none. What is left out of an excerpt, or
    not a mark although nobody escaped it, is content."""
    turns: list[Turn] = []
    parts: list[list[TurnPart]] = []
    for mark, kind, content in _blocks(text):
        role, name, _, part_name, call = mark.groups()
        if kind is None:
            turns.append(Turn(_name(role), (), _name(name)))
            parts.append([TurnPart("text", content)] if content else [])
        elif content or kind != "text":
            parts[-1].append(TurnPart(kind, content, _name(part_name), _name(call)))
    both = zip(turns, parts, strict=True)
    return tuple(turn._replace(parts=tuple(of_turn)) for turn, of_turn in both) or None


def marks(text: str) -> Iterator[Mark]:
    """Every mark of a conversation's text, in order; none where it is none."""
    role = None
    for mark, kind, content in _blocks(text):
        if kind is None:
            role = _name(mark[1])
        yield Mark(mark.start(), role, kind or ("text" if content else None))


def _blocks(text: str) -> Iterator[tuple[re.Match[str], PartKind | None, str]]:
    """The marks of a conversation, each with the kind of the part that it is of, None where it is a
    turn's, and the content under it; none of another text. They are found in the text with a line
    feed before it, so that they begin where their lines do in it."""
    found = list(_MARK.finditer(f"\n{text}")) if is_conversation(text) else []
    if not found or found[0].start() > 0:
        return
    ends = [mark.start() for mark in found[1:]] + [len(text) + 1]
    for mark, end in zip(found, ends, strict=True):
        yield mark, cast(PartKind | None, mark[3]), _content(mark.string[mark.end() + 1 : end])
