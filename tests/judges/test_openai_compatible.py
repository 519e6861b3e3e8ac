"""The OpenAI-compatible client against a real server on loopback: what is sent, what is kept, how
everything that can go wrong is told, and that the key goes nowhere else."""

import asyncio
import base64
import json
import logging
import pickle
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from mira_spark.errors import ConfigError
from mira_spark.judges import prompts
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.calls.sendable import NotSendable
from mira_spark.judges.openai_compatible import OpenAIJudge
from mira_spark.judges.openai_server import LONGEST_BODY
from mira_spark.judges.protocol import Anchor, Answer, CallFailed, Judge, PromptTooLong, Request
from mira_spark.judges.reading import Labels, Unusable, content, parse_discovery, parse_labels
from mira_spark.settings.judge import ModelSettings
from tests.judge_faults import BY_KIND, FAULTS, Fault, always, drawn
from tests.judge_stub import ENVIRONMENT, JudgeStub, Says, by_hash

T = TypeVar("T")

KEY = "sk-canary-A1b2C3d4E5f6G7h8"
ANCHORS = tuple(Anchor(slot, f"name {slot}", f"what {slot} means") for slot in range(5))
PROMPTS = prompts.load()
RETRYABLE = {200, 408, 409, 425, 429}


def request(code: str = "0a1b2c3d", anchors: tuple[Anchor, ...] = ANCHORS, **more: Any) -> Request:
    messages = prompts.messages(PROMPTS, f"text of {code}", code, anchors)
    return Request(f"key of {code}", "label", "doc", "group_a", "", anchors, messages, code=code,
                   **more)  # fmt: skip


def settings(url: str, **changes: Any) -> ModelSettings:
    given = {"kind": "openai", "model": "m-1", "url": url, "hosts": ("127.0.0.1", "localhost")}
    return ModelSettings(**(given | {"timeout_s": 20} | changes))


def judge(stub: JudgeStub, licenses: Sequence[str] = (), **changes: Any) -> OpenAIJudge:
    return OpenAIJudge(settings(stub.url, **changes), Secret(KEY), licenses)


def run(asked: OpenAIJudge, work: Callable[[OpenAIJudge], Coroutine[Any, Any, T]]) -> T:
    async def whole() -> T:
        try:
            return await work(asked)
        finally:
            await asked.close()

    return asyncio.run(whole())


def ask(asked: OpenAIJudge, question: Request) -> Answer:
    return run(asked, lambda j: j.ask(question))


def failure(asked: OpenAIJudge, question: Request) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        ask(asked, question)
    return caught.value


def sent(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body that a request of these settings has, and the answer's usage."""
    bodies = []

    def plan(number: int, body: bytes) -> None:
        bodies.append(json.loads(body))

    replicate = changes.pop("replicate", 0)
    anchors = changes.pop("anchors", ANCHORS)
    with JudgeStub(faults=plan) as stub:
        answer = ask(judge(stub, **changes), request(anchors=anchors, replicate=replicate))
    assert len(bodies) == 1
    return bodies[0], vars(answer)


def outcome(answer: Answer, code: str) -> str | Labels:
    """What the ledger makes of an answer."""
    try:
        return parse_labels(content(answer.raw_response or ""), code, range(len(ANCHORS)))
    except Unusable as error:
        return error.outcome
    except ValueError:
        return "invalid"


async def end(asked: Judge, question: Request) -> str | Labels:
    try:
        answer = await asked.ask(question)
    except CallFailed as error:
        again = error.status is None or error.status in RETRYABLE or error.status >= 500
        return "retried" if again else "failed"
    return outcome(answer, question.code)


def test_an_answer_keeps_the_whole_body_and_what_it_cost() -> None:
    with JudgeStub(latency_s=0.05) as stub:
        asked = judge(stub)
        first, second = run(asked, lambda j: _two(j, request(), request("ffffffff")))
        assert [(call.key, call.code, call.status) for call in stub.calls] == [
            ("key of 0a1b2c3d", "0a1b2c3d", 200),
            ("key of ffffffff", "ffffffff", 200),
        ]
    body = json.loads(first.raw_response or "")
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == content(first.raw_response or "")
    assert isinstance(outcome(first, "0a1b2c3d"), Labels)
    usage = body["usage"]
    assert first.input_tokens == usage["prompt_tokens"] > 0
    assert first.output_tokens == usage["completion_tokens"] > 0
    assert first.cached_input_tokens == 0
    assert 0 < second.cached_input_tokens < second.input_tokens
    assert (first.model, first.outcome, first.attempts) == ("m-1", "answered", 1)
    assert 50 <= first.latency_ms < 20_000
    assert asked.name == "openai:m-1"
    assert asked.max_output_tokens == 2_000


async def _two(asked: OpenAIJudge, *questions: Request) -> list[Answer]:
    return [await asked.ask(question) for question in questions]


def test_what_is_sent_is_the_prompt_the_sampling_and_the_schema() -> None:
    body, _ = sent(max_output_tokens=300)
    assert body == {
        "model": "m-1",
        "messages": [{"role": role, "content": text} for role, text in request().messages],
        "max_tokens": 300,
        "temperature": 0.0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "labels", "strict": True, "schema": prompts.schema(ANCHORS)},
        },
    }


def test_the_key_goes_in_its_header_and_the_answer_is_wanted_plain() -> None:
    with JudgeStub() as stub:
        ask(judge(stub), request())
        assert stub.headers["authorization"] == f"Bearer {KEY}"
        assert stub.headers["accept-encoding"] == "identity"
        assert [name for name, value in stub.headers.items() if KEY in value] == ["authorization"]


def test_only_headers_of_ours_are_sent_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with JudgeStub() as stub:
        ask(judge(stub), request())
        host = stub.url.removeprefix("http://").removesuffix("/v1")
        length = stub.headers["content-length"]
        assert dict(stub.headers) == {
            "host": host,
            "accept": "application/json",
            "accept-encoding": "identity",
            "authorization": f"Bearer {KEY}",
            "content-type": "application/json",
            "content-length": length,
            "user-agent": "mira-spark",
            "x-client-request-id": "key of 0a1b2c3d",
        }


def test_a_discovery_is_sent_with_its_own_schema() -> None:
    body, answer = sent(anchors=())
    form = body["response_format"]["json_schema"]
    assert (form["name"], form["schema"]) == ("dimensions", prompts.schema(()))
    assert parse_discovery(content(answer["raw_response"]), "0a1b2c3d")


def test_what_is_not_set_is_not_sent() -> None:
    body, _ = sent(temperature=None, answer_format="json_object")
    assert set(body) == {"model", "messages", "max_tokens", "response_format"}
    assert body["response_format"] == {"type": "json_object"}


def test_each_replicate_has_its_own_seed() -> None:
    assert "seed" not in sent(replicate=1)[0]
    assert sent(seed=7)[0]["seed"] == 7
    assert sent(seed=7, replicate=2)[0]["seed"] == 9


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
        ("https://vllm.example:8000/v1", "max_tokens"),
    ],
)
def test_openai_itself_is_told_its_own_name_of_the_limit(url: str, name: str) -> None:
    host = url.split("/")[2].split(":")[0]
    asked = OpenAIJudge(settings(url, hosts=(host,)), Secret(KEY))
    assert asked.identity[name] == 2_000
    assert {"max_tokens", "max_completion_tokens"} & set(asked.identity) == {name}


def test_parameters_are_sent_under_the_servers_names_or_not_at_all() -> None:
    body, _ = sent(
        seed=7,
        replicate=1,
        parameters={"max_tokens": "max_completion_tokens", "seed": "random_seed",
                    "temperature": None, "response_format": None},
    )  # fmt: skip
    assert set(body) == {"model", "messages", "max_completion_tokens", "random_seed"}
    assert (body["max_completion_tokens"], body["random_seed"]) == (2_000, 8)


KEYS_OF_OLD: list[tuple[dict[str, Any], str]] = [
    ({}, "5754e8e6b44d9da259933336e0b9f920b39d60d7313a084e55b301d40a3e946e"),
    ({"seed": 7}, "874fdb71386b8a288f552a825f0631b0fbcbbaaedeea5dc40674e3395f0c14a8"),
    (
        {"answer_format": "json_object", "temperature": None},
        "e29f148f939769c2be7cb686fc75ccb6b54a0cbd15e9c0172761efb135a48292",
    ),
    (
        {"url": "https://api.openai.com/v1"},
        "af5259e0d4fb99cbffd8f3895061dcc68938b132acfde0e7fbfaf9a37327a6c3",
    ),
]


def key_of(**changes: Any) -> str:
    given = {"url": "https://judge.example/v1", "hosts": ("judge.example", "api.openai.com")}
    asked = OpenAIJudge(settings(**(given | changes)), Secret(KEY))
    schema = prompts.schema((Anchor(0, "n", "d"),))
    return prompts.call_key(asked.identity, (("system", "s"), ("user", "u")), schema, "r", 0)


@pytest.mark.parametrize(("changes", "key"), KEYS_OF_OLD)
def test_what_was_paid_before_parameters_could_be_named_is_not_paid_again(
    changes: dict[str, Any], key: str
) -> None:
    assert key_of(**changes) == key
    same: dict[str, Any] = {"temperature": "temperature", "seed": "seed"}
    assert key_of(**changes, parameters=same) == key


def test_the_names_are_part_of_the_key_as_far_as_something_is_sent_under_them() -> None:
    assert key_of(parameters={"seed": "random_seed"}) == key_of()
    assert key_of(parameters={"temperature": None}) == key_of(temperature=None)
    assert key_of(seed=7, parameters={"seed": None}) == key_of()
    others = [
        key_of(),
        key_of(parameters={"max_tokens": "max_completion_tokens"}),
        key_of(seed=7),
        key_of(seed=7, parameters={"seed": "random_seed"}),
        key_of(parameters={"response_format": None}),
        key_of(parameters={"response_format": "format"}),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "status 200 without choices: {}"),
        (b'{"choices": []}', 'status 200 without choices: {"choices": []}'),
        (b'{"error": {"message": "the model is loading"}}',
         "status 200 without choices: the model is loading"),
    ],
)  # fmt: skip
def test_a_success_without_choices_is_a_failed_call(body: bytes, said: str) -> None:
    with JudgeStub(faults=always(Fault("none", "retried", body=lambda *_: body))) as stub:
        caught = failure(judge(stub), request())
    assert (str(caught), caught.status, caught.lost) == (said, 200, True)


def test_all_that_can_change_an_answer_is_in_the_identity() -> None:
    hosts = ("judge.example", "other.example")
    base: dict[str, Any] = {"url": "https://judge.example:8000/v1", "hosts": hosts}
    changes: list[dict[str, Any]] = [
        {}, {"model": "m-2"}, {"temperature": 0.5}, {"temperature": None}, {"seed": 1},
        {"max_output_tokens": 9}, {"answer_format": "json_object"},
        {"url": "https://other.example/v1"},
    ]  # fmt: skip
    judges = [OpenAIJudge(settings(**(base | c)), Secret(KEY)) for c in changes]
    written = {json.dumps(asked.identity, sort_keys=True) for asked in judges}
    assert len(written) == len(changes)
    for same in ({"timeout_s": 5}, {"secret": "none"}, {"url": "https://judge.example/v1"}):
        asked = OpenAIJudge(settings(**(base | same)), Secret("another"))
        assert asked.identity == judges[0].identity
    assert KEY not in str(judges[0].identity)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
def test_every_fault_ends_as_it_should(fault: Fault) -> None:
    codes = ("0a1b2c3d", "ffffffff") if fault.wire == "swap" else ("0a1b2c3d",)
    slow = fault.wire in ("trickle", "silent")

    async def all_of(asked: OpenAIJudge) -> list[str | Labels]:
        return await asyncio.gather(*(end(asked, request(code)) for code in codes))

    with JudgeStub(faults=always(fault)) as stub:
        ends = run(judge(stub, timeout_s=0.5 if slow else 20), all_of)
        assert len(stub.calls) == len(codes)
    for code, found in zip(codes, ends, strict=True):
        if fault.leads_to == "answered":
            plain = parse_labels(by_hash(_messages(request(code)), None), code, range(len(ANCHORS)))
            assert found == plain
        else:
            assert found == fault.leads_to


def _messages(question: Request) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in question.messages]


def test_at_least_forty_kinds_are_tried() -> None:
    assert len(BY_KIND) == len(FAULTS) >= 40


@pytest.mark.parametrize(
    ("wire", "lost"),
    [("reset", True), ("close", True), ("reset_in_body", True), ("half_chunk", True),
     ("short", True), ("trickle", True), ("silent", True)],
)  # fmt: skip
def test_a_connection_that_broke_after_sending_may_have_been_paid(wire: Any, lost: bool) -> None:
    with JudgeStub(faults=always(Fault(wire, "retried", wire=wire))) as stub:
        found = failure(judge(stub, timeout_s=0.5), request())
    assert (found.status, found.retry_after, found.lost) == (None, None, lost)


def test_a_connection_that_was_refused_has_cost_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        found = failure(OpenAIJudge(settings(url), Secret(KEY)), request())
    assert (found.status, found.lost) == (None, False)
    assert str(found) == "connection: ConnectError"


def test_a_status_comes_with_its_retry_after_and_a_short_message() -> None:
    long = Fault(
        "x", "retried", 429, {"Retry-After": "17"}, body=lambda body, key: b"word " * 9_999
    )
    with JudgeStub(faults=always(long)) as stub:
        found = failure(judge(stub), request())
    assert (found.status, found.retry_after, found.lost) == (429, "17", False)
    assert str(found).startswith("status 429: word word")
    assert len(str(found)) <= 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no such\\n model", "type": "x"}}', "status 404: no such model"),
        (b'{"error": "no such model"}', "status 404: no such model"),
        (b'{"object": "error", "message": "no such model"}', "status 404: no such model"),
        (b'{"error_code": "X", "message": "no such model"}', "status 404: no such model"),
        (b'{"error": {"message": "\\ud800"}}', 'status 404: {"error": {"message": "\\ud800"}}'),
        (b"plain \xff words", "status 404: plain \ufffd words"),
        (b"", "status 404: "),
    ],
)
def test_a_status_says_what_the_server_said(body: bytes, message: str) -> None:
    with JudgeStub(faults=always(Fault("x", "failed", 404, body=lambda _, key: body))) as stub:
        found = failure(judge(stub), request())
    assert str(found) == message
    str(found).encode()


@pytest.mark.parametrize("wire", ["reset_in_body", "half_chunk", "short"])
def test_a_status_stands_though_its_body_breaks_off(wire: Any) -> None:
    broken = Fault("x", "retried", 503, {"Retry-After": "3"}, wire=wire)
    with JudgeStub(faults=always(broken)) as stub:
        found = failure(judge(stub), request())
    assert (found.status, found.retry_after, found.lost) == (503, "3", False)


@pytest.mark.parametrize("kind", ["huge_body", "endless_body"])
def test_a_body_without_end_is_cut(kind: str) -> None:
    with JudgeStub(faults=always(BY_KIND[kind])) as stub:
        answer = ask(judge(stub), request())
    assert len(answer.raw_response or "") == LONGEST_BODY
    assert outcome(answer, "0a1b2c3d") == "invalid"
    assert (answer.input_tokens, answer.output_tokens) == (0, 0)


def test_a_redirect_is_not_followed() -> None:
    with JudgeStub() as other:
        away = Fault("redirect", "failed", 308, {"Location": f"{other.url}/chat/completions"})
        with JudgeStub(faults=always(away)) as stub:
            assert failure(judge(stub), request()).status == 308
        assert other.calls == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with JudgeStub() as proxy, JudgeStub() as stub:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        ask(judge(stub), request())
        assert len(stub.calls) == 1
        assert proxy.calls == []


TOLD = {"prompt_tokens": 7, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (0, 0, 0)),
        ("many", (0, 0, 0)),
        ({}, (0, 0, 0)),
        ({"prompt_tokens": 7}, (0, 0, 0)),
        ({"prompt_tokens": 7, "completion_tokens": None}, (0, 0, 0)),
        ({"prompt_tokens": -7, "completion_tokens": 3}, (0, 0, 0)),
        ({"prompt_tokens": 7, "completion_tokens": 2.5}, (0, 0, 0)),
        ({"prompt_tokens": True, "completion_tokens": 3}, (0, 0, 0)),
        ({"prompt_tokens": 7, "completion_tokens": 0}, (7, 0, 0)),
        (TOLD | {"prompt_tokens_details": None}, (7, 0, 3)),
        (TOLD | {"prompt_tokens_details": {"cached_tokens": None}}, (7, 0, 3)),
        (TOLD | {"prompt_tokens_details": {"cached_tokens": 5}}, (7, 5, 3)),
        (TOLD | {"prompt_tokens_details": {"cached_tokens": 9}}, (7, 7, 3)),
    ],
)
def test_usage_is_taken_where_it_is_whole(usage: object, tokens: tuple[int, int, int]) -> None:
    other = Fault("usage", "answered", envelope=lambda e: e | {"usage": usage})
    with JudgeStub(faults=always(other)) as stub:
        answer = ask(judge(stub), request())
    assert (answer.input_tokens, answer.cached_input_tokens, answer.output_tokens) == tokens


@pytest.mark.parametrize(
    ("told", "model"),
    [("m-1-2026-11", "m-1-2026-11"), (None, "m-1"), (5, "m-1"), ("\ud800", "m-1"),
     ("x" * 999, "x" * 200)],
)  # fmt: skip
def test_the_model_is_the_one_that_the_server_says_answered(told: object, model: str) -> None:
    other = Fault("model", "answered", envelope=lambda e: e | {"model": told})
    with JudgeStub(faults=always(other)) as stub:
        assert ask(judge(stub), request()).model == model


def test_what_may_not_be_sent_is_not_sent() -> None:
    with JudgeStub() as stub:
        with pytest.raises(NotSendable):
            ask(judge(stub), request(sendable=False))
        for license in (None, "gpl-3.0"):
            with pytest.raises(NotSendable):
                ask(judge(stub, licenses=("mit",)), request(license=license))
        assert stub.calls == []
        ask(judge(stub, licenses=("mit",)), request(license="mit"))
        assert len(stub.calls) == 1


def test_a_host_that_is_not_listed_is_not_asked() -> None:
    with JudgeStub() as stub:
        unchecked = settings(stub.url).model_copy(update={"hosts": ("api.openai.com",)})
        with pytest.raises(ConfigError, match="not in hosts"):
            OpenAIJudge(unchecked, Secret(KEY))


def test_without_the_sdk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"pip install 'mira-spark\[judge\]'"):
        OpenAIJudge(settings("http://127.0.0.1/v1"), Secret(KEY))


def test_a_closed_judge_can_be_asked_again_on_another_loop() -> None:
    with JudgeStub() as stub:
        asked = judge(stub)
        assert ask(asked, request()).raw_response
        assert ask(asked, request()).raw_response


def test_many_calls_run_at_once() -> None:
    async def many(asked: OpenAIJudge) -> list[str | Labels]:
        codes = [f"{i:08x}" for i in range(128)]
        return await asyncio.gather(*(end(asked, request(code)) for code in codes))

    with JudgeStub(latency_s=1.0) as stub:
        ends = run(judge(stub, timeout_s=60), many)
        assert stub.most_in_flight == 128
    assert all(isinstance(found, Labels) for found in ends)


def test_faults_among_other_calls_change_none_of_their_answers() -> None:
    """The same documents with and without faults on the way; slow ones are left out."""
    kinds = [fault for fault in FAULTS if fault.wire not in ("trickle", "silent")]
    codes = [f"{i:08x}" for i in range(200)]

    async def all_of(asked: OpenAIJudge) -> list[str | Labels]:
        return await asyncio.gather(*(end(asked, request(code)) for code in codes))

    with JudgeStub() as stub:
        plain = run(judge(stub), all_of)
        stub.faults = drawn(0.3, 5, kinds)
        faulty = run(judge(stub), all_of)
    accepted = [f for f in zip(plain, faulty, strict=True) if isinstance(f[1], Labels)]
    assert all(found == expected for expected, found in accepted)
    assert 0.6 * len(codes) < len(accepted) < 0.8 * len(codes)


FORMS: Mapping[str, Callable[[str], str]] = {
    "header": lambda header: header,
    "key": lambda header: header.removeprefix("Bearer "),
    "base64 of the header": lambda header: base64.b64encode(header.encode()).decode(),
    "base64 of the key": lambda header: base64.b64encode(header[7:].encode()).decode(),
    "for URLs": lambda header: quote(header, safe=""),
    "hex": lambda header: header.encode().hex(),
}


def echo(form: str, status: int, wire: Any = "whole") -> Fault:
    """A server that shows the key in its body, in JSON or plain, and in a header."""

    def body(plain: bytes, header: str) -> bytes:
        shown = FORMS[form](header)
        if status == 200:
            return plain.replace(b"Drawn for", f"With {shown}".encode())
        return json.dumps({"error": {"message": f"bad {shown}", "at": shown}}).encode()

    return Fault(f"echo {form} {status}", "failed", status, {"Retry-After": KEY, "X-Key": KEY},
                 body=body, wire=wire)  # fmt: skip


def leaks(text: str) -> list[str]:
    header = f"Bearer {KEY}"
    every = [form(header) for form in FORMS.values()]
    every += [base64.b64encode(KEY.encode()).decode().rstrip("="), KEY[4:-4], header.encode().hex()]
    return [form for form in every if form in text]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("status", "wire"),
    [(400, "whole"), (401, "whole"), (403, "whole"), (429, "whole"), (500, "whole"),
     (307, "whole"), (503, "reset_in_body"), (200, "reset_in_body"), (200, "half_chunk")],
)  # fmt: skip
def test_no_error_holds_the_key_even_if_the_server_shows_it(
    form: str, status: int, wire: str, caplog: pytest.LogCaptureFixture
) -> None:
    with JudgeStub(faults=always(echo(form, status, wire))) as stub:
        asked = judge(stub)
        caplog.set_level(logging.DEBUG)
        found = failure(asked, request())
    assert (found.__cause__, found.__context__) == (None, None)
    lines = traceback.TracebackException.from_exception(found, capture_locals=True).format()
    shown = [str(found), repr(found), repr(vars(found)), *lines, caplog.text, repr(asked)]
    assert leaks("\n".join(shown)) == []
    assert leaks(str(pickle.dumps(str(found)))) == []


@pytest.mark.parametrize("form", FORMS)
def test_no_answer_holds_the_key_even_if_the_server_shows_it(form: str) -> None:
    with JudgeStub(faults=always(echo(form, 200))) as stub:
        answer = ask(judge(stub), request())
    assert leaks(repr(answer)) == []
    assert isinstance(outcome(answer, "0a1b2c3d"), Labels)
    assert "[secret]" in (answer.raw_response or "")


def test_a_prompt_that_is_too_long_is_told_from_other_refusals() -> None:
    said = "This model's maximum context length is 8 tokens. However, you requested 9 tokens"
    body = json.dumps({"object": "error", "message": said, "code": 400}).encode()
    with JudgeStub(faults=always(Fault("x", "failed", 400, body=lambda _, key: body))) as stub:
        found = failure(judge(stub), request())
        assert isinstance(found, PromptTooLong)
        assert (str(found), found.status, found.lost) == (f"status 400: {said}", 400, False)
        stub.faults = always(BY_KIND["status_400"])
        assert not isinstance(failure(judge(stub), request()), PromptTooLong)


def test_a_judge_is_not_pickled_into_a_closure() -> None:
    with pytest.raises(TypeError, match="Secret is neither copied nor pickled"):
        pickle.dumps(OpenAIJudge(settings("http://127.0.0.1/v1"), Secret(KEY)))


def test_an_answer_of_the_servers_own_is_kept_as_it_is() -> None:
    """What the stub says otherwise: other spaces, characters beyond ASCII, an order of its own."""
    said: Says = lambda messages, schema: '{"canary":0, "document": "0a1b2c3d",  "answers": []}'  # noqa: E731
    with JudgeStub(said, always(Fault("e", "answered", body=lambda b, key: b"\n" + b))) as stub:
        answer = ask(judge(stub), replace(request(), call_key="\u00e9".encode().hex()))
    assert (answer.raw_response or "").startswith("\n{")
    assert content(answer.raw_response or "") == said([], None)
