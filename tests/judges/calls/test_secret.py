"""A key goes only where it is sent: no text, copy, pickle or message ever holds it."""

import base64
import copy
import io
import itertools
import json
import logging
import pickle
import re
import sys
import traceback
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.errors import ConfigError
from mira_spark.judges.calls.secret import IN_PLACE, Secret, quieten, read, scrubbed
from mira_spark.settings.secrets import is_reference

KEYS = ("sk-proj-A1b2C3d4E5f6G7", "dapi0123456789abcdef", "p/w+q=r&s_t~u.v-x:y%41z")


@pytest.mark.parametrize("key", KEYS)
def test_a_secret_shows_itself_to_who_asks_for_it_alone(key: str) -> None:
    secret = Secret(key)
    assert secret.reveal() == key
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", "%s" % secret]  # noqa: UP031
    shown += [json.dumps(secret, default=str), repr([secret]), str({"key": secret})]
    assert not any(key in text or key[:6] in text for text in shown)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="neither copied nor pickled"):
        pickle.dumps({"held": [Secret(KEYS[0])]}, protocol)


def test_a_secret_is_not_copied_written_or_looked_into() -> None:
    for work in (copy.copy, copy.deepcopy, json.dumps, vars):
        with pytest.raises(TypeError):
            work(Secret(KEYS[0]))


def test_a_traceback_with_a_secret_at_hand_does_not_hold_it() -> None:
    secret = Secret(KEYS[0])
    try:
        raise ValueError(f"could not use {secret}", secret)
    except ValueError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
        text = "".join(lines)
    assert "Secret(...)" in text
    assert KEYS[0] not in text


def test_a_key_is_read_from_the_environment() -> None:
    assert read("env:JUDGE_KEY", {"JUDGE_KEY": f" {KEYS[0]}\n"}).reveal() == KEYS[0]
    assert read("none", {}).reveal() == "none"


@pytest.mark.parametrize("environment", [{}, {"JUDGE_KEY": ""}, {"JUDGE_KEY": " \n"}])
def test_a_key_that_is_missing_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="env:JUDGE_KEY is not set"):
        read("env:JUDGE_KEY", environment)


@pytest.mark.parametrize(
    "key",
    [
        "sk-one\nsk-two",
        "sk-\u00e9t\u00e9-12345",
        "sk one 23",
        "a\x00b",
        'sk-"one"23',
        "sk-\\\\one23",
    ],
)
def test_a_key_that_no_header_can_hold_is_refused_unseen(key: str) -> None:
    with pytest.raises(ConfigError, match="env:K holds characters") as caught:
        read("env:K", {"K": key})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "reference",
    [*KEYS, f"env:{KEYS[0]}", f"env:{KEYS[1]}", "env:sk_live_4242", "env:judge_key",
     "env:AKIAIOSFODNN7EXAMPLE", "", "env:", "env:1A", "env:A B", "ENV:A", "none:", "databricks:",
     "databricks:scope", "databricks:/key", "databricks:scope/", "databricks:a/b/c", "vault:a/b"],
)  # fmt: skip
def test_what_is_no_reference_is_refused_unseen(reference: str) -> None:
    assert not is_reference(reference)
    with pytest.raises(ConfigError, match="never the key itself") as caught:
        read(reference, {"1A": "x", "A B": "x"})
    assert not any(key in str(caught.value) for key in KEYS)


def runtime(get: Any) -> ModuleType:
    """What Databricks puts in the place of the module."""
    module = ModuleType("databricks.sdk.runtime")
    module.dbutils = SimpleNamespace(secrets=SimpleNamespace(get=get))  # type: ignore[attr-defined]
    return module


def test_a_key_is_read_from_a_databricks_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"openai": KEYS[0], "blank": " ", "none": None}
    module = runtime(lambda scope, key: held[key] if scope == "judges" else KEYS[1])
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", module)
    assert read("databricks:judges/openai", {}).reveal() == KEYS[0]
    for key in ("blank", "none"):
        with pytest.raises(ConfigError, match=f"databricks:judges/{key} is not set"):
            read(f"databricks:judges/{key}", {})


def test_a_scope_that_cannot_be_read_says_so_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(scope: str, key: str) -> str:
        raise RuntimeError(f"denied with token {KEYS[1]}")

    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", runtime(get))
    with pytest.raises(ConfigError, match="databricks:judges/openai cannot be read") as caught:
        read("databricks:judges/openai", {})
    assert KEYS[1] not in "".join(traceback.format_exception(caught.value))


def encodings(key: str) -> list[str]:
    """A key as a server may echo it, alone and within a header."""
    raw = key.encode()
    headers = [b"Bearer " + raw, b"Authorization: Bearer " + raw + b"\r\n", raw + b"!", b"xx" + raw]
    return [
        key,
        quote(key, safe=""),
        quote_plus(key),
        f"https://evil.example/?k={quote(key)}",
        raw.hex(),
        json.dumps({"key": key}),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        *(base64.b64encode(header).decode() for header in headers),
        *(base64.urlsafe_b64encode(header).decode() for header in headers),
    ]


def readings(text: str) -> list[bytes]:
    """What somebody could make of a text, or of a word in it."""
    found = [text.encode(), unquote_to_bytes(text)]
    for word in re.findall(r"[A-Za-z0-9+/_-]+", text):
        plain = word.replace("-", "+").replace("_", "/")
        found += [base64.b64decode(plain[i:] + "==="[: -len(plain[i:]) % 4]) for i in range(4)
                  if len(plain[i:]) % 4 != 1]  # fmt: skip
        found.append(bytes.fromhex("".join(re.findall(r"[0-9a-f]{2}", word))))
    return found


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_struck_out_of_any_text_in_any_encoding(key: str) -> None:
    pieces = [key.encode()[i : i + 6] for i in range(len(key) - 5)]
    others = [Secret(other) for other in KEYS if other != key]
    for echoed in encodings(key):
        assert any(key.encode() in reading for reading in readings(echoed))
        text = scrubbed(f"error: {echoed} was wrong", [*others, Secret(key)])
        assert text.startswith("error: ")
        assert text.endswith(" was wrong")
        assert not any(piece in reading for piece in pieces for reading in readings(text)), text


def mixed(key: str, ways: list[str]) -> str:
    """The key with each character written in its own way."""
    written = ""
    for character, way in zip(key, itertools.cycle(ways), strict=False):
        code = f"{ord(character):02x}"
        code = code.upper() if way.isupper() else code
        written += {"json": f"\\u00{code}", "url": f"%{code}", "twice": f"%25{code}",
                    "short": f"\\{character}" if character == "/" else character,
                    "plain": character}[way.lower()]  # fmt: skip
    return written


@settings(max_examples=500)
@given(
    st.text("".join(map(chr, range(33, 127))).translate({34: None, 92: None}), min_size=8),
    st.lists(
        st.sampled_from(["json", "JSON", "url", "URL", "twice", "TWICE", "short", "plain"]),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.sampled_from(["json", "url"]), max_size=2),
    st.sampled_from(["key", "base64", "base64 for URLs", "hex"]),
)
def test_a_key_is_struck_out_however_each_of_its_characters_is_escaped(
    key: str, ways: list[str], around: list[str], form: str
) -> None:
    raw = key.encode()
    shown = {"key": key, "base64": base64.b64encode(raw).decode(), "hex": raw.hex(),
             "base64 for URLs": base64.urlsafe_b64encode(raw).decode()}[form]  # fmt: skip
    echoed = mixed(shown, ways)
    for level in around:
        echoed = json.dumps(echoed)[1:-1] if level == "json" else quote(echoed, safe="")
    text = "The key 'x/y' of \\n 50 % \\\\ is"
    assert scrubbed(f"{text} {echoed} {text}", [Secret(key)]) == f"{text} {IN_PLACE} {text}"


@given(st.text(alphabet='\\u0%25/"aA4 1Fk-'))
def test_text_that_only_looks_like_escapes_is_left_as_it_is(text: str) -> None:
    assert scrubbed(text, [Secret("zz-key-of-the-house-zz")]) == text


def test_text_without_a_key_is_left_as_it_is() -> None:
    text = json.dumps({"document": "0a1b2c3d", "answers": [{"reason": "none, EMPTY or sk-"}]})
    assert scrubbed(text, [Secret(key) for key in (*KEYS, "none", "EMPTY", "sk-")]) == text
    assert scrubbed(text, []) == text


def test_quiet_libraries_say_warnings_and_worse() -> None:
    root, library = logging.getLogger(), logging.getLogger("some_library.http")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    before = root.level
    try:
        quieten("some_library")
        root.setLevel(logging.DEBUG)
        library.debug("Authorization: Bearer %s", KEYS[0])
        library.info("POST")
        library.warning("slow")
        logging.getLogger("some_library").setLevel(logging.ERROR)
        quieten("some_library")
        library.warning("slower")
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
    assert stream.getvalue() == "slow\n"
