"""What can go wrong between a judge and its client: a catalogue, and plans that draw from it."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Leads = Literal["retried", "failed", "invalid", "refused", "truncated", "answered"]
Wire = Literal["whole", "reset", "close", "reset_in_body", "half_chunk", "short", "trickle",
               "silent", "endless", "swap"]  # fmt: skip
Plan = Callable[[int, bytes], "Fault | None"]
"""(number of the call from 1, body of the request) to what goes wrong with it."""

PAST, FUTURE = "Wed, 21 Oct 2015 07:28:00 GMT", "Tue, 01 Jan 2099 00:00:00 GMT"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `leads_to` is what a labelling request should make of it:
    another attempt, a failure for good, an outcome, or an answer as if nothing were wrong.

    `answer` changes the judge's JSON text, `envelope` the completion around it, `body` the bytes
    that are sent (given the Authorization header, too), `wire` how they are sent.
    """

    kind: str
    leads_to: Leads
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: Callable[[str], str] | None = None
    envelope: Callable[[dict[str, Any]], object] | None = None
    body: Callable[[bytes, str], bytes] | None = None
    wire: Wire = "whole"


def drawn(share: float, seed: int, kinds: Sequence[Fault]) -> Plan:
    """A fault in about `share` of the calls, by hash of the request and of how often it came:
    the same for each request in whatever order they come."""
    seen: Counter[bytes] = Counter()

    def plan(number: int, body: bytes) -> Fault | None:
        asked = hashlib.sha256(body).digest()
        seen[asked] += 1
        key = asked + f"{seed} {seen[asked]}".encode()
        chance = int.from_bytes(hashlib.sha256(key).digest()[:8])
        if chance >= share * 2**64:
            return None
        return kinds[chance % len(kinds)]

    return plan


def always(fault: Fault) -> Plan:
    """The same fault on every call."""
    return lambda number, body: fault


def _refused(status: int, leads_to: Leads) -> Fault:
    return Fault(f"status_{status}", leads_to, status)


def _after(kind: str, value: str, status: int = 429) -> Fault:
    return Fault(f"retry_after_{kind}_{status}", "retried", status, {"Retry-After": value})


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = answer["answers" if "answers" in answer else "dimensions"]
    return rows


def _score(kind: str, value: object) -> Fault:
    """The first row with another score; NaN stays as Python writes it."""

    def change(text: str) -> str:
        answer = json.loads(text)
        _rows(answer)[0]["score"] = value
        return json.dumps(answer)

    return Fault(f"score_{kind}", "invalid", answer=change)


def _changed(kind: str, change: Callable[[dict[str, Any]], object]) -> Fault:
    """The answer after `change` worked on it."""

    def edit(text: str) -> str:
        answer = json.loads(text)
        change(answer)
        return json.dumps(answer)

    return Fault(kind, "invalid", answer=edit)


def _text(kind: str, edit: Callable[[str], str]) -> Fault:
    return Fault(kind, "invalid", answer=edit)


def _choice(kind: str, leads_to: Leads, change: Callable[[dict[str, Any]], object]) -> Fault:
    """The completion after `change` worked on its choice."""

    def edit(envelope: dict[str, Any]) -> object:
        change(envelope["choices"][0])
        return envelope

    return Fault(kind, leads_to, envelope=edit)


def _bytes(kind: str, edit: Callable[[bytes], bytes]) -> Fault:
    return Fault(kind, "invalid", body=lambda body, key: edit(body))


def _blocks(choice: dict[str, Any]) -> None:
    text = choice["message"]["content"]
    choice["message"]["content"] = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "It seems good."}]},
        {"type": "text", "text": text[:20]},
        {"type": "text", "text": text[20:]},
    ]


FAULTS: tuple[Fault, ...] = (
    *(_refused(status, "failed") for status in (400, 401, 402, 403, 404, 413, 422)),
    *(_refused(status, "retried") for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
    _after("seconds", "1"),
    _after("decimal", "0.5", 503),
    _after("past_date", PAST),
    _after("future_date", FUTURE, 503),
    _after("huge", "99999999999"),
    _after("negative", "-30"),
    _after("garbage", "soon"),
    Fault("redirect", "failed", 307, {"Location": "/v1/elsewhere"}),
    Fault("reset", "retried", wire="reset"),
    Fault("close", "retried", wire="close"),
    Fault("reset_in_body", "retried", wire="reset_in_body"),
    Fault("half_chunk", "retried", wire="half_chunk"),
    Fault("short_body", "retried", wire="short"),
    Fault("trickle", "retried", wire="trickle"),
    Fault("silent", "retried", wire="silent"),
    Fault("endless_body", "invalid", wire="endless"),
    _bytes("empty_200", lambda body: b""),
    _bytes("html_200", lambda body: b"<!DOCTYPE html><html><body>Gateway</body></html>"),
    _bytes("truncated_json", lambda body: body[: len(body) // 2]),
    _bytes("not_utf8", lambda body: body.replace(b'reason\\": \\"', b'reason\\": \\"\xff', 1)),
    _bytes("huge_body", lambda body: body[:-1] + b" " * 1_048_576 + b"}"),
    Fault("error_200", "retried", envelope=lambda e: {"error": {"message": "overloaded"}}),
    Fault("no_choice", "retried", envelope=lambda e: e | {"choices": []}),
    Fault("two_choices", "invalid", envelope=lambda e: e | {"choices": e["choices"] * 2}),
    _choice("no_message", "invalid", lambda c: c.pop("message")),
    _choice("null_content", "invalid", lambda c: c["message"].update(content=None)),
    _choice("refusal", "refused", lambda c: c["message"].update(content=None, refusal="No.")),
    _choice("content_filter", "refused", lambda c: c.update(finish_reason="content_filter")),
    _choice("finish_length", "truncated", lambda c: c.update(finish_reason="length")),
    _choice("tool_calls", "invalid", lambda c: c.update(finish_reason="tool_calls")),
    _choice("content_blocks", "answered", _blocks),
    _changed("missing_key", lambda a: _rows(a)[0].pop("score")),
    _changed("missing_document", lambda a: a.pop("document")),
    _changed("missing_canary", lambda a: a.pop("canary")),
    _changed("missing_slot", lambda a: _rows(a).pop()),
    _changed("extra_key", lambda a: _rows(a)[0].update(confidence=1)),
    _changed("extra_key_outside", lambda a: a.update(note="x")),
    _changed("extra_slot", lambda a: _rows(a).append(_rows(a)[0] | {"slot": 99})),
    _changed("slot_twice", lambda a: _rows(a).append(_rows(a)[0])),
    _changed("rows_nested", lambda a: _rows(a)[0].update(reason=[[["deep"]]])),
    _changed("reason_number", lambda a: _rows(a)[0].update(reason=7)),
    _changed("half_character", lambda a: _rows(a)[0].update(reason="\ud800")),
    _changed("canary_text", lambda a: a.update(canary="0")),
    _changed("wrong_document", lambda a: a.update(document="00000000")),
    _text("duplicate_key", lambda t: t.replace('"score":', '"score": 5, "score":', 1)),
    Fault("empty_object", "retried", envelope=lambda e: {}),
    Fault("fenced", "answered", answer=lambda t: f"```json\n{t}\n```"),
    Fault("thinking", "answered", answer=lambda t: f"<think>Hm. {{}}</think>\n{t}"),
    Fault("fenced_in_prose", "invalid", answer=lambda t: f"So:\n```json\n{t}\n```"),
    _choice("reasoning_only", "invalid",
            lambda c: c["message"].update(content=None, reasoning_content="It seems good.")),
    _text("prose", lambda t: "I would say that it is rather good."),
    _text("trailing", lambda t: t + "}"),
    _text("bracket_bomb", lambda t: "[" * 30_000),
    _text("long_content", lambda t: t + " " * 70_000),
    _score("eleven", 11),
    _score("of_ten", "11/10"),
    _score("minus_one", -1),
    _score("text", "7"),
    _score("half", 3.5),
    Fault("score_whole", "answered", answer=lambda t: re.sub(r'("score": \d+)', r"\1.0", t)),
    _score("nan", float("nan")),
    _score("infinity", float("inf")),
    _score("true", True),
    _score("list", [7]),
    Fault("swapped", "invalid", wire="swap"),
)  # fmt: skip
BY_KIND = {fault.kind: fault for fault in FAULTS}
