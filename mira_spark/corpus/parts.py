"""The parts of a document that thinks before it answers, told by the marks in its text."""

import re
from typing import Literal

DocumentPart = Literal["question", "thinking", "answer"]
_THOUGHT = re.compile(r"<(think|thinking)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)


def parts(text: str) -> dict[DocumentPart, str]:
    """What stands before, in and after the first `<think>` or `<thinking>`, in their order; none of
    a text without such a mark, and no part that is blank. A thought that is not ended goes to the
    end of the text."""
    thought = _THOUGHT.search(text)
    if thought is None:
        return {}
    found: dict[DocumentPart, str] = {
        "question": text[: thought.start()],
        "thinking": thought[2],
        "answer": text[thought.end() :],
    }
    return {part: own.strip("\n") for part, own in found.items() if own.strip()}


def with_marks(text: str) -> str:
    """The text with a line before each of its parts that names it, in place of its own marks; the
    text as it is where it has none."""
    listed = [f"[... part: {part} ...]\n{own}" for part, own in parts(text).items()]
    return "\n".join(listed) or text
