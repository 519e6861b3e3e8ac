"""What programs get of selections is what the tables say, and what people see is made from it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mira_spark.__main__ import main
from mira_spark.cli import selection_answers, selection_tables
from mira_spark.cli.selection_answers import CutSelection, Selections, SelectionSummary
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.plain_values import plain
from mira_spark.process.progress import console, give_answer
from mira_spark.selection import record
from mira_spark.selection.record import Selection
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake

Both = tuple[Lakehouse, Selection, Selection]
ONE = SelectionSummary(
    "0123456789abcdef", "small", datetime(2026, 11, 30, tzinfo=UTC), SelectionSettings(), 1_000, 3,
    999, {"documents": 1, "scores": 2}, None, "scores version 2 is gone",
)  # fmt: skip
CUTOFF = {"source_group": "group_a", "source": "web", "student_id": "s/1", "quality_cut": 4_250,
          "kept_documents": 3, "total_documents": 1_234, "kept_tokens": 999,
          "total_tokens": 10_000, "quarantined_documents": 1, "set_aside_documents": 0}  # fmt: skip


def test_a_selection_is_shown_with_its_versions_and_cuts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = CutSelection(ONE, [CUTOFF], "5 documents had no score")
    with console.capture() as shown:
        give_answer(found, selection_tables.show_selection, as_json=False)
    lines = [" ".join(line.split()) for line in shown.get().splitlines()]
    assert lines[0] == "selection small (0123456789abcdef), made 2026-11-30 00:00"
    assert lines[2] == "made from documents version 1, scores version 2, seed 0"
    assert "group_a web s/1 4.250 3 1,234 999 10,000 1 0" in lines
    assert lines[-2:] == ["scores version 2 is gone", "5 documents had no score"]
    give_answer(found, selection_tables.show_selection, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["cutoffs"] == [CUTOFF]
    assert answer["unscored"] == "5 documents had no score"
    assert answer["selection"]["versions"] == {"documents": 1, "scores": 2}


def test_a_list_says_what_can_be_read_no_more() -> None:
    with console.capture() as shown:
        selection_tables.show_selections(Selections([ONE]))
    assert "3 documents, 999 tokens 2026-11-30 00:00 no" in " ".join(shown.get().split())
    assert shown.get().splitlines()[-1] == "scores version 2 is gone"


def test_a_selection_is_summed_up_with_what_is_lost_of_it() -> None:
    one = Selection(
        "0123", "small", SelectionSettings(), "c", (1, 2), 1_000, 999, 3, None, ONE.created_at,
        tables={"mine.scores": "7"}, further={"contaminated": 4},
    )  # fmt: skip
    found = selection_answers.summary(one, {"0123": "gone"})
    assert (found.lost, selection_answers.summary(one, {"4567": "gone"}).lost) == ("gone", None)
    assert found.versions == {
        "documents": 1, "scores": 2, "contaminated": 4, "mine.scores": "7",
    }  # fmt: skip
    assert (found.selected_documents, found.selected_tokens) == (3, 999)


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    with selection_lake.open_lake(spark, "answering", home, tmp_path_factory) as (lake, settings):
        for name, budget in (("small", "20%"), ("large", "60%")):
            chosen = settings.selection.model_copy(update={"name": name, "budget": budget})
            select_documents.run(lake, settings.model_copy(update={"selection": chosen}), "r")
        yield lake, record.selection_named(lake, "small"), record.selection_named(lake, "large")


def read(answer: object) -> Any:
    """What a program reads of an answer."""
    return json.loads(json.dumps(plain(answer), allow_nan=False))


@pytest.mark.long
def test_lists_and_cuts_have_the_figures_of_the_tables(made: Both) -> None:
    lake, small, large = made
    listed = read(selection_answers.all_selections(lake))["selections"]
    assert {each["name"]: each["selection_id"] for each in listed} == {
        "small": small.selection_id, "large": large.selection_id,
    }  # fmt: skip
    assert {each["lost"] for each in listed} == {None}
    answer = read(selection_answers.cut_selection(lake, "small"))
    assert answer["selection"]["selected_tokens"] == small.selected_tokens
    assert answer["selection"]["versions"] == dict(small.pinned_versions)
    cuts = {row["source"]: row for row in record.cutoffs(lake, small).collect()}
    assert {each["source"] for each in answer["cutoffs"]} == set(cuts)
    for each in answer["cutoffs"]:
        assert each == {name: cuts[each["source"]][name] for name in each}
    assert sum(each["kept_tokens"] for each in answer["cutoffs"]) == small.selected_tokens


@pytest.mark.long
def test_a_difference_sums_to_the_selections(made: Both) -> None:
    lake, small, large = made
    answer = read(selection_answers.difference(lake, "small", "large"))
    assert (answer["a"]["name"], answer["b"]["name"]) == ("small", "large")
    documents: dict[str, int] = {}
    for each in answer["moved"]:
        documents[each["side"]] = documents.get(each["side"], 0) + each["documents"]
    assert documents == {
        "in both": small.selected_documents,
        "only in B": large.selected_documents - small.selected_documents,
    }
    assert sum(each["documents"] for each in answer["totals"]) == large.selected_documents


@pytest.mark.long
def test_an_explanation_names_the_document_its_scores_and_the_cut(made: Both) -> None:
    lake, small, _ = made
    answer = read(selection_answers.document_explanation(lake, "code 1", "small").fields())
    assert answer["doc_id"] == "code 1"
    assert answer["is_in"] == answer["in_words"].startswith("in:")
    assert answer["selection"]["selection_id"] == small.selection_id
    assert [each["name"] for each in answer["dimensions"]] == ["a", "b", "c"]
    (cut,) = record.cutoffs(lake, small).filter("source = 'code'").collect()
    assert answer["cut"]["quality_cut"] == cut["quality_cut"]


COMMANDS = (
    ("status", {"steps", "scoring", "lost_selections", "next"}),
    ("selection list", {"selections"}),
    ("selection show small", {"selection", "cutoffs", "unscored"}),
    ("selection diff small large", {"a", "b", "moved", "totals"}),
    ("what-if --budget 10%,50% --policy group,global", {"budgets", "notes"}),
    ("students list", {"students"}),
    ("students show {student}", {"student", "figures", "noise", "cells"}),
    ("rubrics audit", {"audits", "groups_without_scores"}),
    ("export small --format jsonl --compression gzip --to {folder}",
     {"selection", "export", "unscored"}),
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("words", "keys"), COMMANDS)
def test_a_command_writes_one_object_and_nothing_else(
    made: Both,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: str,
    keys: set[str],
) -> None:
    lake = made[0]
    student = selection_lake.student(lake, "code")
    chosen = {
        "namespace": lake.namespace,
        "folder": home,
        "registry.tracking_uri": f"sqlite:///{home}/mlflow.db",
        "registry.prefix": lake.namespace,
    }
    given = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    asked = words.format(student=student, folder=tmp_path / "out").split()
    main([*asked, "--json", *given])
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    answer = json.loads(written)
    assert set(answer) == keys
    if words.startswith("what-if"):
        policies = [(each["chosen"]["policy"], each["chosen"]["budget"])
                    for each in answer["budgets"]]  # fmt: skip
        assert sorted(policies) == [
            ("global", "10%"), ("global", "50%"), ("group", "10%"), ("group", "50%"),
        ]  # fmt: skip
        assert all(each["lines"][0]["kept"]["tokens"] >= 0 for each in answer["budgets"])
