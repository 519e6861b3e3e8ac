"""Clients of AWS by boto3, and what may go wrong with them, said in one line."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mira_spark.errors import ConfigError, MiraError, OutsideError
from mira_spark.judges.calls.secret import quieten

_TRIES, _CONNECT_S, _READ_S = 8, 10, 60
_PASSING = (
    "Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown", "ServiceUnavailable",
    "RequestTimeout", "ExpiredToken", "RequestExpired", "InternalFailure", "InternalServer",
)  # fmt: skip
"""What the codes of errors hold that are over when one waits, or renews the credentials."""


def open_clients(region: str, *services: str) -> list[Any]:
    """A client of each service, with the credentials that boto3 finds in its own chain
    (environment, profile, role); it tries again by itself. ConfigError where boto3 or credentials
    are missing."""
    try:
        boto3 = importlib.import_module("boto3")
        botocore = importlib.import_module("botocore.config")
    except ImportError as error:
        raise ConfigError(
            "mira emr needs the boto3 package: pip install 'mira-spark[judge]'"
        ) from error
    quieten("boto3", "botocore", "s3transfer", "urllib3")
    config = botocore.Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
    with asking("opening clients of AWS"):
        session = boto3.Session(region_name=region)
        if session.get_credentials() is None:
            raise ConfigError(
                "no AWS credentials found: log in (aws sso login), set AWS_PROFILE, or give this "
                "machine a role"
            )
        return [session.client(service, config=config) for service in services]


@contextmanager
def asking(what: str) -> Iterator[None]:
    """A block that asks AWS for `what`. OutsideError for what passes (throttling, a connection that
    is lost, credentials that have expired, a fault of the service), else ConfigError."""
    errors = importlib.import_module("botocore.exceptions")
    try:
        yield
    except errors.ClientError as error:
        failure = _refusal(what, error.response)
    except (errors.HTTPClientError, errors.ConnectionError, errors.IncompleteReadError) as error:
        failure = OutsideError(f"{what}: no connection to AWS ({type(error).__name__})")
    except errors.BotoCoreError as error:
        failure = ConfigError(f"{what}: {' '.join(str(error).split())}")
    else:
        return
    # Outside the handlers: the error of the SDK would be this one's context.
    raise failure


def error_code(error: Any) -> str:
    """The code of an error that AWS answered, `404` and the like where it has no other."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(what: str, response: dict[str, Any]) -> MiraError:
    """An answer with an error status."""
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    code = str(error.get("Code"))
    said = f"{what}: {code}: {' '.join(str(error.get('Message')).split())}"
    if "Expired" in code:
        return OutsideError(f"{said}; renew the credentials")
    if int(meta.get("HTTPStatusCode") or 0) >= 500 or any(each in code for each in _PASSING):
        return OutsideError(f"{said}; try again later")
    return ConfigError(said)
