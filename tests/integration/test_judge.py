"""Discovery and labelling by a judge behind HTTP: planned, signed, bounded, paid once.

The tests of this file build on one another, in the order written, and on the first run's documents.
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.errors import ConfigError, InputError, JudgeError, UnsignedError
from mira_spark.judges.calls.pacing import JudgeUnavailable
from mira_spark.judges.calls.spending import CapReached
from mira_spark.labels import call_estimates, forms, label_rows, planning, questions
from mira_spark.labels.canaries import JudgeDrift
from mira_spark.labels.checks import parse
from mira_spark.labels.verdict import verdicts
from mira_spark.lake.runs import Outcome
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.process.progress import console
from mira_spark.rubrics import signing
from mira_spark.settings.root import Settings, load
from mira_spark.steps import discover_rubrics, group_sources, label_documents
from tests import currently
from tests.judge_faults import BY_KIND, Fault, always
from tests.judge_stub import JudgeStub, by_heuristic

KEY = "sk-canary-0123456789abcdef"
LABELS = 15
MODEL = "tests-judge"
PRICE = {"input": 1, "cached_input": 0.1, "output": 4, "read_on": str(date(2026, 1, 1))}


@pytest.fixture(scope="module")
def stub() -> Iterator[JudgeStub]:
    with JudgeStub(by_heuristic) as server:
        yield server


@pytest.fixture(autouse=True)
def faultless(stub: JudgeStub) -> Iterator[None]:
    """What one test makes the judge do ends with it, passed or not."""
    yield
    stub.faults = None


@pytest.fixture(scope="module")
def base(
    lake: Lakehouse,
    settings: Settings,
    stub: JudgeStub,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[str]:
    sources = [r["source"] for r in lake.read("documents").select("source").distinct().collect()]
    journal = tmp_path_factory.mktemp("judged") / "judge.sqlite"
    judge = {
        "kind": "openai",
        "model": MODEL,
        "url": stub.url,
        "hosts": ["127.0.0.1"],
        "secret": "env:MIRA_TEST_KEY",
        "prices": {MODEL: PRICE},
        "journal": str(journal),
        "pacing": {"base_s": 0.0},
    }
    tree = settings.model_dump(mode="json") | {"judge": judge}
    return [
        *(f"{section}={json.dumps(values)}" for section, values in tree.items()),
        f"grouping.mapping={json.dumps(dict.fromkeys(sources, 'group_a'))}",
        "discovery.documents_per_group=30",
        "discovery.require_approval=true",
        f"labelling.documents_per_source={LABELS}",
    ]


@pytest.fixture
def judged(base: list[str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MIRA_TEST_KEY", KEY)
    return load(None, base)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, settings: Settings, first_run: str) -> Lakehouse:
    return Lakehouse(spark, settings.namespace)


def with_judge(judged: Settings, **changes: object) -> Settings:
    tree = judged.model_dump(mode="json")
    judge = tree["judge"] | changes
    return load(None, [f"{k}={json.dumps(v)}" for k, v in (tree | {"judge": judge}).items()])


def plan_sections(judged: Settings) -> call_estimates.Sections:
    by = judged.source_grouping
    return call_estimates.Sections(by, judged.discovery, judged.labelling, judged.judge)


def estimates(lake: Lakehouse, judged: Settings) -> list[call_estimates.CallEstimate]:
    """As `mira plan` has them."""
    sections = plan_sections(judged)
    return planning.estimates(lake, sections, planning.label_rows(lake, sections))


def label(lake: Lakehouse, judged: Settings, run_id: str) -> Outcome:
    """The step alone, without the record of runs."""
    with console.capture():
        return label_documents.run(lake, judged, run_id)


def n_sources(lake: Lakehouse) -> int:
    return lake.read("documents").select("source").distinct().count()


def planned_labels(lake: Lakehouse, judged: Settings) -> int:
    """As `mira plan` says: of equal texts one."""
    return sum(row.planned for row in planning.label_rows(lake, plan_sections(judged)))


def labels_of(lake: Lakehouse, judged: Settings) -> DataFrame:
    ids = currently.labelling_ids(judged, currently.signed_rubrics(lake, judged))
    of_labelling = F.col("labelling_id").isin(list(ids.values()))
    return lake.read("labels").filter(of_labelling & F.col("spoilt").isNull())


def test_a_model_without_a_price_is_refused_before_anything_is_sent(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    group_sources.run(lake, judged, "grouped")
    with pytest.raises(ConfigError, match=r"judge\.prices: no price for the model 'tests-judge'"):
        pipeline.perform(lake, with_judge(judged, prices={}), "r", ["discover_rubrics"])
    assert not stub.calls


def test_the_plan_counts_the_calls_that_discovery_then_makes(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    planned = [e for e in estimates(lake, judged) if e.kind == "discovery"]
    assert [e.source_group for e in planned] == ["group_a"]
    assert all(e.dollars(caching=True) < e.dollars(caching=False) for e in planned)
    with console.capture():
        assert discover_rubrics.run(lake, judged, "discovery").status == "done"
    assert len(stub.calls) == sum(e.calls for e in planned)
    tokens = (
        lake.read("judge_calls")
        .filter("run_id = 'discovery'")
        .agg(F.sum("input_tokens"))
        .collect()[0][0]
    )
    assert 0.5 < sum(e.input_tokens for e in planned) / tokens < 2


def test_labelling_waits_for_a_signature(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    asked = len(stub.calls)
    with pytest.raises(UnsignedError, match="group_a: its rubric waits to be signed") as waiting:
        pipeline.perform(lake, judged, "r", ["label_documents"])
    assert waiting.value.exit_code == 4
    assert "sign it with mira rubrics approve --by NAME" in str(waiting.value)
    assert len(stub.calls) == asked


def test_what_a_person_edits_and_signs_is_what_is_labelled(
    lake: Lakehouse, judged: Settings
) -> None:
    text = signing.export(lake, currently.discoveries(lake, judged))
    assert text == signing.export(lake, currently.discoveries(lake, judged))
    edited = yaml.safe_load(text)
    group_a = edited["rubrics"][0]
    group_a["dimensions"] = group_a["dimensions"][1:][::-1]
    (again,) = signing.import_drafts(lake, currently.discoveries(lake, judged), text, "same")
    assert again.endswith("is there already, draft")
    (said,) = signing.import_drafts(
        lake, currently.discoveries(lake, judged), yaml.safe_dump(edited), "edit"
    )
    assert "is a draft of" in said
    draft = said.split()[1]
    with pytest.raises(InputError, match=r"group_a: which one is signed, of \w+, \w+\?"):
        signing.approve(lake, currently.discoveries(lake, judged), [], "Ada")
    assert signing.approve(lake, currently.discoveries(lake, judged), [draft], "Ada") == [
        f"group_a: {draft} is approved by Ada"
    ]
    signed = currently.signed_rubrics(lake, judged)["group_a"]
    names = [d["name"] for d in group_a["dimensions"]]
    assert [a.name for a in signed.anchors] == names
    assert [a.slot for a in signed.anchors] == list(range(len(names)))


def test_the_budget_stops_the_labelling_which_then_goes_on(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    asked = len(stub.calls)
    capped = with_judge(judged, budget={"per_run": {"usd": "0.09"}})
    with pytest.raises(CapReached, match=r"judge\.budget\.per_run\.usd is reached"):
        pipeline.perform(lake, capped, "capped", ["label_documents"])
    calls = lake.read("judge_calls").filter("run_id = 'capped'")
    spent, rows = calls.agg(F.sum("cost_usd"), F.count("*")).collect()[0]
    assert 0 < spent <= 0.09
    assert 0 < rows == len(stub.calls) - asked, "what was answered is kept"
    states = lake.read("runs").filter("run_id = 'capped'").collect()
    assert {row["status"] for row in states} == {"running", "stopped"}
    planned = sum(e.calls for e in estimates(lake, judged))
    assert label(lake, judged, "whole").status == "done"
    keys = [call.key for call in stub.calls]
    assert len(keys) == len(set(keys)), "nothing was asked twice"
    again = len(stub.calls) - asked - rows
    assert 0.8 * planned <= again <= 1.2 * planned
    assert 0.9 * n_sources(lake) * LABELS <= planned_labels(lake, judged)
    assert labels_of(lake, judged).count() == planned_labels(lake, judged)


def test_the_labels_are_those_of_the_heuristic_judge_itself(
    lake: Lakehouse, judged: Settings
) -> None:
    signed = currently.signed_rubrics(lake, judged)
    labels = labels_of(lake, judged).collect()
    heuristic = with_judge(judged, kind="heuristic").judge
    form = forms.open_form(lake, heuristic, "labelling", generation=0)
    shown = questions.with_excerpts(lake.read("documents"), 1_000)
    documents = {row["doc_id"]: row for row in shown.collect()}
    for label in labels:
        rubric = signed[label["source_group"]]
        request = questions.request(
            documents[label["doc_id"]], form, "label", label["source_group"], rubric
        )
        answer = asyncio.run(form.judge.ask(request))
        own = parse(request, answer.raw_response or "")
        assert (own.scores, own.reasons) == (label["scores"], label["reasons"])
        again = [s for s in (label["repeat_scores"], label["reversed_scores"]) if s is not None]
        assert all(scores == own.scores for scores in again)
    assert sum(label["reversed_scores"] is not None for label in labels) > 10


def test_agreement_is_in_a_table(lake: Lakehouse, judged: Settings) -> None:
    ids = currently.labelling_ids(judged, currently.signed_rubrics(lake, judged))
    of_labelling = F.col("labelling_id").isin(list(ids.values()))
    rows = lake.read("judge_agreement").filter(of_labelling).collect()
    slots = sum(len(r.anchors) for r in currently.signed_rubrics(lake, judged).values())
    of_reversed = [row for row in rows if row["kind"] == "reversed"]
    assert len(of_reversed) == slots
    assert all(row["mae"] in (0.0, None) and row["shift"] in (0.0, None) for row in rows)
    assert {row["kappa"] for row in rows} <= {1.0, None}


def test_other_weights_are_labelled_without_a_call(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    before, n_labels = (
        currently.signed_rubrics(lake, judged)["group_a"],
        planned_labels(lake, judged),
    )
    counted, asked = lake.read("judge_calls").count(), len(stub.calls)
    edited = yaml.safe_load(signing.export(lake, currently.discoveries(lake, judged)))
    first, second, *_ = edited["rubrics"][0]["dimensions"]
    first["weight"], second["weight"] = 2.5, 0
    discoveries = currently.discoveries(lake, judged)
    (said,) = signing.import_drafts(lake, discoveries, yaml.safe_dump(edited), "weights")
    signing.approve(lake, discoveries, [said.split()[1]], "Ada")
    rubric = currently.signed_rubrics(lake, judged)["group_a"]
    assert rubric.rubric_id != before.rubric_id == rubric.anchors_id
    assert rubric.weights == (2_500, 0, *before.weights[2:])
    planned = [e for e in estimates(lake, judged) if e.kind == "labelling"]
    assert [e.calls for e in planned] == [0]
    assert label(lake, judged, "weights").status == "done"
    assert len(stub.calls) == asked
    assert lake.read("judge_calls").count() == counted
    labels = labels_of(lake, judged).collect()
    assert len(labels) == len({row["doc_id"] for row in labels}) == n_labels
    scores = np.array([row["scores"] for row in labels], dtype=np.float64)
    expected = verdicts(scores, [row["source"] for row in labels], rubric.weights)
    assert [row["verdict"] for row in labels] == [None if v != v else v for v in expected]
    of_labelling = F.col("labelling_id") == labels[0]["labelling_id"]
    points = lake.read("label_points").filter(of_labelling).select("doc_id", "verdict").distinct()
    assert {tuple(row) for row in points.collect()} == {
        (row["doc_id"], row["verdict"]) for row in labels
    }
    earlier = lake.read("labels").filter(F.col("rubric_id") == before.rubric_id).collect()
    scores = np.array([row["scores"] for row in earlier], dtype=np.float64)
    expected = verdicts(scores, [row["source"] for row in earlier], before.weights)
    assert [row["verdict"] for row in earlier] == [None if v != v else v for v in expected]


@pytest.mark.long
def test_a_judge_that_changed_is_stopped_and_a_new_generation_starts_anew(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    chosen = judged.labelling.model_copy(update={"documents_per_source": LABELS + 3})
    larger = judged.model_copy(update={"labelling": chosen})
    before = lake.version("labels")
    another = Fault("another", "answered", envelope=lambda e: e | {"model": "another-model"})
    stub.faults = always(another)
    with pytest.raises(JudgeDrift, match="group_a: another-model answers where tests-judge"):
        label(lake, larger, "drift")
    assert lake.version("labels") == before, "nothing was labelled"
    stub.faults = None
    assert label(lake, larger, "larger").status == "done"
    assert labels_of(lake, larger).count() == planned_labels(lake, larger)
    assert planned_labels(lake, larger) > planned_labels(lake, judged)


def test_what_failed_is_asked_again_only_on_request(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    chosen = judged.labelling.model_copy(update={"generation": 1, "canaries": 0})
    chosen = chosen.model_copy(update={"documents_per_source": 5, "reversed_documents": 0})
    anew = judged.model_copy(update={"labelling": chosen})
    stub.faults = lambda number, body: BY_KIND["status_400"] if number % 2 else None
    assert pipeline.perform(lake, anew, "failing", ["label_documents"]) == 3
    stub.faults = None
    asked = len(stub.calls)
    assert pipeline.perform(lake, anew, "idle", ["label_documents"]) == 3
    assert len(stub.calls) == asked
    assert label(lake, anew, "retry").status == "done"
    assert labels_of(lake, anew).count() == planned_labels(lake, anew)


def test_a_server_that_takes_no_call_stops_the_step_with_what_it_said(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    chosen = judged.labelling.model_copy(update={"generation": 3, "canaries": 0})
    anew = judged.model_copy(update={"labelling": chosen})
    stub.faults = always(BY_KIND["status_400"])
    asked = len(stub.calls)
    with pytest.raises(JudgeUnavailable, match=r"5 in a row with status 400: injected status_400;"):
        label(lake, anew, "no call")
    stub.faults = None
    assert len(stub.calls) - asked < 10


def test_a_step_that_can_use_no_answer_says_what_the_answers_were(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    patient = with_judge(judged, unreadable_in_a_row=1_000, reasks=0)
    chosen = patient.labelling.model_copy(
        update={"generation": 4, "canaries": 0, "documents_per_source": 1, "repeat_share": 0.0,
                "reversed_documents": 0}
    )  # fmt: skip
    n = n_sources(lake)
    stub.faults = always(BY_KIND["html_200"])
    line = f"group_a: no answer could be used, {n} of {n}: a page of HTML in place of an answer; it"
    with pytest.raises(JudgeError, match=line):
        label(lake, patient.model_copy(update={"labelling": chosen}), "page")
    # Another model has answered nothing yet, whatever the sample.
    other = {"model": "page", "prices": {"page": PRICE}}
    patient = with_judge(judged, unreadable_in_a_row=1_000, reasks=0, **other)
    few = patient.discovery.model_copy(update={"seed": 9, "documents_per_group": n})
    with pytest.raises(JudgeError, match=line), console.capture():
        discover_rubrics.run(lake, patient.model_copy(update={"discovery": few}), "page")
    impatient = with_judge(judged, **other)
    asked = len(stub.calls)
    many = impatient.discovery.model_copy(update={"seed": 10})
    with pytest.raises(JudgeUnavailable, match=r"^20 answers in a row"), console.capture():
        discover_rubrics.run(lake, impatient.model_copy(update={"discovery": many}), "page")
    stub.faults = None
    assert len(stub.calls) - asked < 60


@pytest.mark.long
def test_labels_whose_commit_was_not_heard_of_are_there_once(
    lake: Lakehouse, judged: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"generation": 5, "canaries": 0, "documents_per_source": 5, "spoilt_share": 0.0}
    chosen = judged.labelling.model_copy(update=changes)
    anew = judged.model_copy(update={"labelling": chosen})
    monkeypatch.setattr(label_rows, "CHUNK_ROWS", 8)
    monkeypatch.setenv("MIRA_FAILPOINTS", "labels.appended=raise")
    with pytest.raises(DrillError):
        label(lake, anew, "unheard")
    monkeypatch.delenv("MIRA_FAILPOINTS")
    assert labels_of(lake, anew).count() == 8
    label(lake, anew, "again")
    ids = [row["doc_id"] for row in labels_of(lake, anew).collect()]
    assert len(ids) == len(set(ids)) == planned_labels(lake, anew)


def test_a_key_that_is_refused_stops_at_once_and_is_never_written(
    lake: Lakehouse, judged: Settings, stub: JudgeStub
) -> None:
    chosen = judged.labelling.model_copy(update={"generation": 2, "canaries": 0})
    anew = judged.model_copy(update={"labelling": chosen})
    stub.faults = always(BY_KIND["status_401"])
    asked = len(stub.calls)
    with pytest.raises(JudgeUnavailable, match="401"):
        label(lake, anew, "refused")
    stub.faults = None
    assert len(stub.calls) - asked <= 5


def test_the_key_is_in_no_file_and_no_row(lake: Lakehouse, judged: Settings, home: Path) -> None:
    """After all of the above: tables, journal, MLflow, logs."""
    forms = [KEY, base64.b64encode(KEY.encode()).decode(), quote(KEY, safe="")]
    folders = (home, Path(str(judged.judge.journal)).parent)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    # Spark's blocks and Derby's pages come and go meanwhile.
    files = [path for path in files if not {"spark", "metastore"} & set(path.parts)]
    assert any(path.name == "judge.sqlite" for path in files)
    assert any(path.name == "spark.log" for path in files)
    rows = {table: repr(lake.read(table).drop("text").collect()) for table in TABLES}
    assert "tests-judge" in rows["judge_calls"]
    for form in forms:
        assert [path for path in files if form.encode() in path.read_bytes()] == []
        assert [table for table, text in rows.items() if form in text] == []


@pytest.mark.long
def test_the_whole_pipeline_with_this_judge_ends_with_the_same_labels(
    spark: SparkSession,
    first_run: str,
    settings: Settings,
    base: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MIRA_TEST_KEY", KEY)
    tree = settings.model_dump(mode="json")
    judge = next(each for each in base if each.startswith("judge="))
    changed = [f"{k}={json.dumps(v)}" for k, v in tree.items() if k not in ("judge", "namespace")]
    judged_whole = load(None, [*changed, "namespace=whole_judged", judge])
    assert pipeline.perform(Lakehouse(spark, "whole_judged"), judged_whole, "whole") == 0
    columns = ["doc_id", "source", "scores", "reasons", "repeat_scores", "set_aside"]
    both = [labels_of(Lakehouse(spark, each.namespace), each) for each in (settings, judged_whole)]
    first, second = (labels.select(columns).orderBy("doc_id").collect() for labels in both)
    assert first
    assert first == second
    spark.sql("DROP SCHEMA whole_judged CASCADE")
