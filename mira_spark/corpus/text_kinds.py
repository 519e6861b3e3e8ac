"""What kind of document a text is, by plain signs: no model, no name of its source."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from mira_spark.corpus.conversation_text import TURN_MARK, is_conversation

TextKind = Literal["prose", "code", "question_answer", "dialogue", "data"]

CODE_SHARE = 0.35
"""Of the lines that are no comment, item or heading, from which a text is code."""
SIGN_SHARE = 0.1
"""Of the characters that are no blanks, from which a text is code: minified code has few lines."""
DIGIT_SHARE = 0.4
"""Of the characters that are no blanks, from which a text is data."""
TABLE_SHARE = 0.8
"""Of the lines, that have the same number of a delimiter, from which a text is data."""
MIN_TURNS = 4
MAX_LINE = 400  # characters of a line that are looked at

QUESTION = re.compile(r"^[#* ]*(?:question|q) ?\d*[* ]*:", re.IGNORECASE | re.MULTILINE)
ANSWER = re.compile(r"^[#* ]*(?:answer|a) ?\d*[* ]*:", re.IGNORECASE | re.MULTILINE)
_SPEAKER = re.compile(r"^([^\W\d][\w .'-]{0,30}):(?=\s)", re.MULTILINE)
_MARKED_TURN = re.compile(f"^{TURN_MARK}(.*)", re.MULTILINE)
_JSON = re.compile(r'"\s*:|\A\[[\s\d"{\[-]')
_DELIMITERS = (("\t", 1), (",", 2), (";", 2), ("|", 2))  # and how many a row has at least
_SIGN = re.compile(r"[(){}\[\];=<>]")
_REMARK = re.compile(r"#+ |//|/?\*+/? |\*+/?$|[-+>] ")
_CODE_LINE = re.compile(
    r"(?:def|class|import|return|if|elif|else|for|while|try|except|with|raise|yield|async|public|"
    r"private|static|const|let|var|func|function|fn|package|struct|enum|typedef|namespace|impl|"
    r"extern|void|int|pass|assert)\b(?=.*[:;(){}=.]|[\w ]+$)|from \S+ import|@\w|"
    r"#\s*(?:include|define|if|endif|else|pragma)"
    r"|.*(?:[;{}]|\w\(| -> .*)$|[^\[!].*[\w\]'\"(]\)[:,]?$"
    r"|[\w.\[\]'\"]+(?:: [\w\[\], |.]+)? [-+*/|&]?= \S|['\"\w.]+(?:,|: [\w.]+)$"
)


def kind_of_text(text: str) -> TextKind:
    """What the text is: a conversation, a question with an answer, JSON or a table, speakers who
    take turns, code by its lines or its brackets, mostly digits; else prose. Any text has a kind,
    in linear time."""
    if is_conversation(text):
        return "dialogue"
    if (question := QUESTION.search(text)) and ANSWER.search(text, question.end()):
        return "question_answer"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if is_json(text) or _is_table(lines):
        return "data"
    if _has_turns(text, len(lines)):
        return "dialogue"
    visible = "".join("".join(lines).split())
    if _is_code(lines) or len(_SIGN.findall(visible)) > SIGN_SHARE * len(visible):
        return "code"
    return "data" if sum(map(str.isdigit, visible)) > DIGIT_SHARE * len(visible) else "prose"


def _is_code(lines: Sequence[str]) -> bool:
    telling = [line[:MAX_LINE] for line in lines if not _REMARK.match(line)]
    return sum(_CODE_LINE.match(line) is not None for line in telling) > CODE_SHARE * len(telling)


def is_json(text: str) -> bool:
    """Whether the text looks like JSON, or lines of it; it need not be whole or valid."""
    text = text.strip()
    return text[:1] in ("{", "[") and text[-1:] in ("}", "]") and _JSON.search(text) is not None


def _is_table(lines: Sequence[str]) -> bool:
    for delimiter, least in _DELIMITERS:
        for count, rows in Counter(line.count(delimiter) for line in lines).most_common(1):
            if count >= least and rows >= max(3, TABLE_SHARE * len(lines)):
                return True
    return False


def turn_beginnings(text: str) -> list[re.Match[str]]:
    """Where a dialogue's turns begin, each with who speaks."""
    return list((_MARKED_TURN if is_conversation(text) else _SPEAKER).finditer(text))


def _has_turns(text: str, lines: int) -> bool:
    """Whether speakers have at least two turns each on average, mostly after one another."""
    speakers = _SPEAKER.findall(text)
    changes = sum(a != b for a, b in pairwise(speakers))
    return (
        len(speakers) >= max(MIN_TURNS, 0.1 * lines)
        and len(set(speakers)) <= len(speakers) / 2
        and changes >= len(speakers) / 2
    )
