"""What answers were that could not be used, in a line."""

import json
import re
from collections import Counter
from collections.abc import Sequence

from mira_spark.errors import JudgeError
from mira_spark.judges.protocol import Answer
from mira_spark.judges.reading import Unusable, content

REMEDY = "Check judge.url, judge.model and judge.parameters, then run the step again"
SHOWN = 100
"""Answers that a step keeps for the line, of those it could not use."""
BEGINNING = 40
"""Characters of an answer that are shown."""
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9][0-9,.]*")
"""What differs between answers that are wrong in the same way."""


def check_usable(group: str, n_usable: int, unusable: Sequence[Answer]) -> None:
    """JudgeError saying what the answers were when none could be used."""
    if unusable and not n_usable:
        raise JudgeError(
            f"{group}: no answer could be used, {summary(unusable)}; all are in judge_calls. "
            f"{REMEDY}"
        )


def summary(answers: Sequence[Answer]) -> str:
    """How many of these answers, at least one, share the commonest reason, that reason as one of
    them has it, and how that one begins."""
    kinds = [_PARTICULAR.sub("", answer.reason or answer.outcome) for answer in answers]
    kind, count = Counter(kinds).most_common(1)[0]
    example = answers[kinds.index(kind)]
    line = f"{count:,} of {len(answers):,}: {example.reason or example.outcome}"
    beginning = " ".join(_answer_text(example.raw_response or "").split())[:BEGINNING]
    return f"{line}; it begins {beginning!r}" if beginning else line


def _answer_text(raw_response: str) -> str:
    """What the judge wrote, or the body where it is no envelope; nothing where that is empty."""
    try:
        return content(raw_response)
    except Unusable:
        pass
    try:
        json.loads(raw_response)
    except (ValueError, RecursionError):
        return raw_response
    return ""
