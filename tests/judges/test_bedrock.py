"""The Bedrock client with botocore's own checks of both shapes: what is sent, what is kept, and
how each way to fail is told."""

import asyncio
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from mira_spark.errors import ConfigError
from mira_spark.judges import prompts
from mira_spark.judges.bedrock import BedrockJudge
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.calls.sendable import NotSendable
from mira_spark.judges.protocol import Anchor, Answer, CallFailed, PromptTooLong, Request
from mira_spark.judges.reading import Unusable, content, parse_labels
from mira_spark.settings.judge import ModelSettings

MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
TOKEN = "IQoJcanaryA1b2C3d4E5f6G7h8"
CODE = "0a1b2c3d"
ANCHORS = tuple(Anchor(slot, f"name {slot}", f"what {slot} means") for slot in range(3))
ROWS = [{"slot": slot, "score": slot, "reason": "so"} for slot in range(3)]
SAID = json.dumps({"document": CODE, "answers": ROWS, "canary": 0})
USAGE = {"inputTokens": 70, "outputTokens": 30, "totalTokens": 600,
         "cacheReadInputTokens": 400, "cacheWriteInputTokens": 100}  # fmt: skip


def settings(**changes: Any) -> ModelSettings:
    given: dict[str, Any] = {"kind": "bedrock", "model": MODEL, "region": "eu-central-1"}
    return ModelSettings(**(given | changes))


def request(anchors: tuple[Anchor, ...] = ANCHORS, **more: Any) -> Request:
    messages = prompts.messages(prompts.load(), "some text", CODE, anchors)
    return Request("key", "label", "doc", "group_a", "", anchors, messages, code=CODE, **more)


def expected(anchors: tuple[Anchor, ...] = ANCHORS, name: str = "labels") -> dict[str, Any]:
    """The arguments of Converse for `request` by the settings' defaults."""
    (_, system), (_, user) = request(anchors).messages
    schema = {"name": name, "schema": json.dumps(prompts.schema(anchors))}
    form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return {
        "modelId": MODEL,
        "system": [{"text": system}],
        "messages": [{"role": "user", "content": [{"text": user}]}],
        "inferenceConfig": {"maxTokens": 2_000, "temperature": 0.0},
        "outputConfig": {"textFormat": form},
    }


def response(blocks: Any = None, stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": blocks or [{"text": SAID}]}
    return {
        "output": {"message": message},
        "stopReason": stop,
        "usage": USAGE,
        "metrics": {"latencyMs": 812},
    } | more


@pytest.fixture
def client() -> Any:
    """A client that can reach nothing."""
    return boto3.client(
        "bedrock-runtime", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="y",
        endpoint_url="http://127.0.0.1:9", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


def ask(judge: BedrockJudge, question: Request) -> Answer:
    async def whole() -> Answer:
        try:
            return await judge.ask(question)
        finally:
            await judge.close()

    return asyncio.run(whole())


def judge(client: Any, licenses: Sequence[str] = (), **changes: Any) -> BedrockJudge:
    return BedrockJudge(settings(**changes), licenses, client, [Secret(TOKEN)])


def failure(client: Any, **changes: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        ask(judge(client, **changes), request())
    return caught.value


def test_the_request_and_the_answer_have_the_shapes_of_converse(client: Any, stub: Stubber) -> None:
    meta = {"HTTPStatusCode": 200, "HTTPHeaders": {"x-amzn-requestid": "a-request"}}
    stub.add_response("converse", response(ResponseMetadata=meta), expected())
    answer = ask(judge(client), request())
    stub.assert_no_pending_responses()
    assert parse_labels(content(answer.raw_response or ""), CODE, range(3)).scores == [0, 1, 2]
    assert json.loads(answer.raw_response or "") == response()
    assert (answer.outcome, answer.model, answer.attempts) == ("answered", MODEL, 1)


def test_cached_tokens_are_part_of_the_input(client: Any, stub: Stubber) -> None:
    stub.add_response("converse", response())
    answer = ask(judge(client), request())
    assert (answer.input_tokens, answer.cached_input_tokens, answer.output_tokens) == (570, 400, 30)
    plain = {"inputTokens": 70, "outputTokens": 30, "totalTokens": 100}
    stub.add_response("converse", response(usage=plain))
    answer = ask(judge(client), request())
    assert (answer.input_tokens, answer.cached_input_tokens, answer.output_tokens) == (70, 0, 30)


def test_a_discovery_has_its_own_schema(client: Any, stub: Stubber) -> None:
    stub.add_response("converse", response(), expected((), "dimensions"))
    ask(judge(client), request(()))


def test_what_is_not_set_is_not_sent(client: Any, stub: Stubber) -> None:
    plain = expected() | {"inferenceConfig": {"maxTokens": 90}}
    del plain["outputConfig"]
    stub.add_response("converse", response(), plain)
    ask(
        judge(client, temperature=None, max_output_tokens=90, answer_format="json_object"),
        request(),
    )


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [("max_tokens", "truncated"), ("model_context_window_exceeded", "truncated"),
     ("guardrail_intervened", "refused"), ("content_filtered", "refused"),
     ("malformed_model_output", "invalid"), ("tool_use", "invalid")],
)  # fmt: skip
def test_why_it_stopped_is_kept_for_the_reader(
    client: Any, stub: Stubber, stop: str, outcome: str
) -> None:
    stub.add_response("converse", response(stop=stop))
    answer = ask(judge(client), request())
    with pytest.raises(Unusable) as caught:
        content(answer.raw_response or "")
    assert caught.value.outcome == outcome


def test_reasoning_is_kept_but_not_read(client: Any, stub: Stubber) -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "x"}}}
    secret = {"reasoningContent": {"redactedContent": b"\x00\xff"}}
    blocks = [thought, secret, {"text": SAID[:30]}, {"text": SAID[30:]}]
    stub.add_response("converse", response(blocks))
    answer = ask(judge(client), request())
    assert "Let me see." in (answer.raw_response or "")
    assert content(answer.raw_response or "") == SAID


@pytest.mark.parametrize(
    ("code", "status"),
    [("AccessDeniedException", 403), ("ThrottlingException", 429),
     ("ResourceNotFoundException", 404), ("ModelTimeoutException", 408),
     ("InternalServerException", 500),
     ("ServiceUnavailableException", 503), ("ValidationException", 400),
     ("ModelNotReadyException", 429), ("ModelErrorException", 424),
     ("UnrecognizedClientException", 403), ("ExpiredTokenException", 403)],
)  # fmt: skip
def test_a_refusal_has_its_http_status(client: Any, stub: Stubber, code: str, status: int) -> None:
    stub.add_client_error("converse", code, "no\n luck", status)
    found = failure(client)
    assert (found.status, found.retry_after, found.lost) == (status, None, False)
    assert str(found) == f"status {status}: {code}: no luck"


def test_a_prompt_that_is_too_long_is_told_from_other_refusals(client: Any, stub: Stubber) -> None:
    said = "Input is too long for requested model."
    stub.add_client_error("converse", "ValidationException", said, 400)
    found = failure(client)
    assert isinstance(found, PromptTooLong)
    assert str(found) == f"status 400: ValidationException: {said}"


def test_a_refusal_may_say_when_to_come_back(client: Any, stub: Stubber) -> None:
    headers = {"HTTPHeaders": {"retry-after": "7"}}
    stub.add_client_error("converse", "ThrottlingException", "x" * 999, 429, response_meta=headers)
    found = failure(client)
    assert found.retry_after == "7"
    assert len(str(found)) == 200


def test_no_error_holds_a_key_even_if_the_server_shows_it(
    client: Any, stub: Stubber, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"HTTPHeaders": {"retry-after": TOKEN}}
    stub.add_client_error("converse", "ValidationException", f"bad {TOKEN}", 400,
                          response_meta=headers)  # fmt: skip
    found = failure(client)
    assert (found.__cause__, found.__context__) == (None, None)
    shown = "".join(traceback.format_exception(found)) + repr(vars(found)) + caplog.text
    assert TOKEN not in shown
    assert "[secret]" in str(found)


class Converse:
    """The client, with a call of its own in the place of the network."""

    def __init__(self, client: Any, call: Callable[[], Any]) -> None:
        self.meta, self._call = client.meta, call

    def converse(self, **request: Any) -> Any:
        return self._call()


ENDPOINT = "https://bedrock-runtime.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("error", "status", "lost"),
    [
        (exceptions.ReadTimeoutError(endpoint_url=ENDPOINT), None, True),
        (exceptions.ConnectionClosedError(endpoint_url=ENDPOINT), None, True),
        (exceptions.ResponseStreamingError(error="reset"), None, True),
        (exceptions.HTTPClientError(error="odd"), None, True),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), None, True),
        (ResponseParserError("not JSON"), None, True),
        (exceptions.ConnectTimeoutError(endpoint_url=ENDPOINT), None, False),
        (exceptions.EndpointConnectionError(endpoint_url=ENDPOINT), None, False),
        (exceptions.SSLError(endpoint_url=ENDPOINT, error="expired"), None, False),
        (exceptions.NoCredentialsError(), 401, False),
        (exceptions.UnauthorizedSSOTokenError(), 401, False),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), 401, False),
        (exceptions.CredentialRetrievalError(provider="x", error_msg="expired"), 401, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_connection_says_whether_it_may_have_been_paid(
    client: Any, error: Exception, status: int | None, lost: bool
) -> None:
    def call() -> None:
        raise error

    found = failure(Converse(client, call))
    assert (found.status, found.lost) == (status, lost)
    assert type(error).__name__ in str(found)


def test_a_call_without_end_is_left(client: Any) -> None:
    ended = threading.Event()
    try:
        found = failure(Converse(client, ended.wait), timeout_s=0.05)
    finally:
        ended.set()
    assert (found.status, found.lost) == (None, True)
    assert str(found) == "no answer in 0.05 s"


def test_a_defect_of_ours_is_no_failed_call(client: Any) -> None:
    def call() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        ask(judge(Converse(client, call)), request())


def test_calls_run_beside_each_other(client: Any) -> None:
    """Each call waits for all the others: one after another they would never end."""
    together = threading.Barrier(40, timeout=30)

    def call() -> dict[str, Any]:
        together.wait()
        return response()

    async def many() -> list[Answer]:
        asked = judge(Converse(client, call))
        try:
            return await asyncio.gather(*(asked.ask(request()) for _ in range(40)))
        finally:
            await asked.close()

    assert len(asyncio.run(many())) == 40


def test_what_may_not_be_sent_is_not_sent(client: Any, stub: Stubber) -> None:
    asked = judge(client, licenses=("mit",))
    for question in (request(sendable=False, license="mit"), request(), request(license="gpl")):
        with pytest.raises(NotSendable):
            ask(asked, question)
    stub.add_response("converse", response())
    ask(asked, request(license="mit"))


def test_all_that_can_change_an_answer_is_in_the_identity(client: Any) -> None:
    changes: list[dict[str, Any]] = [
        {}, {"model": "other"}, {"temperature": 1.0}, {"temperature": None},
        {"max_output_tokens": 9}, {"answer_format": "json_object"},
    ]  # fmt: skip
    found = [json.dumps(judge(client, **change).identity) for change in changes]
    assert len(set(found)) == len(changes)
    assert judge(client, timeout_s=5).identity == judge(client).identity
    assert judge(client).identity["host"] == "127.0.0.1"
    assert judge(client).name == f"bedrock:{MODEL}"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    """An environment with one set of keys and nothing else of AWS."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-access-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    return monkeypatch


def test_a_client_of_our_own_has_no_retries_proxies_or_other_endpoint(
    account: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "AWS_ENDPOINT_URL"):
        account.setenv(name, "http://127.0.0.1:9")
    opened = BedrockJudge(settings(timeout_s=5))
    client: Any = opened._client
    assert client.meta.endpoint_url == ENDPOINT
    assert client.meta.config.retries["total_max_attempts"] == 1
    assert client.meta.config.proxies == {}
    assert client.meta.config.read_timeout == 5
    assert client.meta.config.max_pool_connections >= 512
    assert opened.identity["host"] == "bedrock-runtime.eu-central-1.amazonaws.com"
    assert TOKEN in [secret.reveal() for secret in opened._secrets]
    assert "a-secret-access-key" in [secret.reveal() for secret in opened._secrets]


@pytest.mark.parametrize(
    ("unset", "changes", "problem"),
    [
        ((), {"region": None}, "region"),
        ((), {"profile": "nobody"}, "nobody"),
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), {}, "credentials"),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(
    account: pytest.MonkeyPatch, unset: Sequence[str], changes: dict[str, Any], problem: str
) -> None:
    for name in unset:
        account.delenv(name)
    with pytest.raises(ConfigError, match=problem):
        BedrockJudge(settings(**changes))


def test_an_endpoint_of_ones_own_must_be_listed(account: pytest.MonkeyPatch) -> None:
    url, host = (
        "https://vpce-1.bedrock-runtime.amazonaws.com",
        "vpce-1.bedrock-runtime.amazonaws.com",
    )
    opened = BedrockJudge(settings(url=url, hosts=(host,)))
    assert opened.identity["host"] == host
    with pytest.raises(ConfigError, match="not in hosts"):
        BedrockJudge(settings(url=url, hosts=(host,)).model_copy(update={"hosts": ()}))


def test_a_boto3_that_knows_no_schemas_is_refused(client: Any) -> None:
    model = client.meta.service_model.operation_model("Converse")
    members = dict(model.input_shape.members)
    members.pop("outputConfig")
    model.input_shape.__dict__["members"] = members
    with pytest.raises(ConfigError, match="json_object"):
        judge(client)
    assert judge(client, answer_format="json_object")
