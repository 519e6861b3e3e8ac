"""Keys of judges: where they are read, and how they are kept out of everything written."""

import base64
import logging
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn

from mira_spark.errors import ConfigError
from mira_spark.settings.secrets import FORMS, is_reference

IN_PLACE = "[secret]"
# Any number of backslashes is one: JSON within JSON doubles them.
_ESCAPE = re.compile(
    r"(?<!\\)\\++(?:u00(?P<code>[0-7][0-9a-fA-F])|(?P<sign>/)|)"
    r"|%(?:25)*(?P<percent>[0-7][0-9a-fA-F])"
)
_LAYERS = 4
_HIDING = re.compile(r"\\(?:u00|/)|%[0-7]")
"""What escapes of a key's characters have; a key has no quotes and no backslashes."""
_SHORTEST = 8
"""Characters below which a word is no secret, and would be struck out of honest text."""


class Secret:
    """A key that goes only where `reveal` is called: it has no text, no copy and no pickle."""

    __slots__ = ("_forms", "_key")

    def __init__(self, key: str) -> None:
        self._key = key
        forms = [form for form in _forms(key) if len(form) >= _SHORTEST]
        self._forms = [(form, _unescaped(form)[0]) for form in forms]

    def reveal(self) -> str:
        """The key itself, for the one place that sends it."""
        return self._key

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither copied nor pickled")


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
        key = _of_databricks(*name.split("/"))
    else:
        key = environment.get(name, "").strip()
    if not key:
        hint = f": export {name}=KEY" if kind == "env" else ""
        raise ConfigError(f"secret: {reference} is not set; it should hold the judge's key{hint}")
    if not (key.isascii() and key.isprintable()) or set(key) & set(' "\\'):
        raise ConfigError(
            f"secret: {reference} holds characters that a key cannot have: spaces, quotes, or "
            "what is not ASCII"
        )
    return Secret(key)


def scrubbed(text: str, secrets: Iterable[Secret]) -> str:
    """The text with every secret struck out: as it is, in base64 or in hex, its characters as they
    are or escaped as in JSON or URLs, each in its own way and more than once.

    What is shorter than eight characters is taken for no secret.
    """
    held = [pair for secret in secrets for pair in secret._forms]
    if _HIDING.search(text):
        text = _struck_out(text, [form for _, form in held])
    for form, _ in held:
        text = text.replace(form, IN_PLACE)
    return text


def _struck_out(text: str, forms: Iterable[str]) -> str:
    """The text without what reads as one of the forms when all is unescaped."""
    plain, _ = _unescaped(text)
    for form in forms:
        while (at := plain.find(form)) >= 0:
            _, ends = _unescaped(text, with_ends=True)
            start = ends[at - 1] if at else 0
            text = text[:start] + IN_PLACE + text[ends[at + len(form) - 1] :]
            plain, _ = _unescaped(text)
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
    encoded = {base64.b64encode(raw).decode()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode()
        encoded.add(text[(0, 2, 3)[before] : 4 * (before + len(raw)) // 3])
    encoded |= {text.replace("+", "-").replace("/", "_") for text in encoded}
    return sorted({*encoded, key, raw.hex(), raw.hex().upper()}, key=len, reverse=True)


def _unescaped(text: str, with_ends: bool = False) -> tuple[str, list[int]]:
    """The text with every escape of JSON and URLs undone, as often as it was made; with where in
    the text each character ends."""
    ends = list(range(1, len(text) + 1)) if with_ends else []
    for _ in range(_LAYERS):
        if with_ends:
            plain, at = list[int](), 0
            for match in _ESCAPE.finditer(text):
                plain += [*ends[at : match.start()], ends[match.end() - 1]]
                at = match.end()
            ends = plain + ends[at:]
        before, text = text, _ESCAPE.sub(_character, text)
        if text == before:
            break
    return text, ends


def _character(escape: re.Match[str]) -> str:
    code = escape["code"] or escape["percent"]
    return chr(int(code, 16)) if code else escape["sign"] or "\\"


def _of_databricks(scope: str, key: str) -> str:
    try:
        from databricks.sdk.runtime import dbutils

        value = dbutils.secrets.get(scope, key)
    except Exception as error:
        # Each platform raises its own; their texts may hold more than the name.
        raise ConfigError(
            f"secret: databricks:{scope}/{key} cannot be read here ({type(error).__name__}); "
            "grant READ on the scope, or use env:NAME outside Databricks"
        ) from None
    return str(value or "").strip()
