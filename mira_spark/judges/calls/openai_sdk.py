"""The openai SDK, imported where it is used, and what differs between its versions."""

import importlib
from collections.abc import Collection
from contextlib import aclosing
from typing import Any

from mira_spark.errors import ConfigError
from mira_spark.judges.calls.secret import Secret, quieten


def load(wanted_by: str) -> Any:
    """The SDK, kept from logging prompts; ConfigError when it is not installed."""
    try:
        sdk = importlib.import_module("openai")
    except ImportError as error:
        raise ConfigError(
            f"{wanted_by} needs the openai package: pip install 'mira-spark[judge]'"
        ) from error
    quieten("openai", "httpx", "httpx2", "httpcore", "httpcore2")
    return sdk


def http(sdk: Any) -> Any:
    """The HTTP library of the SDK: httpx2 since its version 3, httpx before."""
    return importlib.import_module(
        sdk.DefaultAsyncHttpxClient.__base__.__module__.partition(".")[0]
    )


def connection_errors(sdk: Any) -> tuple[type[Exception], ...]:
    """What a connection may break with; the SDK wraps only what happens before the body."""
    end = importlib.import_module("anyio").EndOfStream
    return (sdk.APIConnectionError, http(sdk).RequestError, end, OSError)


def with_own_headers(transport: Any, secret: Secret, passed_on: Collection[str] = ()) -> Any:
    """The transport of an HTTP client, which sends our headers from now on and, of others,
    `passed_on`, those that the caller sets on every request.

    The SDK adds some of its own, and others from the environment (OPENAI_CUSTOM_HEADERS,
    OPENAI_ORG_ID, OPENAI_PROJECT_ID), which may even replace the key. It reads them again when the
    response is there: so a copy of the request is what is sent.
    """
    is_async = hasattr(transport, "handle_async_request")
    method = "handle_async_request" if is_async else "handle_request"
    send = getattr(transport, method)

    def send_with_own_headers(request: Any) -> Any:
        headers = {
            "Host": request.url.netloc.decode("ascii"),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {secret.reveal()}",
            "Content-Type": "application/json",
            "Content-Length": str(len(request.content)),
            "User-Agent": "mira-spark",
            **{name: request.headers[name] for name in passed_on},
        }
        copied = type(request)(
            request.method,
            request.url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return send(copied)

    setattr(transport, method, send_with_own_headers)
    return transport


async def first_bytes(response: Any, most: int) -> bytes:
    """At most so many bytes of a body, as they were sent; the rest is left unread."""
    content = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) >= most:
                break
    return bytes(content[:most])
