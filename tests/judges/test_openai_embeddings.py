"""The embeddings endpoint against a real server on loopback: what is sent, what is read of it."""

import asyncio
import json
import struct
from base64 import b64encode
from typing import Any

import numpy as np
import pytest

from mira_spark.errors import ConfigError
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.openai_embeddings import OpenAIEmbeddings, parse_vector
from mira_spark.judges.protocol import Answer, CallFailed, Request
from mira_spark.settings.embedder import EmbedderSettings
from tests.judge_faults import Fault, always
from tests.judge_stub import JudgeStub, by_words

KEY = "sk-canary-A1b2C3d4E5f6G7h8"
TEXT = "some words of a text"


def settings(stub: JudgeStub, **changes: Any) -> EmbedderSettings:
    given = {"kind": "openai", "model": "m-1", "url": stub.url, "hosts": ("127.0.0.1",)}
    return EmbedderSettings(**(given | changes))


def ask(stub: JudgeStub, **changes: Any) -> Answer:
    async def whole() -> Answer:
        server = OpenAIEmbeddings(settings(stub, **changes), Secret(KEY))
        try:
            return await server.ask(
                Request("the key", "embed", "", "", TEXT, (), (("input", TEXT),))
            )
        finally:
            await server.close()

    return asyncio.run(whole())


@pytest.mark.parametrize("knows_base64", [True, False])
def test_a_text_is_sent_once_and_its_vector_is_read_in_either_form(knows_base64: bool) -> None:
    bodies: list[dict[str, Any]] = []
    with JudgeStub(faults=lambda number, body: bodies.append(json.loads(body))) as stub:
        stub.knows_base64 = knows_base64
        answer = ask(stub, dimensions=32)
        assert stub.headers["authorization"] == f"Bearer {KEY}"
        assert stub.headers["x-client-request-id"] == "the key"
    assert bodies == [
        {"model": "m-1", "input": TEXT, "encoding_format": "base64", "dimensions": 32}
    ]
    np.testing.assert_array_equal(parse_vector(answer.raw_response or ""), by_words(TEXT))
    assert (answer.input_tokens, answer.output_tokens, answer.model) == (len(TEXT) // 4 + 1, 0,
                                                                         "m-1")  # fmt: skip


def test_a_size_that_is_not_set_is_not_sent() -> None:
    bodies: list[dict[str, Any]] = []
    with JudgeStub(faults=lambda number, body: bodies.append(json.loads(body))) as stub:
        ask(stub)
    assert "dimensions" not in bodies[0]


def test_a_status_and_an_error_in_the_place_of_data_fail_without_the_key() -> None:
    with JudgeStub(faults=always(Fault("status_429", "retried", 429))) as stub:
        with pytest.raises(CallFailed, match="status 429: injected status_429") as caught:
            ask(stub)
        assert caught.value.status == 429
        error = {"error": {"message": f"no such model for {KEY}"}}
        stub.faults = always(Fault("error", "retried", envelope=lambda envelope: error))
        with pytest.raises(CallFailed) as caught:
            ask(stub)
    assert str(caught.value) == "status 200 without data: no such model for [secret]"
    assert caught.value.lost


def of(embedding: object) -> str:
    return json.dumps({"data": [{"embedding": embedding}]})


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("<html>", "a body that is no JSON object, or not all of it"),
        ("{}", "no vectors for one text"),
        ('{"data": []}', "0 vectors for one text"),
        (json.dumps({"data": [{"embedding": [1]}] * 2}), "2 vectors for one text"),
        (of(None), "a vector that is no list of numbers"),
        (of([1.0, True]), "a vector that is no list of numbers"),
        (of([1.0, "2"]), "a vector that is no list of numbers"),
        (of([]), "a vector without numbers"),
        (of([1.0, float("nan")]), "a vector with a number that is not finite"),
        (of([1e300]), "a vector with a number that is not finite"),
        (of(b64encode(struct.pack("<2f", 1, float("inf"))).decode()),
         "a vector with a number that is not finite"),
        (of("abc"), "a vector that is no base64 of 32-bit numbers"),
        (of(b64encode(b"abc").decode()), "a vector that is no base64 of 32-bit numbers"),
        ('{"data": [7]}', "a vector that is no list of numbers"),
    ],
)  # fmt: skip
def test_a_vector_that_cannot_be_used_is_told_as_what_it_is(body: str, what: str) -> None:
    with pytest.raises(ValueError, match="^" + what + "$"):
        parse_vector(body)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"kind": "encoder"}, "model: is needed with kind: encoder, a folder or a hub id"),
        (
            {"kind": "openai"},
            "model: is needed with kind: openai\n"
            "url: is needed with kind: openai, usually ending in /v1",
        ),
        ({"url": "https://a.example/v1"}, "url: host a.example is not in hosts (none)"),
        ({"secret": KEY}, "never the key itself"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="1 validation error") as caught:
        EmbedderSettings(**given)
    assert problem in str(caught.value)


def test_without_a_model_nothing_is_opened() -> None:
    with pytest.raises(ConfigError, match=r"embedder\.model and embedder\.url: are needed"):
        OpenAIEmbeddings(EmbedderSettings(), Secret(KEY))
