"""A judge behind an OpenAI-compatible server: vLLM, Databricks serving, OpenAI and look-alikes.

One attempt a call: no retries, no redirects, no proxies of the environment, nothing logged.
"""

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, get_args

from mira_spark.errors import ConfigError
from mira_spark.judges import prompts
from mira_spark.judges.calls import openai_sdk
from mira_spark.judges.calls.secret import Secret, scrubbed
from mira_spark.judges.calls.sendable import check_sendable
from mira_spark.judges.protocol import Anchor, Answer, CallFailed, Request
from mira_spark.judges.reading import is_text
from mira_spark.judges.refusals import refusal
from mira_spark.settings.judge import ModelSettings, Parameter
from mira_spark.settings.urls import checked_url, host_of

LONGEST_BODY = 262_144
"""Bytes of a response that are kept; a longer one is cut, and so reads as invalid."""
POOLS = 16
"""Connection pools used in turn: what a pool does for a call grows with its connections."""
_CONNECT_S = 10.0
_LONGEST_REFUSAL = 4_096
_REFUSAL_S = 5.0
_REQUEST_ID = "X-Client-Request-Id"
_NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "LocalProtocolError"}


class OpenAIJudge:
    """Asks one model for chat completions.

    Constructing it sends nothing; ConfigError when the SDK is missing or the URL is not allowed.
    `ask` and `close` belong to one event loop; after `close` another loop may ask.
    """

    def __init__(
        self, settings: ModelSettings, secret: Secret, licenses: Collection[str] = ()
    ) -> None:
        if settings.model is None or settings.url is None:
            raise ConfigError("judge: openai needs a model and a url")
        self._settings = settings
        self._secret = secret
        self._licenses = licenses
        self._url = checked_url(settings.url, settings.hosts)
        self._sdk = openai_sdk.load("judge.kind openai")
        self._broken = openai_sdk.connection_errors(self._sdk)
        self._clients: list[Any] = []
        self._turn = 0
        host = host_of(self._url)
        self._names = _names(settings, host)
        self.name = f"openai:{settings.model}"
        self.max_output_tokens = settings.max_output_tokens
        sent = self._server_parameters(settings.seed, settings.answer_format)
        self.identity: Mapping[str, object] = {
            "provider": "openai",
            "host": host,
            "model": settings.model,
            "answer_format": sent.pop("response_format", None),
            "seed": None,
            **sent,
        }

    async def ask(self, request: Request) -> Answer:
        """One attempt. `raw_response` is the whole body; tokens are 0 where the server told none.

        Raises CallFailed, and NotSendable before anything is sent.
        """
        check_sendable(request, self._licenses)
        started = time.perf_counter()
        body = scrubbed(await self._body(request), [self._secret])
        envelope = _object(body)
        if envelope is not None and not envelope.get("choices"):
            failure = f"status 200 without choices: {_message(body)}"[:200]
            raise CallFailed(failure, status=200, lost=True)
        envelope = envelope or {}
        sent, cached, said = _tokens(envelope.get("usage"))
        model = envelope.get("model")
        return Answer(
            raw_response=body,
            latency_ms=round(1000 * (time.perf_counter() - started)),
            model=model[:200] if is_text(model) else self._settings.model or "",
            input_tokens=sent,
            cached_input_tokens=cached,
            output_tokens=said,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        clients, self._clients = self._clients, []
        for client in clients:
            await client.close()

    async def _body(self, request: Request) -> str:
        """The body of a response with status 2xx; CallFailed otherwise."""
        self._clients = self._clients or self._open_clients()
        self._turn = (self._turn + 1) % POOLS
        completions = self._clients[self._turn].chat.completions
        try:
            # The SDK's own timeout is for each read: a server that trickles would never meet it.
            async with asyncio.timeout(self._settings.timeout_s):
                call = completions.with_streaming_response.create(
                    model=self._settings.model,
                    messages=[],
                    extra_headers={_REQUEST_ID: request.call_key},
                    # As arguments the SDK would walk through them, a fifth of a call's time.
                    extra_body=self._parameters(request),
                )
                async with call as response:
                    raw = await openai_sdk.first_bytes(response.http_response, LONGEST_BODY)
        except TimeoutError:
            failure = CallFailed(f"no answer in {self._settings.timeout_s:g} s", lost=True)
        except self._broken as error:
            failure = _failure(error.__cause__ or error)
        else:
            # An escape that JSON does not know: bytes that are no text read as invalid.
            return raw.decode(errors="backslashreplace")
        # Outside the handler: the SDK's error holds the headers, and would be this one's context.
        raise failure

    def _parameters(self, request: Request) -> dict[str, object]:
        """What is sent beside the model's name."""
        # Each replicate has a seed of its own, or it would repeat the answer.
        seed = self._settings.seed
        seed = None if seed is None else seed + request.replicate
        messages = [{"role": role, "content": text} for role, text in request.messages]
        return {
            "messages": messages,
            **self._server_parameters(seed, self._response_format(request)),
        }

    def _server_parameters(self, seed: int | None, response_format: object) -> dict[str, Any]:
        """The parameters that are sent, under the server's names."""
        values = {
            "max_tokens": self._settings.max_output_tokens,
            "temperature": self._settings.temperature,
            "seed": seed,
            "response_format": response_format,
        }
        named = {self._names[ours]: value for ours, value in values.items() if value is not None}
        return {name: value for name, value in named.items() if name is not None}

    def _response_format(self, request: Request) -> dict[str, object]:
        if self._settings.answer_format == "json_object":
            return {"type": "json_object"}
        return _json_schema(request.anchors)

    def _open_clients(self) -> list[Any]:
        http = openai_sdk.http(self._sdk)
        seconds = self._settings.timeout_s
        timeout = http.Timeout(seconds, connect=min(_CONNECT_S, seconds))
        limits = http.Limits(max_connections=None, max_keepalive_connections=None)
        clients = (
            http.AsyncClient(
                timeout=timeout,
                transport=openai_sdk.with_own_headers(
                    http.AsyncHTTPTransport(
                        limits=limits, verify=_certificates(http), trust_env=False
                    ),
                    self._secret,
                    passed_on=(_REQUEST_ID,),
                ),
                follow_redirects=False,
                trust_env=False,
                event_hooks={"response": [self._check_status]},
            )
            for _ in range(POOLS)
        )
        return [
            self._sdk.AsyncOpenAI(
                api_key=self._secret.reveal(),
                base_url=self._url,
                max_retries=0,
                timeout=timeout,
                http_client=client,
            )
            for client in clients
        ]

    async def _check_status(self, response: Any) -> None:
        """Raise CallFailed for a status that brings no answer, after a look at its body."""
        if response.is_success:
            return
        said = _message(await self._said(response))
        retry_after = scrubbed(response.headers.get("retry-after", ""), [self._secret]) or None
        raise refusal(response.status_code, said, retry_after)

    async def _said(self, response: Any) -> str:
        """The begin of the body of a refusal, as far as it comes. The raw body is nobody's local:
        a traceback may show those."""
        try:
            async with asyncio.timeout(_REFUSAL_S):
                body = await openai_sdk.first_bytes(response, _LONGEST_REFUSAL)
        except self._broken:
            return ""
        return scrubbed(body.decode(errors="replace"), [self._secret])


@lru_cache(maxsize=1)
def _certificates(http: Any) -> Any:
    """The TLS context, which takes a tenth of a second to make."""
    return http.create_ssl_context(trust_env=False)


def _failure(cause: BaseException) -> CallFailed:
    """Version 2 of the SDK takes the refusal of a status for a broken connection."""
    if isinstance(cause, CallFailed):
        return cause
    name = type(cause).__name__
    return CallFailed(f"connection: {name}", lost=name not in _NEVER_SENT)


def _names(settings: ModelSettings, host: str) -> dict[str, str | None]:
    """Our parameters to the server's names for them, None for what is not sent.

    OpenAI's own models refuse `max_tokens`; most other servers know nothing else.
    """
    names: dict[str, str | None] = {name: name for name in get_args(Parameter)}
    if f".{host}".endswith(".openai.com"):
        names["max_tokens"] = "max_completion_tokens"
    return names | dict(settings.parameters)


@lru_cache(maxsize=64)
def _json_schema(anchors: tuple[Anchor, ...]) -> dict[str, object]:
    name = "labels" if anchors else "dimensions"
    schema = {"name": name, "strict": True, "schema": prompts.schema(anchors)}
    return {"type": "json_schema", "json_schema": schema}


def _object(body: str) -> dict[str, Any] | None:
    """The JSON object of a body, None where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _value_at(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _tokens(usage: Any) -> tuple[int, int, int]:
    """(input, cached of it, output); nothing where either side of the usage is not told."""
    sent, said = _value_at(usage, "prompt_tokens"), _value_at(usage, "completion_tokens")
    if not (_is_count(sent) and _is_count(said)):
        return 0, 0, 0
    cached = _value_at(_value_at(usage, "prompt_tokens_details"), "cached_tokens")
    return sent, min(cached, sent) if _is_count(cached) else 0, said


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _message(body: str) -> str:
    """What the server says is wrong, on one line."""
    answer = _object(body)
    error = _value_at(answer, "error")
    said = _value_at(error, "message") or error or _value_at(answer, "message")
    return " ".join((said if is_text(said) else body).split())
