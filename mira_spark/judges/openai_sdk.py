"""The openai SDK, imported where it is used, and what differs between its versions."""

import importlib
from typing import Any

from mira_spark.errors import ConfigError
from mira_spark.judges.secret import quieten


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
