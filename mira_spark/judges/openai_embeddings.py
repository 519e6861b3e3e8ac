"""The /v1/embeddings endpoint of an OpenAI-compatible server, asked as a judge is."""

import base64
import binascii
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mira_spark.errors import ConfigError
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.openai_server import REQUEST_ID, OpenAIServer, json_object, message, value_at
from mira_spark.judges.protocol import Answer, CallFailed, Request
from mira_spark.judges.reading import is_text
from mira_spark.settings.embedder import EmbedderSettings
from mira_spark.settings.urls import checked_url, host_of


class OpenAIEmbeddings:
    """Asks one model for the vector of the text that is a request's document.

    Constructing it sends nothing; ConfigError when the SDK is missing or the URL is not allowed.
    `ask` and `close` belong to one event loop.
    """

    def __init__(self, settings: EmbedderSettings, secret: Secret) -> None:
        if settings.model is None or settings.url is None:
            raise ConfigError("embedder.model and embedder.url: are needed with kind: openai")
        url = checked_url(settings.url, settings.hosts)
        self._server = OpenAIServer(url, secret, settings.timeout_s, "embedder.kind openai")
        self._model = settings.model
        size = {} if settings.dimensions is None else {"dimensions": settings.dimensions}
        self._parameters: Mapping[str, object] = {"encoding_format": "base64", **size}
        self.name = f"openai:{settings.model}"
        self.max_output_tokens = 0
        self.identity: Mapping[str, object] = {
            "provider": "openai",
            "endpoint": "embeddings",
            "host": host_of(url),
            "model": settings.model,
            **size,
        }

    async def ask(self, request: Request) -> Answer:
        """One attempt, CallFailed when it brought no answer. `raw_response` is the whole body;
        tokens are 0 where the server told none."""
        started = time.perf_counter()
        body = await self._server.body(
            lambda client: client.embeddings.with_streaming_response.create(
                model=self._model,
                input=request.document,
                extra_headers={REQUEST_ID: request.call_key},
                extra_body=self._parameters,
            )
        )
        envelope = json_object(body) or {}
        if envelope.get("error") and not envelope.get("data"):
            failure = f"status 200 without data: {message(body)}"[:200]
            raise CallFailed(failure, status=200, lost=True)
        sent, model = value_at(envelope.get("usage"), "prompt_tokens"), envelope.get("model")
        return Answer(
            raw_response=body,
            latency_ms=round(1000 * (time.perf_counter() - started)),
            model=model[:200] if is_text(model) else self._model,
            input_tokens=sent if type(sent) is int and sent > 0 else 0,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._server.close()


def parse_vector(body: str) -> npt.NDArray[np.float32]:
    """The one vector of a body, as numbers or in base64; ValueError saying what is not as asked."""
    envelope = json_object(body)
    if envelope is None:
        raise ValueError("a body that is no JSON object, or not all of it")
    rows = envelope.get("data")
    if not isinstance(rows, list) or len(rows) != 1:
        count = len(rows) if isinstance(rows, list) else "no"
        raise ValueError(f"{count} vectors for one text")
    vector = _numbers(value_at(rows[0], "embedding"))
    if not len(vector):
        raise ValueError("a vector without numbers")
    if not np.isfinite(vector).all():
        raise ValueError("a vector with a number that is not finite")
    return vector


def _numbers(value: Any) -> npt.NDArray[np.float32]:
    if isinstance(value, str):
        try:
            return np.frombuffer(base64.b64decode(value, validate=True), "<f4")
        except (binascii.Error, ValueError) as error:
            raise ValueError("a vector that is no base64 of 32-bit numbers") from error
    is_list = isinstance(value, list) and all(type(each) in (int, float) for each in value)
    if not is_list:
        raise ValueError("a vector that is no list of numbers")
    with np.errstate(over="ignore"):
        return np.array(value, np.float64).astype(np.float32)
