"""What a judge's answer says, read strictly: nothing is clamped, completed or guessed.

First the provider's envelope is taken off (`content`), then the judge's own JSON is read.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeGuard

from mira_spark.judges.protocol import CallOutcome
from mira_spark.settings.rubrics import MAX_DIMENSIONS

LONGEST_CONTENT = 65_536
"""Bytes of JSON text that a judge may answer with."""
_DEEPEST = 4
"""Brackets within brackets; an answer as asked has three."""
_THINKING, _THOUGHT = "<think>", "</think>"
_FENCE = re.compile(r"```[A-Za-z]*(.*)```", re.DOTALL)
_TRUNCATED = {"length", "max_tokens", "model_context_window_exceeded"}
_REFUSED = {"content_filter", "content_filtered", "guardrail_intervened"}
_NO_TEXT = {"tool_calls", "function_call", "tool_use", "malformed_tool_use",
            "malformed_model_output"}  # fmt: skip


class Unusable(Exception):
    """A response without an answer in it; `outcome` and `reason` are those of its row."""

    def __init__(self, outcome: CallOutcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


@dataclass(frozen=True)
class Labels:
    """What a labelling answer says, in order of slot whatever the order shown; a score is None
    where the dimension does not apply. `canary` is 0 unless the document led the judge."""

    scores: list[int | None]
    reasons: list[str | None]
    canary: int


def content(raw_response: str) -> str:
    """The judge's own JSON text, out of a chat completion, a Converse response or as it is, without
    a thinking block before it and a Markdown fence around it.

    Raises Unusable when there is none: refused, cut short, or no such response.
    """
    return _without_wrapping(_said(raw_response))


def _said(raw_response: str) -> str:
    """What the judge wrote, as it wrote it."""
    try:
        body = json.loads(raw_response)
    except (ValueError, RecursionError) as error:
        raise Unusable("invalid", _no_json(raw_response)) from error
    if isinstance(body, dict) and "choices" in body:
        return _of_choice(body["choices"])
    if isinstance(body, dict) and "stopReason" in body:
        return _of_converse(body)
    return raw_response


def parse_discovery(text: str, code: str) -> list[tuple[str, str, int]]:
    """(name, reason, score) of the dimensions named, at most fifteen.

    Raises ValueError saying what is not as asked, the canary among it.
    """
    rows, canary = _answer(text, code, "dimensions", ("name", "reason", "score"))
    for name, reason, score in rows:
        if not (is_text(name) and name.strip() and is_text(reason)):
            raise ValueError(f"a dimension without a name or reason: {name!r:.60}")
        if not _is_score(score):
            raise ValueError(f"{name!r:.60}: score {score!r:.20} is not an integer from 0 to 10")
    if canary:
        raise ValueError(f"the canary is {canary!r:.20}, should be 0: the document led the judge")
    return [(name, reason, int(score)) for name, reason, score in rows[:MAX_DIMENSIONS]]


def parse_merges(text: str, code: str, names: Sequence[str]) -> dict[str, str]:
    """Name to the name it is merged into, of those of `names` that are merged at all.

    Raises ValueError saying what is not as asked: a name that was not given, on either side, or one
    that comes twice; and merges that go round in a circle.
    """
    rows, canary = _answer(text, code, "merges", ("name", "into"))
    into: dict[str, str] = {}
    for name, target in rows:
        for each in (name, target):
            if each not in names:
                raise ValueError(f"{each!r:.60} is none of the names that were given")
        if name in into:
            raise ValueError(f"{name!r:.60} is merged twice")
        into[name] = target
    if canary:
        raise ValueError(f"the canary is {canary!r:.20}, should be 0: the list led the judge")
    into = {name: target for name, target in into.items() if name != target}
    return {name: _last(name, into) for name in into}


def _last(name: str, into: Mapping[str, str]) -> str:
    """Where a name that is merged into one that is merged itself ends."""
    seen = {name}
    while name in into:
        name = into[name]
        if name in seen:
            raise ValueError(f"{name!r:.60} is merged into itself, through others")
        seen.add(name)
    return name


def parse_labels(text: str, code: str, slots: Sequence[int]) -> Labels:
    """The scores of a labelling answer: each of `slots` once, an integer from 0 to 10 or null.

    Raises ValueError saying what is not as asked, beginning with `incomplete` where only slots
    are missing.
    """
    rows, canary = _answer(text, code, "answers", ("slot", "score", "reason"))
    by_slot: dict[int, tuple[int | None, str | None]] = {}
    for slot, score, reason in rows:
        if type(slot) is not int or slot not in slots:
            raise ValueError(f"slot {slot!r:.20} is not of this rubric")
        if slot in by_slot:
            raise ValueError(f"slot {slot}: answered twice")
        if reason is not None and not is_text(reason):
            raise ValueError(f"slot {slot}: reason {reason!r:.60} is not a text")
        if score is not None and not _is_score(score):
            raise ValueError(f"slot {slot}: score {score!r:.20} is not an integer from 0 to 10")
        by_slot[slot] = (None if score is None else int(score), reason)
    if missing := sorted(set(slots) - set(by_slot)):
        raise ValueError(f"incomplete: no answer for slot {', '.join(map(str, missing))}")
    ordered = [by_slot[slot] for slot in sorted(by_slot)]
    return Labels([score for score, _ in ordered], [reason for _, reason in ordered], canary)


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value of JSON is a string that UTF-8 can hold: no half of a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_wrapping(text: str) -> str:
    """The text without one leading block of thinking, and then without one fence around it."""
    bare = text.strip()
    if bare.startswith(_THINKING) and _THOUGHT in bare:
        text = bare = bare.partition(_THOUGHT)[2].strip()
    if fence := _FENCE.fullmatch(bare):
        text = fence[1]
    return text


def _no_json(body: str) -> str:
    begin = body.lstrip()[:200].lower()
    if not begin:
        return "an empty body"
    if begin.startswith(("<!doctype", "<html", "<head", "<body")):
        return "a page of HTML in place of an answer"
    return f"a body that is no JSON, or not all of it: {len(body):,} characters"


def _of_choice(choices: Any) -> str:
    """The text of an OpenAI chat completion."""
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise Unusable("invalid", "a chat completion should hold one choice")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise Unusable("invalid", "a choice without a message")
    refusal = message.get("refusal")
    if refusal:
        raise Unusable("refused", f"the judge refused: {refusal!r:.150}")
    _check_end(choices[0].get("finish_reason"))
    said = message.get("content")
    if isinstance(said, str) and said:
        return said
    thought = message.get("reasoning_content") or message.get("reasoning")
    if not said and isinstance(thought, str) and thought:
        raise Unusable("invalid", f"{len(thought):,} characters of reasoning and no answer")
    return _of_blocks(said)


def _of_converse(body: dict[str, Any]) -> str:
    """The text of a Bedrock Converse response."""
    _check_end(body["stopReason"])
    try:
        blocks = body["output"]["message"]["content"]
    except (KeyError, TypeError) as error:
        raise Unusable("invalid", "a Converse response without a message") from error
    return _of_blocks(blocks)


def _check_end(why: Any) -> None:
    """Other reasons to end than these are many providers' names for an answer that is whole."""
    if not isinstance(why, str):
        return
    if why in _TRUNCATED:
        raise Unusable("truncated", f"cut short: {why}")
    if why in _REFUSED:
        raise Unusable("refused", f"withheld by the provider: {why}")
    if why in _NO_TEXT:
        raise Unusable("invalid", f"no text was answered: {why}")


def _of_blocks(blocks: Any) -> str:
    """The text blocks in one; blocks of reasoning are no part of the answer."""
    objects = [block for block in blocks if isinstance(block, dict)] if _is_list(blocks) else []
    if any(block.get("type") == "refusal" for block in objects):
        raise Unusable("refused", "the judge refused")
    text = "".join(block["text"] for block in objects if isinstance(block.get("text"), str))
    if not text:
        raise Unusable("invalid", "a message without text")
    return text


def _answer(
    text: str, code: str, rows_key: str, row_keys: tuple[str, ...]
) -> tuple[list[tuple[Any, ...]], int]:
    """The values of each row by `row_keys`, and the canary, of an answer about this document."""
    answer = _strict(text)
    _check_keys(answer, ("document", rows_key, "canary"), "the answer")
    if answer["document"] != code:
        raise ValueError(f"is about document {answer['document']!r:.20}, asked was {code!r:.20}")
    if type(answer["canary"]) is not int:
        raise ValueError(f"the canary {answer['canary']!r:.20} is not an integer")
    if not _is_list(answer[rows_key]):
        raise ValueError(f"{rows_key} is not a list: {answer[rows_key]!r:.60}")
    for row in answer[rows_key]:
        _check_keys(row, row_keys, f"one of {rows_key}")
    return [tuple(row[key] for key in row_keys) for row in answer[rows_key]], answer["canary"]


def _check_keys(value: Any, keys: Iterable[str], what: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not an object: {value!r:.60}")
    if problems := sorted(set(keys) ^ set(value)):
        verb = "lacks" if problems[0] in keys else "should not hold"
        raise ValueError(f"{what} {verb} {problems[0]!r:.60}")


def _strict(text: str) -> Any:
    """The value of JSON in which nothing is said twice and every number is one."""
    if len(text) > LONGEST_CONTENT or len(text.encode(errors="surrogatepass")) > LONGEST_CONTENT:
        raise ValueError(f"longer than {LONGEST_CONTENT:,} bytes")
    try:
        value = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"nested deeper than {_DEEPEST}") from error
    if _depth(value) > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("not JSON: a key twice in one object")
    return found


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant} is not a number")


def _depth(value: Any, seen: int = 0) -> int:
    """How deep a value is nested; what lies beyond the limit is not looked at."""
    if seen > _DEEPEST or not isinstance(value, dict | list):
        return seen
    inner = value.values() if isinstance(value, dict) else value
    return max((_depth(each, seen + 1) for each in inner), default=seen + 1)


def _is_score(value: object) -> bool:
    """Many servers write 7 as 7.0."""
    return type(value) in (int, float) and value in range(11)


def _is_list(value: object) -> bool:
    return isinstance(value, list)
