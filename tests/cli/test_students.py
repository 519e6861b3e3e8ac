"""`mira students noise`: what is spoilt, recorded and printed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from mira_spark.cli import main
from mira_spark.corpus import grouping
from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.scoring import noise
from mira_spark.scoring.scorer import load_student
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.root import Settings
from tests import scoring_lake
from tests.scoring_lake import NOW, document
from tests.spoilable_texts import TEXTS

CORPUS = {
    "web": TEXTS["prose"] + TEXTS["question_answer"],
    "code": TEXTS["code"],
    "tables": TEXTS["data"],
    "talk": TEXTS["dialogue"],
}
"""`tables` is of a group without a champion; all of `talk` has labels."""
KINDS = {
    "web": {"words_shuffled", "answers_swapped", "boilerplate_instead"},
    "code": {"identifiers_scrambled", "brackets_dropped", "boilerplate_instead"},
}
LABELLED = {*(f"talk {n}" for n in range(12)), "web 0", "web 1"}


@pytest.fixture(scope="module")
def settings(
    spark: object, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    lake = Lakehouse(spark, "students_noise")  # type: ignore[arg-type]
    lake.spark.sql(f"CREATE SCHEMA {lake.namespace}")
    chosen = scoring_lake.prepared(lake, home, tmp_path_factory.mktemp("noise"), {})
    create_tables(lake, ["labels"])
    rows = [
        document(f"{source} {place}", text, place) | {"source": source}
        for source, texts in CORPUS.items()
        for place, text in enumerate(texts)
    ]
    long = document("long", "words " * noise.MAX_BYTES) | {"source": "web"}
    lake.append_rows([*rows, long], "documents", "r")
    labels = [
        {"doc_id": row["doc_id"], "content_hash": row["content_hash"], "source": row["source"],
         "source_group": "group_a", "rubric_id": "r", "labelling_id": "l", "judge": "j",
         "scores": [1, 2, 3], "reasons": [""] * 3, "unseen_share": 0.0,
         "call_key": row["doc_id"]}
        for row in rows if row["doc_id"] in LABELLED
    ]  # fmt: skip
    lake.append_rows(labels, "labels", "r")
    groups = [
        {"grouping_id": grouping.grouping_id(chosen.grouping), "source": source,
         "source_group": group, "embedding": [1.0], "documents": 1, "tokens": 1, "sampled": 1,
         "created_at": NOW}
        for source, group in (("code", "group_a"), ("talk", "group_a"), ("tables", "group_b"))
    ]  # fmt: skip
    lake.append_rows(groups, "source_groups", "r")
    yield chosen
    lake.spark.sql(f"DROP SCHEMA {lake.namespace} CASCADE")


@pytest.fixture
def planted(settings: Settings, spark: object) -> Lakehouse:
    return Lakehouse(spark, settings.namespace)  # type: ignore[arg-type]


def run(settings: Settings, home: Path, *options: str) -> str:
    chosen = {
        "namespace": settings.namespace,
        "folder": home,
        "registry.tracking_uri": settings.student_registry.settings.tracking_uri,
        "registry.prefix": settings.student_registry.settings.prefix,
    }
    given = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    with console.capture() as capture:
        main.app(["students", "noise", *given, *options], standalone_mode=False)
    return capture.get()


def test_documents_without_a_label_are_spoilt_and_what_was_found_is_recorded(
    planted: Lakehouse, settings: Settings, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(settings, home, "--run-id", "first")
    scorer = champion_scorers(planted, settings.student_registry, ["group_a"])["group_a"]
    rows = planted.read("noise_checks").collect()
    assert {(row["student_id"], row["run_id"]) for row in rows} == {(scorer.student_id, "first")}
    student, manifest = load_student(scorer)
    checks = noise.student_checks(planted, student, manifest, {"web", "code", "talk"})
    names = ("source", "kind", "pairs", "auc", "auc_low", "auc_high")
    stored = {tuple(row[name] for name in names) for row in rows}
    foreign = noise._foreign_texts(planted, {"web", "code", "talk"})
    assert sorted(foreign) == sorted(CORPUS["tables"]), "of the other groups' sources"
    assert stored == {
        (c.source, c.kind, c.pairs, c.auc.value, c.auc.low, c.auc.high) for c in checks
    }
    always = {"all", "cut_and_repeated", "foreign_text"}
    for source, kinds in KINDS.items():
        assert {row["kind"] for row in rows if row["source"] == source} == always | kinds
    pairs = {(row["source"], row["kind"]): row["pairs"] for row in rows}
    assert pairs["web", "words_shuffled"] == len(CORPUS["web"]) - 2, "two have labels, one is long"
    assert pairs["code", "identifiers_scrambled"] == 12
    assert {row["source"] for row in rows} == {None, "web", "code"}
    assert (
        "group_a: no document without a label of 100 characters to 100,000 bytes in talk: "
        "not checked" in printed
    )
    assert f"group_a: {scorer.student_id}, documents above their spoilt copies" in printed
    for row in rows:
        assert f"{row['auc']:.3f}" in printed
    capsys.readouterr()
    run(settings, home, "--run-id", "first", "--json")
    answer = json.loads(capsys.readouterr().out)
    (checked,) = answer["students"]
    assert (answer["run_id"], checked["student_id"]) == ("first", scorer.student_id)
    assert {(c["source"], c["kind"], c["pairs"], c["auc"]["value"]) for c in checked["checks"]} == {
        row[:4] for row in stored
    }


def test_rows_of_a_student_are_replaced_and_documents_of_a_source_are_as_many_as_asked_for(
    planted: Lakehouse, settings: Settings, home: Path
) -> None:
    run(settings, home, "--group", "group_a", "--documents", "5", "--run-id", "second")
    rows = planted.read("noise_checks").collect()
    assert {row["run_id"] for row in rows} == {"second"}
    found = {row["source"]: row["pairs"] for row in rows if row["kind"] == "cut_and_repeated"}
    assert found == {None: 10, "web": 5, "code": 5}


def test_what_cannot_be_checked_is_refused(
    planted: Lakehouse, settings: Settings, home: Path
) -> None:
    with pytest.raises(InputError) as refused:
        run(settings, home, "--group", "group_b")
    assert str(refused.value) == "group_b has no champion; --group names one of group_a"
    before = planted.version("noise_checks")
    everything = planted.read("documents").select("content_hash").collect()
    hashes = [row["content_hash"] for row in everything]
    template = planted.read("labels").filter(F.col("doc_id") == "web 0").collect()[0].asDict()
    added = [template | {"doc_id": f"new {n}", "content_hash": h} for n, h in enumerate(hashes)]
    planted.append_rows(added, "labels", "new")
    with pytest.raises(InputError) as refused:
        run(settings, home)
    planted.delete("labels", F.col("doc_id").startswith("new "))
    assert str(refused.value) == (
        "no document without a label of 100 characters to 100,000 bytes in any source: ingest more "
        "documents than are labelled"
    )
    assert planted.version("noise_checks") == before
