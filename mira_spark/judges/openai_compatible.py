"""A judge behind an OpenAI-compatible server: vLLM, Databricks serving, OpenAI and look-alikes."""

import time
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, get_args

from mira_spark.errors import ConfigError
from mira_spark.judges import prompts
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.calls.sendable import check_sendable
from mira_spark.judges.openai_server import REQUEST_ID, OpenAIServer, json_object, message, value_at
from mira_spark.judges.protocol import Anchor, Answer, CallFailed, Purpose, Request
from mira_spark.judges.reading import is_text
from mira_spark.settings.judge import ModelSettings, Parameter
from mira_spark.settings.urls import checked_url, host_of


class OpenAIJudge:
    """Asks one model for chat completions.

    Constructing it sends nothing; ConfigError when the SDK is missing or the URL is not allowed.
    `ask` and `close` belong to one event loop; after `close` another loop may ask.
    """

    def __init__(
        self, settings: ModelSettings, secret: Secret, licenses: Collection[str] = ()
    ) -> None:
        if settings.model is None or settings.url is None:
            raise ConfigError("judge.model and judge.url: are needed with kind: openai")
        self._settings = settings
        self._licenses = licenses
        url = checked_url(settings.url, settings.hosts)
        self._server = OpenAIServer(url, secret, settings.timeout_s, "judge.kind openai")
        host = host_of(url)
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
        body = await self._body(request)
        envelope = json_object(body)
        if envelope is not None and not envelope.get("choices"):
            failure = f"status 200 without choices: {message(body)}"[:200]
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
        await self._server.close()

    async def _body(self, request: Request) -> str:
        """The body of a response with status 2xx; CallFailed otherwise."""
        return await self._server.body(
            lambda client: client.chat.completions.with_streaming_response.create(
                model=self._settings.model,
                messages=[],
                extra_headers={REQUEST_ID: request.call_key},
                # As arguments the SDK would walk through them, a fifth of a call's time.
                extra_body=self._parameters(request),
            )
        )

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
        return _json_schema(request.anchors, request.purpose)


def _names(settings: ModelSettings, host: str) -> dict[str, str | None]:
    """Our parameters to the server's names for them, None for what is not sent.

    OpenAI's own models refuse `max_tokens`; most other servers know nothing else.
    """
    names: dict[str, str | None] = {name: name for name in get_args(Parameter)}
    if f".{host}".endswith(".openai.com"):
        names["max_tokens"] = "max_completion_tokens"
    return names | dict(settings.parameters)


@lru_cache(maxsize=64)
def _json_schema(anchors: tuple[Anchor, ...], purpose: Purpose) -> dict[str, object]:
    name = prompts.schema_name(anchors, purpose)
    schema = {"name": name, "strict": True, "schema": prompts.schema(anchors, purpose)}
    return {"type": "json_schema", "json_schema": schema}


def _tokens(usage: Any) -> tuple[int, int, int]:
    """(input, cached of it, output); nothing where either side of the usage is not told."""
    sent, said = value_at(usage, "prompt_tokens"), value_at(usage, "completion_tokens")
    if not (_is_count(sent) and _is_count(said)):
        return 0, 0, 0
    cached = value_at(value_at(usage, "prompt_tokens_details"), "cached_tokens")
    return sent, min(cached, sent) if _is_count(cached) else 0, said


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
