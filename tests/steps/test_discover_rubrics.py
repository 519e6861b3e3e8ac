"""A discovery that separates: planned, merged, piloted, resumable, and seen by no reader of rubrics
but for its slots.

The tests of this file build on one another, in the order written.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession, functions as F

from mira_spark.errors import ConfigError, JudgeError, MiraError
from mira_spark.judges.calls.pacing import JudgeUnavailable
from mira_spark.labels import call_estimates, planning
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.process.progress import console
from mira_spark.rubrics import signing
from mira_spark.settings.root import Settings
from mira_spark.steps import discover_rubrics
from tests import currently, discovery_lake
from tests.judge_faults import BY_KIND, Fault, always
from tests.judge_stub import JudgeStub, Schema, by_heuristic, code_of, document_inside, is_merge

WAYS = 3
DRILLED = 2
"""Instants that drills choose, after those that caps do."""
DRILLS = ("discovery.merged", "discovery.piloted", "judge_calls.appended")


def by_rewording(messages: Sequence[Any], schema: Schema) -> str:
    """The heuristic judge in words of its own, others for another document: `plain spelling`, `the
    plain spelling`, `plain spelling here`. Asked what is the same it knows."""
    code = code_of(messages)
    if is_merge(schema):
        listed = document_inside(messages[-1]["content"], code).split("\n")
        return merge_answer(code, [line.split(":")[0] for line in listed])
    prompt = messages[0]["content"]
    asked = json.loads(by_heuristic([{"content": plain(prompt)}, *messages[1:]], schema))
    way = hashlib.sha256(document_inside(messages[-1]["content"], code).encode()).digest()[0] % WAYS
    for each in asked.get("dimensions", ()):
        each["name"] = (each["name"], f"the {each['name']}", f"{each['name']} here")[way]
        each["reason"] = f"{' '.join(f'w{way}{i}' for i in range(30))}. {each['reason']}"
    return json.dumps(asked)


def plain(prompt: str) -> str:
    lines = [
        line.replace(". the ", ". ", 1).replace(" here: ", ": ", 1) for line in prompt.split("\n")
    ]
    return "\n".join(lines)


def merge_answer(code: str, names: Sequence[str]) -> str:
    kept: dict[str, str] = {}
    merges = []
    for name in names:
        same = name.removeprefix("the ").removesuffix(" here")
        if kept.setdefault(same, name) != name:
            merges.append({"name": name, "into": kept[same]})
    return json.dumps({"document": code, "merges": merges, "canary": 0})


@pytest.fixture(scope="module")
def stub() -> Iterator[JudgeStub]:
    with JudgeStub(by_rewording) as server:
        yield server


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    return discovery_lake.texts()


@pytest.fixture(scope="module")
def lake(spark: SparkSession, texts: dict[str, list[str]]) -> Iterator[Lakehouse]:
    with discovery_lake.open_lake(spark, "discovering", texts) as lake:
        yield lake


@pytest.fixture(scope="module")
def settings(
    lake: Lakehouse, stub: JudgeStub, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    return discovery_lake.settings_of(lake, tmp_path_factory.mktemp("discovering"), stub)


def discover(lake: Lakehouse, settings: Settings, run_id: str = "r") -> Outcome:
    with console.capture():
        return discover_rubrics.run(lake, settings, run_id)


def sections(settings: Settings) -> call_estimates.Sections:
    return call_estimates.Sections(
        settings.source_grouping, settings.discovery, settings.labelling, settings.judge
    )


def rubric_rows(lake: Lakehouse, settings: Settings, *status: str) -> list[Row]:
    (discovery_id,) = currently.discoveries(lake, settings).values()
    rows = lake.read("rubrics").filter(F.col("discovery_id") == discovery_id)
    rows = rows.filter(F.col("status").isin(list(status)))
    return rows.orderBy("slot").collect()


def test_the_plan_says_how_many_documents_are_shown_and_counts_all_calls(
    lake: Lakehouse, settings: Settings, stub: JudgeStub
) -> None:
    shown = planning.shown_rows(lake, sections(settings))
    assert shown == [("group_a", "docstring_qa", 20), ("group_a", "stdlib_code", 30)]
    estimates = planning.estimates(lake, sections(settings), [])
    planned = {e.kind: e.calls for e in estimates if e.kind != "labelling"}
    assert planned == {"discovery": 50, "merge": 1, "pilot": 31}
    done = discover(lake, settings)
    assert len(stub.calls) == 82
    assert done.message == (
        "1 rubrics from 50 documents, 0 found done; group_a is shown 20 of docstring_qa, 30 of "
        "stdlib_code"
    )
    purposes = lake.read("judge_calls").groupBy("purpose").count().collect()
    assert {row["purpose"]: row["count"] for row in purposes} == {
        "discover": 50, "merge": 1, "pilot": 31
    }  # fmt: skip


def test_the_slots_separate_and_the_candidates_say_why_they_are_none(
    lake: Lakehouse, settings: Settings
) -> None:
    slots, candidates = (
        rubric_rows(lake, settings, "approved"),
        rubric_rows(lake, settings, "candidate"),
    )
    assert [row["slot"] for row in slots] == list(range(len(slots)))
    assert 3 <= len(slots) <= 6
    assert candidates
    for row in slots:
        assert max(row["source_spreads"].values()) >= 0.5
        assert row["agreement"] == 1
        assert row["reason"] is None
    assert all(row["reason"] for row in candidates)
    bare = [row["name"].removeprefix("the ").removesuffix(" here") for row in (*slots, *candidates)]
    assert len(bare) == len(set(bare)), "what means the same is there once"
    assert any(row["merged"] for row in (*slots, *candidates))
    pilot = lake.read("pilot_labels").collect()
    assert len(pilot) == 24
    assert sum(row["reversed_scores"] is not None for row in pilot) == 7
    assert all(len(row["scores"]) == len(bare) for row in pilot)


def test_no_reader_of_rubrics_meets_a_candidate(lake: Lakehouse, settings: Settings) -> None:
    names = [row["name"] for row in rubric_rows(lake, settings, "approved")]
    rubric = currently.signed_rubrics(lake, settings)["group_a"]
    assert [anchor.name for anchor in rubric.anchors] == names
    text = signing.export(lake, currently.discoveries(lake, settings))
    left_out = {row["name"] for row in rubric_rows(lake, settings, "candidate")}
    assert not [name for name in left_out if f"name: {name}\n" in text]
    by_id = lake.read("rubrics").filter(F.col("rubric_id") == rubric.rubric_id)
    assert by_id.count() == len(names)
    assert signing.approve(lake, currently.discoveries(lake, settings), [], "Ada") == [
        f"group_a: {rubric.rubric_id} is approved by Ada"
    ]
    assert len(rubric_rows(lake, settings, "candidate")) == len(left_out)


def test_a_discovery_that_is_done_asks_nothing(
    lake: Lakehouse, settings: Settings, stub: JudgeStub
) -> None:
    asked = len(stub.calls)
    assert discover(lake, settings).message == "0 rubrics from 0 documents, 1 found done"
    assert len(stub.calls) == asked


def test_a_merge_that_invents_a_name_is_asked_again_and_then_left(
    lake: Lakehouse, settings: Settings, stub: JudgeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inventing(messages: Sequence[Any], schema: Schema) -> str:
        if not is_merge(schema):
            return by_rewording(messages, schema)
        merges = [{"name": "grace", "into": "charm"}]
        return json.dumps({"document": code_of(messages), "merges": merges, "canary": 0})

    monkeypatch.setattr(stub, "answer", inventing)
    other = settings.discovery.model_copy(update={"candidates": 15})
    done = discover(lake, settings.model_copy(update={"discovery": other}), "inventing")
    assert done.message.endswith(
        "; no dimensions of group_a were merged: 'grace' is none of the names that were given"
    )
    calls = lake.read("judge_calls").filter("run_id = 'inventing' AND purpose = 'merge'").collect()
    assert sorted((row["replicate"], row["outcome"]) for row in calls) == [
        (0, "invalid"), (2, "invalid")
    ]  # fmt: skip


def killed_runs(
    lake: Lakehouse, settings: Settings, seed: int, instants: int, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Run the step to its end, stopped at random instants before: by caps, which end a call, a
    merge or a pilot in the middle, then by drills between them. How often it was stopped."""
    chance, stops = random.Random(seed), 0
    for instant in range(instants):
        tree = settings.model_dump(mode="json")
        if instant < instants - DRILLED:
            tree["judge"]["budget"] = {"per_run": {"tokens": chance.randint(9_000, 18_000)}}
        else:
            monkeypatch.setenv("MIRA_FAILPOINTS", f"{chance.choice(DRILLS)}=raise")
        try:
            discover(lake, Settings.model_validate(tree), f"stopped {instant}")
        except (DrillError, MiraError):
            stops += 1
        monkeypatch.delenv("MIRA_FAILPOINTS", raising=False)
    discover(lake, settings, "last")
    return stops


@pytest.mark.long
@pytest.mark.parametrize(
    ("seed", "instants"),
    [(3, 4), *((seed, 7) for seed in range(10))],
)
def test_stopped_anywhere_it_asks_nothing_twice_and_comes_to_the_same_rubric(
    spark: SparkSession,
    lake: Lakehouse,
    settings: Settings,
    texts: dict[str, list[str]],
    stub: JudgeStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    instants: int,
) -> None:
    whole = what_decides(rubric_rows(lake, settings, "approved", "candidate"))
    asked = len(stub.calls)
    with discovery_lake.open_lake(spark, "stopped", texts) as other:
        mine = discovery_lake.settings_of(other, tmp_path, stub)
        assert killed_runs(other, mine, seed, instants, monkeypatch) >= instants - DRILLED
        assert what_decides(rubric_rows(other, mine, "approved", "candidate")) == whole
    keys = [call.key for call in stub.calls[asked:]]
    assert len(keys) == len(set(keys)) == 82, "nothing was asked twice"


def what_decides(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    columns = ("rubric_id", "slot", "name", "definition", "merged", "spread", "item_rest", "reason")
    return [tuple(row[column] for column in columns) for row in rows]


def test_a_judge_without_schemas_ends_the_step_before_anything_is_spent(
    lake: Lakehouse, settings: Settings, stub: JudgeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub, "faults", always(BY_KIND["status_400"]))
    tree = settings.model_dump(mode="json")
    tree["judge"] |= {"model": "old", "prices": {"old": discovery_lake.PRICE}}
    with pytest.raises(JudgeUnavailable, match=r"5 in a row with status 400: injected status_400;"):
        discover(lake, Settings.model_validate(tree), "old")
    calls = lake.read("judge_calls").filter("run_id = 'old'")
    assert calls.filter("cost_usd > 0 OR purpose != 'discover'").count() == 0


def test_documents_that_are_shown_shorter_are_counted(
    lake: Lakehouse, settings: Settings, stub: JudgeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing_long_prompts(number: int, body: bytes) -> Fault | None:
        return too_long if len(body) > 12_000 else None

    too_long = Fault("too_long", "retried", 400, body=lambda whole, key: b"prompt is too long")
    monkeypatch.setattr(stub, "faults", refusing_long_prompts)
    tree = settings.model_dump(mode="json")
    tree["judge"] |= {"model": "small", "prices": {"small": discovery_lake.PRICE}}
    tree["discovery"] |= {"selection": "paper"}
    said = discover(lake, Settings.model_validate(tree), "small").message
    calls = lake.read("judge_calls").filter("run_id = 'small'")
    n = calls.filter("outcome = 'too_long'").count()
    assert n > 0
    assert said.endswith(
        f"{n} of group_a too long for the judge and asked about with a shorter excerpt: see "
        "judge.window_tokens"
    )


def test_a_rubric_file_may_be_the_only_input_of_a_group(
    spark: SparkSession, stub: JudgeStub, texts: dict[str, list[str]], tmp_path: Path
) -> None:
    asked = len(stub.calls)
    dimensions = "".join(
        f"  - {{name: {name}, definition: The text is {name}.}}\n"
        for name in ("clear", "deep", "new")
    )
    written = f"rubrics:\n- group: group_a\n  dimensions:\n{dimensions}"
    with discovery_lake.open_lake(spark, "imported", texts) as own:
        mine = discovery_lake.settings_of(own, tmp_path, stub)
        discoveries = currently.discoveries(own, mine)
        with pytest.raises(ConfigError, match=r"line 5: taste: is not a key that belongs here"):
            signing.import_drafts(
                own, discoveries, written.replace("deep,", "deep, taste: 3,"), "r"
            )
        signing.import_drafts(own, discoveries, written, "r")
        assert discover(own, mine).message == "0 rubrics from 0 documents, 1 found done"
        signing.approve(own, discoveries, [], "Ada")
        signed = currently.signed_rubrics(own, mine)["group_a"]
        assert [anchor.name for anchor in signed.anchors] == ["clear", "deep", "new"]
    assert len(stub.calls) == asked


def test_fewer_dimensions_than_a_rubric_needs_end_the_step_before_the_pilot(
    lake: Lakehouse, settings: Settings, stub: JudgeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(messages: Sequence[Any], schema: Schema) -> str:
        rows = [{"name": n, "score": 5, "reason": f"It is {n}."} for n in ("clear", "deep")]
        return json.dumps({"document": code_of(messages), "dimensions": rows, "canary": 0})

    monkeypatch.setattr(stub, "answer", two)
    tree = settings.model_dump(mode="json")
    tree["judge"] |= {"model": "two", "prices": {"two": discovery_lake.PRICE}}
    with pytest.raises(JudgeError, match=r"group_a: the judge named 2 dimensions that can be used"):
        discover(lake, Settings.model_validate(tree), "two")
    assert not lake.read("judge_calls").filter("run_id = 'two' AND purpose != 'discover'").count()
