"""A judge on Amazon Bedrock, by the Converse operation of boto3 on threads of its own.

One attempt a call: no retries, no proxies of the environment, nothing logged.
"""

import asyncio
import importlib
import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from mira_spark.errors import ConfigError
from mira_spark.judges import prompts
from mira_spark.judges.calls.secret import Secret, quieten, scrubbed
from mira_spark.judges.calls.sendable import check_sendable
from mira_spark.judges.protocol import Anchor, Answer, CallFailed, Purpose, Request
from mira_spark.judges.refusals import refusal
from mira_spark.settings.judge import ModelSettings
from mira_spark.settings.urls import checked_url

MOST_THREADS = 512
_CONNECT_S = 10.0


class BedrockJudge:
    """Asks one model by Converse; its keys are those boto3 finds, for `profile` if set.

    ConfigError when boto3, a region or credentials are missing, or when boto3 knows no structured
    output. `client` (of `bedrock-runtime`) and `secrets` are for who opened one already.
    """

    def __init__(
        self,
        settings: ModelSettings,
        licenses: Collection[str] = (),
        client: Any = None,
        secrets: Sequence[Secret] = (),
    ) -> None:
        if settings.model is None:
            raise ConfigError("judge.model: is needed with kind: bedrock")
        self._settings = settings
        self._licenses = licenses
        self._client, self._secrets = (client, secrets) if client else _open_client(settings)
        if settings.answer_format == "json_schema" and not _knows_schemas(self._client):
            raise ConfigError(
                "judge.answer_format: this boto3 knows no structured output in Converse; "
                "upgrade it, or set json_object to ask for JSON in the prompt alone"
            )
        self._threads: ThreadPoolExecutor | None = None
        self._sampling = _sampling(settings)
        self.name = f"bedrock:{settings.model}"
        self.max_output_tokens = settings.max_output_tokens
        self.identity: Mapping[str, object] = {
            "provider": "bedrock",
            "host": urlsplit(self._client.meta.endpoint_url).hostname,
            "model": settings.model,
            "answer_format": settings.answer_format,
            **self._sampling,
        }

    async def ask(self, request: Request) -> Answer:
        """One attempt. `raw_response` is the response as JSON, without the HTTP headers.

        Raises CallFailed, and NotSendable before anything is sent.
        """
        check_sendable(request, self._licenses)
        started = time.perf_counter()
        response = await self._response(request)
        usage = response.get("usage") or {}
        cached = usage.get("cacheReadInputTokens") or 0
        # Bedrock counts what its cache was read or written for beside the input, not in it.
        fresh = (usage.get("inputTokens") or 0) + (usage.get("cacheWriteInputTokens") or 0)
        body = {key: value for key, value in response.items() if key != "ResponseMetadata"}
        return Answer(
            raw_response=scrubbed(json.dumps(body, default=str), self._secrets),
            latency_ms=round(1000 * (time.perf_counter() - started)),
            model=self._settings.model or "",
            input_tokens=fresh + cached,
            cached_input_tokens=cached,
            output_tokens=usage.get("outputTokens") or 0,
        )

    async def close(self) -> None:
        """Let go of the threads; calls still running are not waited for."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _response(self, request: Request) -> dict[str, Any]:
        self._threads = self._threads or ThreadPoolExecutor(MOST_THREADS, "bedrock")
        errors = importlib.import_module("botocore.exceptions")
        parsing = importlib.import_module("botocore.parsers").ResponseParserError
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                response: dict[str, Any] = await loop.run_in_executor(
                    self._threads, lambda: self._client.converse(**self._request(request))
                )
                return response
        except TimeoutError:
            failure = CallFailed(f"no answer in {self._settings.timeout_s:g} s", lost=True)
        except errors.ClientError as error:
            failure = _refusal(error.response, self._secrets)
        except (errors.HTTPClientError, errors.IncompleteReadError, parsing) as error:
            failure = CallFailed(f"connection: {type(error).__name__}", lost=True)
        except errors.ConnectionError as error:
            failure = CallFailed(f"connection: {type(error).__name__}")
        except errors.BotoCoreError as error:
            # Credentials that ended, or settings of the profile: no request will pass.
            failure = CallFailed(f"no credentials: {type(error).__name__}", status=401)
        # Outside the handlers: the error of the SDK would be this one's context.
        raise failure

    def _request(self, request: Request) -> dict[str, Any]:
        """The arguments of Converse."""
        said = {
            role: [{"text": text} for who, text in request.messages if who == role]
            for role in ("system", "user")
        }
        arguments: dict[str, Any] = {
            "modelId": self._settings.model,
            "system": said["system"],
            "messages": [{"role": "user", "content": said["user"]}],
            "inferenceConfig": self._sampling,
        }
        if self._settings.answer_format == "json_schema":
            arguments["outputConfig"] = {
                "textFormat": _text_format(request.anchors, request.purpose)
            }
        return arguments


def _open_client(settings: ModelSettings) -> tuple[Any, tuple[Secret, ...]]:
    """A client of the settings' region and profile, and the keys it may send."""
    try:
        boto3 = importlib.import_module("boto3")
        botocore = importlib.import_module("botocore.config")
        errors = importlib.import_module("botocore.exceptions")
    except ImportError as error:
        raise ConfigError(
            "judge.kind bedrock needs the boto3 package: pip install 'mira-spark[judge]'"
        ) from error
    quieten("boto3", "botocore", "urllib3")
    config = botocore.Config(
        connect_timeout=min(_CONNECT_S, settings.timeout_s),
        read_timeout=settings.timeout_s,
        retries={"total_max_attempts": 1},
        max_pool_connections=MOST_THREADS,
        proxies={},
        ignore_configured_endpoint_urls=True,
    )
    endpoint = checked_url(settings.url, settings.hosts) if settings.url else None
    try:
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        client = session.client("bedrock-runtime", endpoint_url=endpoint, config=config)
        credentials = session.get_credentials()
        keys = credentials.get_frozen_credentials() if credentials else None
    except (errors.BotoCoreError, errors.ClientError) as error:
        raise ConfigError(f"judge: bedrock cannot be opened: {error}") from None
    bearer = os.environ.get("AWS_BEARER_TOKEN_BEDROCK")
    if keys is None and not bearer:
        raise ConfigError("judge: no AWS credentials found; set judge.profile or the environment")
    sent = (keys.secret_key, keys.token, bearer) if keys else (bearer,)
    return client, tuple(Secret(key) for key in sent if key)


def _knows_schemas(client: Any) -> bool:
    operation = client.meta.service_model.operation_model("Converse")
    return "outputConfig" in operation.input_shape.members


def _sampling(settings: ModelSettings) -> dict[str, object]:
    sampling: dict[str, object] = {"maxTokens": settings.max_output_tokens}
    if settings.temperature is not None:
        sampling["temperature"] = settings.temperature
    return sampling


@lru_cache(maxsize=64)
def _text_format(anchors: tuple[Anchor, ...], purpose: Purpose) -> dict[str, object]:
    name = prompts.schema_name(anchors, purpose)
    schema = json.dumps(prompts.schema(anchors, purpose))
    return {
        "type": "json_schema",
        "structure": {"jsonSchema": {"name": name, "schema": schema}},
    }


def _refusal(response: Mapping[str, Any], secrets: Sequence[Secret]) -> CallFailed:
    """A response with an error status."""
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    said = " ".join(f"{error.get('Code')}: {error.get('Message')}".split())
    status = int(meta.get("HTTPStatusCode") or 500)
    after = meta.get("HTTPHeaders", {}).get("retry-after")
    retry_after = scrubbed(after, secrets) if after else None
    return refusal(status, scrubbed(said, secrets), retry_after)
