"""One OpenAI-compatible server: how a call reaches it, and how one fails.

One attempt a call: no retries, no redirects, no proxies of the environment, nothing logged.
"""

import asyncio
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mira_spark.judges.calls import openai_sdk
from mira_spark.judges.calls.secret import Secret, scrubbed
from mira_spark.judges.protocol import CallFailed
from mira_spark.judges.reading import is_text
from mira_spark.judges.refusals import refusal

LONGEST_BODY = 262_144
"""Bytes of a response that are kept; a longer one is cut, and so reads as invalid."""
POOLS = 16
"""Connection pools used in turn: what a pool does for a call grows with its connections."""
REQUEST_ID = "X-Client-Request-Id"
_CONNECT_S = 10.0
_LONGEST_REFUSAL = 4_096
_REFUSAL_S = 5.0
_NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "LocalProtocolError"}


class OpenAIServer:
    """The server at a checked URL.

    Constructing it sends nothing; ConfigError, which names `wanted_by`, when the SDK is missing.
    `body` and `close` belong to one event loop; after `close` another loop may ask.
    """

    def __init__(self, url: str, secret: Secret, timeout_s: float, wanted_by: str) -> None:
        self._url, self._secret, self._timeout_s = url, secret, timeout_s
        self._sdk = openai_sdk.load(wanted_by)
        self._broken = openai_sdk.connection_errors(self._sdk)
        self._clients: list[Any] = []
        self._turn = 0

    async def body(self, call: Callable[[Any], Any]) -> str:
        """The body of a response with status 2xx, the key struck out; CallFailed otherwise.

        `call` gives, for a client of the SDK, the streaming response that is to be awaited.
        """
        self._clients = self._clients or self._open_clients()
        self._turn = (self._turn + 1) % POOLS
        try:
            # The SDK's own timeout is for each read: a server that trickles would never meet it.
            async with asyncio.timeout(self._timeout_s):
                async with call(self._clients[self._turn]) as response:
                    raw = await openai_sdk.first_bytes(response.http_response, LONGEST_BODY)
        except TimeoutError:
            failure = CallFailed(f"no answer in {self._timeout_s:g} s", lost=True)
        except self._broken as error:
            failure = _failure(error.__cause__ or error)
        else:
            # An escape that JSON does not know: bytes that are no text read as invalid.
            return scrubbed(raw.decode(errors="backslashreplace"), [self._secret])
        # Outside the handler: the SDK's error holds the headers, and would be this one's context.
        raise failure

    async def close(self) -> None:
        """Let go of the connections."""
        clients, self._clients = self._clients, []
        for client in clients:
            await client.close()

    def _open_clients(self) -> list[Any]:
        http = openai_sdk.http(self._sdk)
        seconds = self._timeout_s
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
                    passed_on=(REQUEST_ID,),
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
        said = message(await self._said(response))
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


def json_object(body: str) -> dict[str, Any] | None:
    """The JSON object of a body, None where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def value_at(value: Any, key: str) -> Any:
    """What a JSON object has under the key; None where it has nothing, or is no object."""
    return value.get(key) if isinstance(value, dict) else None


def message(body: str) -> str:
    """What the server says is wrong, on one line."""
    answer = json_object(body)
    error = value_at(answer, "error")
    said = value_at(error, "message") or error or value_at(answer, "message")
    return " ".join((said if is_text(said) else body).split())
