"""The judge against llama.cpp's own server, whose model has random weights: what it makes of our
schemas, parameters and prompts, and how it refuses."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mira_spark.judges.calls import openai_sdk
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.openai_compatible import OpenAIJudge
from mira_spark.judges.protocol import Answer, CallFailed, PromptTooLong
from mira_spark.judges.reading import content, parse_discovery, parse_labels
from tests.judges.test_openai_compatible import ANCHORS, ask, failure, request, settings
from tests.llama_server import LlamaServer

CONTEXT = 8_192


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with LlamaServer(tmp_path_factory.mktemp("llama"), CONTEXT) as started:
        yield started


def judge(server: LlamaServer, **changes: Any) -> OpenAIJudge:
    given = {"temperature": 1.0, "max_output_tokens": 4_000, "timeout_s": 120}
    return OpenAIJudge(settings(server.url, **(given | changes)), Secret("none"))


@pytest.mark.parametrize("seed", range(1, 6))
def test_random_weights_under_our_schema_label_with_json_of_the_form_asked(
    server: LlamaServer, seed: int
) -> None:
    text = content(ask(judge(server, seed=seed), request()).raw_response or "")
    answer = json.loads(text)
    assert list(answer) == ["document", "answers", "canary"]
    assert type(answer["canary"]) is int
    for row in answer["answers"]:
        assert list(row) == ["slot", "score", "reason"]
        assert row["slot"] in range(len(ANCHORS))
        assert row["score"] in (None, *range(11))
    with pytest.raises(ValueError, match=r"is about document .*, asked was '0a1b2c3d'"):
        parse_labels(text, "0a1b2c3d", range(len(ANCHORS)))


@pytest.mark.parametrize("seed", range(1, 4))
def test_and_discover_with_json_of_the_form_asked(server: LlamaServer, seed: int) -> None:
    text = content(ask(judge(server, seed=seed), request(anchors=())).raw_response or "")
    answer = json.loads(text)
    assert list(answer) == ["document", "dimensions", "canary"]
    assert all(list(row) == ["name", "score", "reason"] for row in answer["dimensions"])
    assert all(row["score"] in range(11) for row in answer["dimensions"])
    with pytest.raises(ValueError, match="is about document"):
        parse_discovery(text, "0a1b2c3d")


def test_without_a_schema_it_answers_with_some_json_object(server: LlamaServer) -> None:
    answer = ask(judge(server, answer_format="json_object", seed=1), request())
    assert isinstance(json.loads(content(answer.raw_response or "")), dict)


def test_what_it_counts_is_read_and_its_cache_is_seen(server: LlamaServer) -> None:
    first: Answer = ask(judge(server, seed=1), request("ffff0000"))
    prompt = sum(len(text.encode()) for _, text in request("ffff0000").messages)
    assert 0.9 * prompt <= first.input_tokens <= prompt + 64, "a token is a byte, nearly"
    assert first.output_tokens >= len(content(first.raw_response or "").encode())
    second = ask(judge(server, seed=1), request("ffff0001"))
    assert 0.9 * prompt < second.cached_input_tokens < second.input_tokens


def test_an_answer_longer_than_may_be_is_read_as_cut_short(server: LlamaServer) -> None:
    answer = ask(judge(server, seed=1, max_output_tokens=20), request())
    assert answer.output_tokens == 20
    assert json.loads(answer.raw_response or "")["choices"][0]["finish_reason"] == "length"


def test_a_prompt_beyond_its_context_is_refused_as_too_long(server: LlamaServer) -> None:
    long = replace(request(), messages=(("user", "word " * 2_000),))
    found = failure(judge(server), long)
    assert isinstance(found, PromptTooLong)
    assert (found.status, found.lost) == (400, False)
    assert "exceeds the available context size (8192 tokens)" in str(found)


def test_where_its_reader_gives_up_on_what_the_grammar_let_pass_it_answers_500(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Weights that say bytes which are no UTF-8."""
    with LlamaServer(tmp_path_factory.mktemp("bytes"), CONTEXT, plain=False) as server:
        found = failure(judge(server, seed=1), request())
    assert type(found) is CallFailed
    assert (found.status, found.lost) == (500, False)
    assert "The model produced output that does not match the expected" in str(found)


def test_its_embeddings_come_through_the_sdk_with_our_headers_alone(server: LlamaServer) -> None:
    texts = ["layout of sections", "factual density", "layout of sections"]
    first, other, same = np.array(asyncio.run(_embeddings(server.url, texts)))
    assert first.shape == (32,)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-3)
    assert first == pytest.approx(same, abs=1e-5)
    assert first @ other < 0.999


async def _embeddings(url: str, texts: Sequence[str]) -> list[list[float]]:
    sdk = openai_sdk.load("this test")
    http = openai_sdk.http(sdk)
    transport = openai_sdk.with_own_headers(http.AsyncHTTPTransport(), Secret("none"))
    async with http.AsyncClient(transport=transport, timeout=60) as client:
        server = sdk.AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=client)
        found = await server.embeddings.create(model="random", input=list(texts))
    return [each.embedding for each in found.data]
