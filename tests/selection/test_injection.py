"""Hostile strings in every name, filter and id of a selection: refused, or data like any other."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.cli.selection_tables import show_explanation
from mira_spark.corpus import grouping
from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.selection import candidates, explanation, frontier, record
from mira_spark.selection.allocation import Policy, allocation_policy, walks
from mira_spark.selection.export import export
from mira_spark.selection.positions import levels
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import Filter, SelectionSettings
from tests import selection_lake
from tests.hostile_strings import ALL, CLASSIC
from tests.scoring_lake import NOW
from tests.selection_lake import ids

Made = tuple[Lakehouse, Settings]

NAMES: dict[str, Callable[[str], dict[str, Any]]] = {
    "name": lambda s: {"name": s},
    "policy": lambda s: {"policy": s},
    "budget": lambda s: {"budget": s},
    "shares": lambda s: {"shares": s},
    "every_source": lambda s: {"every_source": s},
    "max_document_share": lambda s: {"max_document_share": s},
    "temperature": lambda s: {"temperature": s},
    "score": lambda s: {"score": s},
    "score.table": lambda s: {"score": {"table": s, "column": "c"}},
    "score.table of a schema": lambda s: {"score": {"table": f"a.{s}", "column": "c"}},
    "score.column": lambda s: {"score": {"table": "t", "column": s}},
    "exclude.table": lambda s: {"exclude": [{"table": s}]},
    "exclude.by": lambda s: {"exclude": [{"table": "t", "by": s}]},
    "where.operator": lambda s: {"where": [{"column": "source", "operator": s, "value": "a"}]},
    "duplicates": lambda s: {"duplicates": s},
    "materialize": lambda s: {"materialize": s},
    "seed": lambda s: {"seed": s},
    "keep_days": lambda s: {"keep_days": s},
    "a setting's name": lambda s: {s: "1"},
}


@pytest.mark.parametrize("place", NAMES)
def test_no_name_holds_one(place: str) -> None:
    for text in ALL:
        with pytest.raises(ValidationError):
            SelectionSettings.model_validate(NAMES[place](text))


def test_no_filter_is_on_a_column_of_that_name() -> None:
    for text in ALL:
        where = [{"column": text, "operator": "=", "value": "a"}]
        with pytest.raises((ValidationError, InputError)):
            candidates.check(SelectionSettings.model_validate({"where": where}))


@pytest.mark.parametrize("where", ["shares", "floors", "caps"])
def test_no_pool_and_no_source_has_that_name_or_share(where: str) -> None:
    for text in ALL:
        with pytest.raises(ValidationError, match="should be from 0 to 1"):
            SelectionSettings.model_validate({where: {"web": text}})
        policy = SelectionSettings.model_validate({where: {text: "1"}, "policy": "source"})
        with pytest.raises(InputError, match=rf"^selection\.{where}\."):
            walks(allocation_policy(policy), 70, {"web": "x"}, levels(["web"], [9], [1], [40]))


def test_a_source_may_have_any_name() -> None:
    """It is a key and nothing else; its share of the budget is its own."""
    for text in ALL:
        policy = Policy("source", shares={text: "1"}, floors={text: "0.1"}, caps={text: "1"})
        assert len(walks(policy, 70, {text: "x"}, levels([text], [9], [1], [40]))) == 3


def test_no_selection_is_found_by_one() -> None:
    for text in ALL:
        with pytest.raises(InputError, match="no name or id of a selection"):
            record.find_selection([], text)


@pytest.mark.parametrize("place", ["budget", "policy"])
def test_what_if_asks_for_none(place: str) -> None:
    for text in ALL:
        asked = {"budget": "10%", "policy": "group"} | {place: text}
        with pytest.raises(InputError, match=f"--{place}"):
            frontier.alternatives(SelectionSettings(), asked["budget"], asked["policy"])


@pytest.mark.long
def test_a_filters_value_and_key_are_compared_and_nothing_else(spark: SparkSession) -> None:
    """Each string finds its own row among those of all, by value and by key of the metadata."""
    rows = spark.createDataFrame(
        [(i, s, {s: "here"}) for i, s in enumerate(ALL)],
        "n int, domain string, metadata map<string, string>",
    )
    by_value = [Filter(column="domain", operator="=", value=s) for s in ALL]
    assert found(rows, by_value) == [[i] for i in range(len(ALL))]
    keys = [s for s in ALL if "\n" not in s]
    by_key = [Filter(column=f"metadata.{s}", operator="=", value="here") for s in keys]
    assert found(rows, by_key) == [[ALL.index(s)] for s in keys]
    for text in set(ALL) - set(keys):
        with pytest.raises(ValidationError):
            Filter(column=f"metadata.{text}", operator="=", value="here")


def found(rows: Any, filters: list[Filter]) -> list[list[int]]:
    """The numbers of the rows that pass each filter."""
    passing = [F.collect_list(F.when(candidates.filter_condition(f), F.col("n"))) for f in filters]
    return list(rows.coalesce(1).agg(*passing).collect()[0])


HOSTILE_SOURCE = "web'; DROP TABLE scores; --"


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    """The usual documents and one for each string: its id, text, domain and a key; of sources one
    of which has a hostile name."""
    spark.sql("CREATE SCHEMA besieged")
    lake = Lakehouse(spark, "besieged")
    settings = selection_lake.prepared(lake, home, tmp_path_factory.mktemp("besieged"))
    documents, scores = [], []
    for place, text in enumerate(ALL):
        source = HOSTILE_SOURCE if place % 2 else "web"
        same = {"doc_id": text, "source": source, "bucket": place % 8, "n_tokens": 1 + place % 9,
                "content_hash": hashlib.sha256(text.encode()).digest()[:16]}  # fmt: skip
        documents.append(
            same | {"text": text, "n_bytes": len(text), "sendable": True, "repaired": False,
                    "domain": text, "license": text, "metadata": {text: text}, "ingested_at": NOW}
        )  # fmt: skip
        scores.append(
            same | {"source_group": "group_b", "student_id": selection_lake.student(lake, "web"),
                    "quality": (place % 5) * 1000, "status": "scored", "documents_version": 2,
                    "unit_id": "v", "run_id": "r", "scored_at": NOW}
        )  # fmt: skip
    group = {"grouping_id": grouping.grouping_id(settings.grouping), "source": HOSTILE_SOURCE,
             "source_group": "group_b", "embedding": [1.0], "documents": len(ALL) // 2, "tokens": 1,
             "sampled": 1, "created_at": NOW}  # fmt: skip
    lake.append_rows(documents, "documents", "r")
    lake.append_rows(scores, "scores", "r")
    lake.append_rows([group], "source_groups", "r")
    create_tables(lake)
    yield lake, settings
    spark.sql("DROP SCHEMA besieged CASCADE")


EXPECTED = [re.compile(pattern) for pattern in (
    r"CREATE SCHEMA IF NOT EXISTS besieged",
    r"SHOW TABLES IN besieged",
    r"DESCRIBE DETAIL besieged\.\w+",
    r"DESCRIBE HISTORY besieged\.\w+( LIMIT 10?)?",
    r"SHOW TBLPROPERTIES besieged\.\w+",
    r"CREATE OR REPLACE VIEW besieged\.selected(_default)? COMMENT '[\w ,]*' AS SELECT "
    r"([^'\";`\\\-]|'[\w /]*')*",
)]  # fmt: skip
TABLES = ("documents", "scores", "source_groups", "students")


@pytest.mark.long
@pytest.mark.parametrize("materialize", ["view", "manifest"])
def test_only_the_expected_statements_run(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, materialize: str
) -> None:
    """Select by floors, filters and an exclusion of hostile strings, explain each, export."""
    lake, settings = made
    statements: list[str] = []
    send = SparkSession.sql
    excluded = CLASSIC[::3]
    rows = lake.spark.createDataFrame([(text,) for text in excluded], "doc_id string")
    rows.write.mode("overwrite").saveAsTable("besieged.never")
    before = {table: lake.version(table) for table in TABLES}, tables_of(lake)

    def recorded(session: SparkSession, text: str, *args: Any, **more: Any) -> Any:
        statements.append(text)
        return send(session, text, *args, **more)

    monkeypatch.setattr(SparkSession, "sql", recorded)
    chosen = SelectionSettings.model_validate({
        "budget": "60%", "floors": {HOSTILE_SOURCE: "0.2"}, "caps": {HOSTILE_SOURCE: "0.3"},
        "where": [{"column": "domain", "operator": "in", "value": ALL},
                  {"column": f"metadata.{CLASSIC[1]}", "operator": "!=", "value": CLASSIC[0]}]
        if materialize == "manifest" else [],
        "exclude": [{"table": "besieged.never"}], "materialize": materialize,
    })  # fmt: skip
    asked = settings.model_copy(update={"selection": chosen})
    assert pipeline.perform(lake, asked, "r", ["select_documents"]) == 0
    one = record.selection_named(lake, "default")
    told = explanation.explain_all(lake, one, ALL)
    shown = []
    for each in told[:80]:
        with console.capture() as capture:
            show_explanation(each)
        shown.append(capture.get())
    done = export(lake, one, "jsonl", tmp_path / "out")
    monkeypatch.setattr(SparkSession, "sql", send)

    unexpected = [s for s in statements if not any(e.fullmatch(s) for e in EXPECTED)]
    assert unexpected == [], "\n".join(unexpected)
    assert len(statements) > 5
    assert ({table: lake.version(table) for table in TABLES}, tables_of(lake)) == (
        before[0], before[1] | {"selected", "selected_default"},
    )  # fmt: skip
    kept = ids(lake)
    assert {e.doc_id for e in told if e.is_in} == kept & set(ALL)
    assert not kept & set(excluded)
    assert kept == {CLASSIC[1]} if materialize == "manifest" else len(kept & set(ALL)) > 50
    lines = [json.loads(x) for file in (tmp_path / "out").glob("*.jsonl")
             for x in file.read_text().split("\n") if x]  # fmt: skip
    assert {line["doc_id"] for line in lines} == kept
    assert done.documents == len(kept)
    assert all("\x1b" not in text for text in shown)


def tables_of(lake: Lakehouse) -> set[str]:
    return {r["tableName"] for r in lake.spark.sql(f"SHOW TABLES IN {lake.namespace}").collect()}
