"""What was revoked or withdrawn reaches no judge and teaches no student.

The tests of this file build on one another, in the order written.
"""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.judges import defence
from mira_spark.labels import desks, forms, questions, usable_labels
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.settings.root import Settings, load
from mira_spark.steps import distill_students
from tests import currently
from tests.judge_stub import JudgeStub, by_heuristic

SOURCE = "type_stubs"
DOCUMENTS, REVOKED = 200, 180
MODEL = "tests-judge"
PRICE = {"input": 1, "cached_input": 0.1, "output": 4, "read_on": str(date(2026, 1, 1))}


@pytest.fixture(scope="module")
def rows(files: Path) -> list[dict[str, object]]:
    found = [
        json.loads(line) | {"may": True}
        for name in ("stdlib_code", "type_stubs")
        for line in (files / f"{name}.json").read_text().splitlines()
    ]
    by_text = {row["text"]: row | {"source": SOURCE} for row in found}
    assert len(by_text) > DOCUMENTS
    return list(by_text.values())[:DOCUMENTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("revoked")


@pytest.fixture(scope="module")
def stub() -> Iterator[JudgeStub]:
    with JudgeStub(by_heuristic) as server:
        yield server


@pytest.fixture(scope="module")
def lake(spark: SparkSession) -> Iterator[Lakehouse]:
    yield Lakehouse(spark, "revoked")
    spark.sql("DROP SCHEMA revoked CASCADE")


@pytest.fixture
def settings(
    lake: Lakehouse, folder: Path, home: Path, stub: JudgeStub, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setenv("MIRA_TEST_KEY", "sk-canary")
    judge = {
        "kind": "openai", "model": MODEL, "url": stub.url, "hosts": ["127.0.0.1"],
        "secret": "env:MIRA_TEST_KEY", "prices": {MODEL: PRICE}, "pacing": {"base_s": 0.0},
        "journal": str(folder / "judge.sqlite"),
    }  # fmt: skip
    columns = {"doc_id": "id", "domain": "domain", "sendable": "may"}
    corpus = {"input": "json", "path": str(folder / "in"), "columns": columns}
    sections = {"judge": judge, "corpus": corpus, "labelling": {"documents_per_source": 1_000}}
    return load(
        None,
        [
            f"namespace={lake.namespace}",
            f"folder={home}",
            *(f"{name}={json.dumps(section)}" for name, section in sections.items()),
            "discovery.documents_per_group=30",
        ],
    )


def write(folder: Path, rows: list[dict[str, object]]) -> None:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / "rows.json").write_text("\n".join(json.dumps(row) for row in rows))


def perform(lake: Lakehouse, settings: Settings, *steps: str, force: bool = False) -> str:
    with console.capture() as output:
        code = pipeline.perform(lake, settings, "run", steps, force)
    assert code in (0, 3), output.get()
    return output.get()


def codes(lake: Lakehouse, rows: list[dict[str, object]]) -> set[str]:
    """The boundaries that the judge is shown these documents within."""
    salt = bytes.fromhex(lake.properties("judge_calls")[forms.SALT])
    ids = [row["id"] for row in rows]
    shown = questions.with_excerpts(lake.read("documents").filter(F.col("doc_id").isin(ids)), 1_000)
    texts = [defence.normalised(row["document"]) for row in shown.collect()]
    return {defence.boundary(text, salt) for text in texts}


@pytest.mark.parametrize("forced", [False, pytest.param(True, marks=pytest.mark.long)])
def test_no_request_names_a_document_that_was_revoked(
    lake: Lakehouse, settings: Settings, stub: JudgeStub, folder: Path,
    rows: list[dict[str, object]], forced: bool,
) -> None:  # fmt: skip
    write(folder, rows)
    steps = ("ingest_corpus", "group_sources", "discover_rubrics", "label_documents")
    perform(lake, settings, *steps)
    labels = lake.read("labels").collect()
    assert sum(row["reversed_scores"] is not None for row in labels) in range(30, 71), (
        "fifty of the documents that there are, not of those configured"
    )
    asked = len(stub.calls)
    revoked = codes(lake, rows[:REVOKED])
    assert {call.code for call in stub.calls} & revoked
    write(folder, [row | {"may": place >= REVOKED} for place, row in enumerate(rows)])
    assert f"0 new and {REVOKED} changed documents" in perform(lake, settings, "ingest_corpus")
    chosen = settings.labelling.model_copy(update={"generation": 1})
    anew = settings.model_copy(update={"labelling": chosen})
    perform(lake, anew, "label_documents")
    if forced:
        perform(lake, anew, "label_documents", force=True)
        again = anew.model_copy(update={"judge": desks.with_another_asking(lake, anew.judge)})
        perform(lake, again, "label_documents", force=True)
    again = stub.calls[asked:]
    assert len(again) > DOCUMENTS - REVOKED
    assert not {call.code for call in again} & revoked


def test_a_withdrawn_document_teaches_no_student_and_is_in_no_view(
    lake: Lakehouse, settings: Settings, folder: Path, rows: list[dict[str, object]]
) -> None:
    ids = currently.labelling_ids(settings, currently.signed_rubrics(lake, settings))
    (group,) = ids
    before = distill_students.inputs(lake, settings)
    count = usable_labels.counts(lake, ids)[group]
    corpus = settings.corpus.model_copy(update={"removed": "withdraw"})
    withdrawing = settings.model_copy(update={"corpus": corpus})
    write(folder, rows[5:])
    said = perform(lake, withdrawing, "ingest_corpus")
    assert "5 no longer in the input: withdrawn" in said.replace("\n", " ")
    now = distill_students.inputs(lake, settings)
    assert now != before
    assert now[f"labels of {group}"].endswith(", 5 withdrawn")
    assert usable_labels.counts(lake, ids)[group] == count - 5
    gone = F.col("doc_id").isin([row["id"] for row in rows[:5]])
    for view in ("corpus", "label_points"):
        assert lake.read(view).filter(gone).isEmpty()
    write(folder, rows)
    perform(lake, withdrawing, "ingest_corpus")
    assert distill_students.inputs(lake, settings) == before, "its labels count again"
