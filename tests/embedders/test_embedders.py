"""Embedders as the steps use them, over real tables and a server on loopback: nothing is embedded
again or leaves that may not, and a server that cannot be used is told at once."""

import ast
import bisect
import calendar
import colorsys
import copy
import fnmatch
import hashlib
import heapq
import json
import shutil
import string
import textwrap
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from mira_spark.corpus.embedding import unit_vectors
from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.embedders import cost
from mira_spark.embedders.opening import FIRST_TEXT, check_embedder, open_embedder
from mira_spark.embedders.stored import text_hash
from mira_spark.errors import ArtefactError, ConfigError, InputError, JudgeError
from mira_spark.judges.calls.spending import CapReached
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.settings.root import Settings
from mira_spark.steps import discover_rubrics, group_sources
from tests.encoders import an_encoder
from tests.judge_faults import Fault, always
from tests.judge_stub import JudgeStub, by_words, text_code

MODEL = "words-32"
KEY = "sk-canary-0123456789abcdef"
MODULES = (ast, bisect, calendar, colorsys, copy, fnmatch, heapq, shutil, string, textwrap)
TABLES = ("documents", "embeddings", "judge_calls", "source_groups")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeStub]:
    monkeypatch.setenv("MIRA_TEST_KEY", KEY)
    with JudgeStub() as server:
        yield server


@pytest.fixture
def made(lake: Lakehouse) -> Lakehouse:
    create_tables(lake, TABLES)
    return lake


def settings(folder: Path, stub: JudgeStub, **changes: Any) -> Settings:
    """Sources are grouped by the stub's endpoint."""
    price = {"input": 1, "output": 0, "read_on": "2026-01-01"}
    tree: dict[str, Any] = {
        "folder": str(folder),
        "embedder": {
            "kind": "openai", "model": MODEL, "url": stub.url, "hosts": ["127.0.0.1"],
            "secret": "env:MIRA_TEST_KEY",
        },
        "judge": {"prices": {MODEL: price}, "pacing": {"base_s": 0.0}},
    }  # fmt: skip
    for section, values in changes.items():
        tree[section] = tree.get(section, {}) | values
    return Settings.model_validate(tree)


def embedded(lake: Lakehouse, chosen: Settings, texts: list[str]) -> np.ndarray[Any, Any]:
    sections = (chosen.embedder, chosen.judge, chosen.folder)
    with open_embedder(lake, *sections, "run") as embedder:
        return embedder(texts)


def add_documents(lake: Lakehouse, texts: dict[str, list[str]], **more: Any) -> None:
    rows = [
        {
            "doc_id": text_hash(f"{source} {text}").hex(), "source": source, "text": text,
            "n_bytes": len(text), "n_tokens": len(text) // 4, "content_hash": text_hash(text),
            "bucket": 0, "domain": None, "license": "MIT", "sendable": True, "repaired": False,
            "metadata": {}, "ingested_at": datetime.now(UTC), **more,
        }
        for source, each in texts.items()
        for text in each
    ]  # fmt: skip
    lake.append_rows(rows, "documents", "ingest")


def asked(stub: JudgeStub) -> Counter[str]:
    """How often each text arrived, by its code."""
    return Counter(call.code for call in stub.calls)


@pytest.mark.long
def test_two_thousand_texts_are_each_asked_once_however_often_the_run_is_cut(
    made: Lakehouse, stub: JudgeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"document {i} about {i % 37} things" for i in range(2_000)]
    tight = {"budget": {"per_run": {"tokens": 8_000}}}
    with pytest.raises(CapReached, match=r"judge\.budget\.per_run\.tokens is reached"):
        embedded(made, settings(tmp_path, stub, judge=tight), texts)
    assert 100 < len(stub.calls) < 1_900
    whole = settings(tmp_path, stub)
    for place in ("judge_calls.appended", "embeddings.appended"):
        monkeypatch.setenv("MIRA_FAILPOINTS", f"{place}=raise")
        with pytest.raises(DrillError):
            embedded(made, whole, texts)
        monkeypatch.delenv("MIRA_FAILPOINTS")
    vectors = embedded(made, whole, texts)
    expected = unit_vectors(np.array([by_words(text) for text in texts], np.float32))
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert asked(stub) == Counter([text_code(text) for text in [FIRST_TEXT, *texts]])
    again = embedded(made, whole, texts)
    assert again.tobytes() == vectors.tobytes()
    assert len(stub.calls) == 2_001
    rows = made.read("embeddings").groupBy("embedder", "text_hash").count().collect()
    assert {row["count"] for row in rows} == {1}
    calls = made.read("judge_calls").collect()
    assert {(c["purpose"], c["outcome"], c["judge"]) for c in calls} == {
        ("embed", "answered", f"openai:{MODEL}")
    }
    assert len(calls) == 2_001
    tokens = sum(len(text) // 4 + 1 for text in [FIRST_TEXT, *texts])
    assert sum(c["input_tokens"] for c in calls) == tokens
    assert sum(c["cost_usd"] for c in calls) * 1_000_000 == tokens


def test_an_endpoint_that_answers_wrongly_is_told_at_the_first_text(
    made: Lakehouse, stub: JudgeStub, tmp_path: Path
) -> None:
    chosen = settings(tmp_path, stub)
    two = {"data": [{"embedding": [1.0]}] * 2}
    stub.faults = always(Fault("two", "invalid", envelope=lambda envelope: envelope | two))
    with pytest.raises(JudgeError, match="1 of 1 texts have no vector; 1 of 1: 2 vectors for one"):
        embedded(made, chosen, ["a text"])
    assert asked(stub) == {text_code(FIRST_TEXT): 1}, "nothing else was asked"
    assert made.read("embeddings").count() == 0
    stub.faults = None
    assert embedded(made, chosen, ["a text"]).shape == (1, 32)
    assert asked(stub) == {text_code(FIRST_TEXT): 2, text_code("a text"): 1}
    stub.vector = lambda text: by_words(text)[:16]
    with pytest.raises(JudgeError, match="a vector of 16 numbers, should be 32"):
        embedded(made, chosen, ["another text"])
    said = json.dumps([row.asDict() for row in made.read("judge_calls").collect()], default=str)
    assert KEY not in said


CODE = [f"def f{i}(x): return x + {i}" for i in range(6)]
PROSE = [f"the cat sat on the mat {i} times" for i in range(6)]
CHAT = [f"user: how are you {i}? assistant: fine" for i in range(6)]


def test_sources_are_grouped_by_the_endpoint_once_and_what_may_not_leave_stays(
    made: Lakehouse, stub: JudgeStub, tmp_path: Path
) -> None:
    add_documents(made, {"code": CODE, "prose": PROSE})
    add_documents(made, {"code": ["secret of code"]}, sendable=False)
    add_documents(made, {"prose": ["prose under another licence"]}, license="GPL")
    chosen = settings(tmp_path, stub, judge={"licenses": ["MIT"]})
    planned = cost.grouping_estimate(made, chosen.source_grouping, chosen.judge)
    tokens = sum(len(text) for text in [*CODE, *PROSE]) // 4
    assert planned == ("grouping", 12, tokens, Decimal(tokens) / 1_000_000)
    assert not stub.calls, "a plan sends nothing"
    group_sources.run(made, chosen, "one")
    assert cost.grouping_estimate(made, chosen.source_grouping, chosen.judge)[1:] == (0, 0, 0)
    discovery = cost.discovery_estimate(chosen.source_grouping, chosen.judge, 100)
    assert discovery == ("discovery", 1_500, 67_500, Decimal("0.0675"))
    assert asked(stub) == Counter(text_code(text) for text in [FIRST_TEXT, *CODE, *PROSE])
    assert set(source_groups(made, chosen.source_grouping)) == {"code", "prose"}
    hashed = Settings.model_validate({"folder": str(tmp_path)})
    with pytest.raises(InputError, match="run mira group-sources first"):
        source_groups(made, hashed.source_grouping)
    group_sources.run(made, hashed, "two")
    by = [current_grouping_id(made, each.source_grouping) for each in (chosen, hashed)]
    assert by[0] != by[1] == "471e6e605f30c0e4"
    before = len(stub.calls)
    add_documents(made, {"chat": CHAT})
    group_sources.run(made, chosen, "three")
    assert asked(stub) == Counter(text_code(text) for text in [FIRST_TEXT, *CODE, *PROSE, *CHAT])
    assert len(stub.calls) == before + len(CHAT)
    add_documents(made, {"closed": ["closed text"]}, sendable=False)
    with pytest.raises(InputError) as caught:
        group_sources.run(made, chosen, "four")
    assert str(caught.value) == (
        "embedder: nothing of closed may be sent (sendable is false, or the licence is not in "
        "judge.licenses); use embedder.kind hashing or encoder, or leave the source out"
    )
    assert len(stub.calls) == before + len(CHAT)


@pytest.mark.long
def test_a_discovery_embeds_what_its_judge_named_beside_it_and_once(
    made: Lakehouse, stub: JudgeStub, tmp_path: Path
) -> None:
    create_tables(made, ("judgement_points", "rubrics"))
    modules = [Path(module.__file__).read_text()[:4_000] for module in MODULES]
    add_documents(made, {"code": modules[1:]})
    add_documents(made, {"code": modules[:1]}, sendable=False)
    chosen = settings(tmp_path, stub)
    group_sources.run(made, chosen, "one")
    grouped = len(stub.calls)
    discover_rubrics.run(made, chosen, "two")
    points = made.read("judgement_points").collect()
    assert {point["doc_id"] for point in points} == {
        row["doc_id"] for row in made.read("documents").filter("sendable").collect()
    }
    texts = {f"{p['name']}. {p['name']}. {p['reason']}" for p in points}
    assert Counter(call.code for call in stub.calls[grouped:]) == Counter(map(text_code, texts))
    assert made.read("rubrics").count() >= 3
    again = settings(tmp_path, stub, discovery={"seed": 0, "dimensions": 5})
    before = len(stub.calls)
    discover_rubrics.run(made, again, "three")
    assert len(stub.calls) == before
    purposes = {row["purpose"] for row in made.read("judge_calls").collect()}
    assert purposes == {"discover", "embed"}


def test_an_encoder_groups_once_and_is_needed_only_to_embed(
    made: Lakehouse, tmp_path: Path
) -> None:
    add_documents(made, {"code": CODE, "prose": PROSE})
    folder = an_encoder(tmp_path / "encoder", [*CODE, *PROSE])
    tree = {"embedder": {"kind": "encoder", "model": str(folder)}, "folder": str(tmp_path)}
    chosen = Settings.model_validate(tree)
    with pytest.raises(InputError, match="run mira group-sources first"):
        source_groups(made, chosen.source_grouping)
    inputs = group_sources.inputs(made, chosen)
    group_sources.run(made, chosen, "one")
    first = current_grouping_id(made, chosen.source_grouping)
    assert made.read("embeddings").count() == len({*CODE, *PROSE})
    version = made.version("embeddings")
    group_sources.run(made, chosen, "two")
    assert made.version("embeddings") == version
    shutil.move(folder, tmp_path / "elsewhere")
    assert current_grouping_id(made, chosen.source_grouping) == first
    assert set(source_groups(made, chosen.source_grouping)) == {"code", "prose"}
    tokenizer = tmp_path / "elsewhere" / "tokenizer.json"
    changed = json.loads(tokenizer.read_text())
    tokenizer.write_text(json.dumps(changed, indent=1))
    shutil.move(tmp_path / "elsewhere", folder)
    assert group_sources.inputs(made, chosen)["embedder"] != inputs["embedder"]
    group_sources.run(made, chosen, "three")
    assert current_grouping_id(made, chosen.source_grouping) != first
    assert made.read("embeddings").count() == 2 * len({*CODE, *PROSE})


def test_a_folder_that_is_no_encoder_is_refused_before_anything_is_done(
    made: Lakehouse, stub: JudgeStub, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    chosen = settings(tmp_path, stub, embedder={"kind": "encoder", "model": str(empty)})
    with pytest.raises(InputError) as caught:
        check_embedder(chosen.embedder, chosen.judge)
    assert str(caught.value) == (
        f"embedder.model: {empty} holds no config.json, no tokenizer.json, no *.safetensors; it "
        "should be the folder of an encoder, or a hub id"
    )
    causal = an_encoder(tmp_path / "causal", CODE)
    config = json.loads((causal / "config.json").read_text())
    (causal / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    chosen = settings(tmp_path, stub, embedder={"kind": "encoder", "model": str(causal)})
    with pytest.raises(ArtefactError, match="model_type is 'gpt2', expected one of bert, "):
        embedded(made, chosen, ["a text"])
    unpriced = settings(tmp_path, stub, judge={"prices": {}})
    with pytest.raises(ConfigError, match=f"no price for the model '{MODEL}'"):
        check_embedder(unpriced.embedder, unpriced.judge)
    assert not stub.calls
    assert made.read("embeddings").count() == 0


def test_the_text_hash_is_the_begin_of_its_digest(spark: SparkSession) -> None:
    row = spark.sql("SELECT unhex(substring(sha2('a text', 256), 1, 32)) AS hash").collect()[0]
    assert bytes(row["hash"]) == text_hash("a text") == hashlib.sha256(b"a text").digest()[:16]
