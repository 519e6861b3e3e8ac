"""Keys of judges: where they are read, and how they are kept out of everything written."""

import base64
import json
import logging
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn
from urllib.parse import quote, quote_plus

from mira_spark.errors import ConfigError

FORMS = "env:NAME, databricks:SCOPE/KEY, or none for a server without a key"
IN_PLACE = "[secret]"
_REFERENCE = re.compile(r"none|env:[A-Za-z_][A-Za-z0-9_]*|databricks:[^\s/:]+/[^\s/]+")
_SHORTEST = 8
"""Characters below which a word is no secret, and would be struck out of honest text."""


class Secret:
    """A key that goes only where `reveal` is called: it has no text, no copy and no pickle."""

    __slots__ = ("_forms", "_key")

    def __init__(self, key: str) -> None:
        self._key = key
        self._forms = [form for form in _forms(key) if len(form) >= _SHORTEST]

    def reveal(self) -> str:
        """The key itself, for the one place that sends it."""
        return self._key

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither copied nor pickled")


def is_reference(text: str) -> bool:
    """Whether the text is of the form that `read` takes."""
    return _REFERENCE.fullmatch(text) is not None


def read(reference: str, environment: Mapping[str, str]) -> Secret:
    """The key that a setting refers to; ConfigError when it is not there.

    `none` gives the word itself, which a server without a key ignores.
    """
    if not is_reference(reference):
        raise ConfigError(f"secret: should be {FORMS}; never the key itself")
    kind, _, name = reference.partition(":")
    if kind == "none":
        return Secret(kind)
    if kind == "databricks":
        found = _of_databricks(*name.split("/"))
    else:
        found = environment.get(name, "").strip()
    if not found:
        raise ConfigError(f"secret: {reference} is not set; it should hold the judge's key")
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise ConfigError(f"secret: {reference} holds characters that a key cannot have")
    return Secret(found)


def scrubbed(text: str, secrets: Iterable[Secret]) -> str:
    """The text with every secret struck out: as it is, in base64, in hex and encoded for URLs.

    What is shorter than eight characters is taken for no secret.
    """
    for secret in secrets:
        for form in secret._forms:
            text = text.replace(form, IN_PLACE)
    return text


def quieten(*libraries: str) -> None:
    """Keep libraries from logging below WARNING: at DEBUG they write headers and prompts."""
    for name in libraries:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def _forms(key: str) -> list[str]:
    """How a key may be echoed, longest first.

    Within a longer text base64 has three forms, by the place where the key begins; the characters
    that its neighbours share in are left out.
    """
    raw = key.encode()
    found = {key, json.dumps(key)[1:-1], quote(key, safe=""), quote(key), quote_plus(key)}
    encoded = {base64.b64encode(raw).decode()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode()
        encoded.add(text[(0, 2, 3)[before] : 4 * (before + len(raw)) // 3])
    found |= encoded | {text.replace("+", "-").replace("/", "_") for text in encoded}
    return sorted({*found, raw.hex()}, key=len, reverse=True)


def _of_databricks(scope: str, key: str) -> str:
    try:
        from databricks.sdk.runtime import dbutils

        found = dbutils.secrets.get(scope, key)
    except Exception as error:
        # Each platform raises its own; their texts may hold more than the name.
        raise ConfigError(
            f"secret: databricks:{scope}/{key} cannot be read here ({type(error).__name__}); "
            "grant READ on the scope, or use env:NAME outside Databricks"
        ) from None
    return str(found or "").strip()
