"""The parts of a document that thinks before it answers, or uses tools, told by marks in it."""

import re
from collections import defaultdict
from typing import Literal

from mira_spark.corpus.conversation_text import is_conversation, marks, turns_from_text
from mira_spark.corpus.conversations import PartKind

DocumentPart = Literal["question", "thinking", "answer", "tool use"]
_LIKE_LINE = re.compile(r"^\\*\[\.\.\. part: ", re.MULTILINE)
_THOUGHT = re.compile(r"<(think|thinking)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)


def parts(text: str) -> dict[DocumentPart, str]:
    """What a document holds of each part; no part that is blank.

    Of a conversation all that the assistant thinks and says, the calls and results of tools, and
    as the question what all others say. Of another text what stands before, in and after the first
    `<think>` or `<thinking>`, in their order; none without such a mark. A thought that is not ended
    goes to the end of the text.
    """
    found = _parts_of_turns(text) if is_conversation(text) else _parts_by_thought(text)
    return {part: own.strip("\n") for part, own in found.items() if own.strip()}


def _parts_by_thought(text: str) -> dict[DocumentPart, str]:
    thought = _THOUGHT.search(text)
    if thought is None:
        return {}
    return {
        "question": text[: thought.start()],
        "thinking": thought[2],
        "answer": text[thought.end() :],
    }


def _parts_of_turns(text: str) -> dict[DocumentPart, str]:
    said: dict[DocumentPart, list[str]] = defaultdict(list)
    for turn in turns_from_text(text) or ():
        for each in turn.parts:
            if part := _document_part(turn.role, each.kind):
                said[part].append(each.text)
    return {part: "\n".join(texts) for part, texts in said.items()}


def _document_part(role: str | None, kind: PartKind | None) -> DocumentPart | None:
    """The part of a document that a part of this kind in a turn belongs to, if any."""
    match kind:
        case "thinking":
            return "thinking"
        case "tool call" | "tool result":
            return "tool use"
        case "text":
            return "answer" if role == "assistant" else "question"
    return None


def with_marks(text: str) -> str:
    """The text with a line before each of its parts that names it, in place of its own marks or,
    in a conversation, beside them; the text as it is where it has none. A line of the text that
    looks like one of these has a backslash more before it."""
    text = _LIKE_LINE.sub(r"\\\g<0>", text)
    if is_conversation(text):
        return _with_marked_turns(text)
    lines = [f"{_line(part)}{own}" for part, own in parts(text).items()]
    return "\n".join(lines) or text


def _with_marked_turns(text: str) -> str:
    pieces, end, now = [], 0, None
    for mark in marks(text):
        part = _document_part(mark.role, mark.kind)
        if part is not None and part != now:
            pieces += [text[end : mark.place], _line(part)]
            end, now = mark.place, part
    return "".join([*pieces, text[end:]])


def _line(part: DocumentPart) -> str:
    return f"[... part: {part} ...]\n"
