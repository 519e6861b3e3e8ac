"""Selections by name or id: found, read as their views show them, compared, dropped."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.cli import main, selection, what_if
from mira_spark.errors import InputError
from mira_spark.lake import runs
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.selection import diff, explanation, export, lost_versions, record
from mira_spark.selection.diff import _ASIDE, _CUT, BOTH, CHANGED, ONLY_A, ONLY_B, QUALITY
from mira_spark.selection.record import Selection, find_selection, latest_by_name
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake
from tests.selection_lake import ids

Made = tuple[Lakehouse, Settings]

NEW = Selection("b" * 16, "main", SelectionSettings(), "all", (4, 7), 9, 9, 9, None,
                datetime(2026, 1, 2))  # fmt: skip
OLD = replace(NEW, selection_id="a" * 16, versions=(3, 7))
OTHER = replace(NEW, selection_id="c" * 16, name="other")


def test_a_name_is_the_latest_of_it_and_an_id_is_itself() -> None:
    found = [NEW, OTHER, OLD]
    assert find_selection(found, "main") == NEW
    assert find_selection(found, "a" * 16) == OLD
    assert latest_by_name(found) == [NEW, OTHER]


@pytest.mark.parametrize(
    "name",
    ["mine", "MAIN", "", "main\n", "x' OR '1'='1", "main; DROP TABLE selections", "a`b",
     "m\u0430in", "x" * 61, "../main", "main--"],
)  # fmt: skip
def test_another_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(InputError, match=r"there are main, other$"):
        find_selection([NEW, OTHER, OLD], name)
    with pytest.raises(InputError, match="run mira select-documents first"):
        find_selection([], name)


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ({}, ("documents", "scores")),
        ({"score": "random"}, ("documents", "scores")),
        ({"duplicates": "first"}, ("documents",)),
        ({"materialize": "manifest"}, ("documents",)),
        ({"materialize": "text"}, ()),
    ],
)
def test_a_view_needs_only_what_it_reads(settings: dict[str, str], needs: tuple[str, ...]) -> None:
    one = replace(NEW, settings=SelectionSettings.model_validate(settings))
    assert one.view_needs == needs


def test_what_is_gone_is_one_line_with_what_to_do() -> None:
    assert lost_versions.lost_line(OLD, {"documents": "its files were removed"}) == (
        "selection main (aaaaaaaaaaaaaaaa): documents version 3 cannot be read any more, its files "
        "were removed: run mira select-documents to select again, and keep texts with "
        "--set selection.materialize=text where versions do not last"
    )


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "choosing", home, tmp_path_factory) as made:
        yield made


def selected(made: Made, **changes: object) -> Selection:
    lake, settings = made
    chosen = settings.model_copy(update={"selection": SelectionSettings.model_validate(changes)})
    select_documents.run(lake, chosen, "r")
    return record.selection_named(lake, chosen.selection.name)


@pytest.mark.long
def test_what_if_counts_once_and_then_reads(made: Made) -> None:
    lake, settings = made
    shown = []
    for _ in range(2):
        with console.capture() as capture:
            what_if.show(lake, settings, "10%,50%", "group", "r")
        shown.append(capture.get())
    said = "there is no histogram of these scores yet: it is counted and recorded\n"
    assert shown[0].startswith(said)
    assert shown[1] == shown[0].removeprefix(said)
    assert all(f"{budget} by group" in shown[1] for budget in ("10%", "50%"))


@pytest.mark.long
def test_what_moved_is_told_by_source_and_reason(made: Made) -> None:
    """B is made after one document of A got a lower quality and one another text, without those
    of `chat`, on half of the budget."""
    lake, _ = made
    a = selected(made, name="a", budget="60%")
    in_a = ids(lake, "selected_a")
    lower, other = sorted(d for d in in_a if d.startswith("code"))[:2]
    lake.update("scores", F.col("doc_id") == lower, {"quality": F.lit(0)})
    digest = {"content_hash": F.unhex(F.lit("ab" * 16))}
    lake.update("documents", F.col("doc_id") == other, digest)
    lake.update("scores", F.col("doc_id") == other, digest | {"quality": F.lit(0)})
    where = [{"column": "source", "operator": "!=", "value": "chat"}]
    b = selected(made, name="b", budget="30%", where=where)
    in_b = ids(lake, "selected_b")

    found = diff.diff(lake, a, b)
    totals = {key: documents for key, (documents, _) in diff.totals(found).items()}
    chats = {d for d in in_a if d.startswith("chat")}
    assert totals.pop((BOTH, "")) == len(in_a & in_b) > 0
    assert sum(n for (side, _), n in totals.items() if side == ONLY_B) == len(in_b - in_a)
    assert {reason: n for (side, reason), n in totals.items() if side == ONLY_A} == {
        CHANGED: 1, QUALITY: 1, _ASIDE: len(chats), _CUT: len(in_a - in_b) - len(chats) - 2,
    }  # fmt: skip
    tokens = sum(m.tokens for m in found if m.side != ONLY_B and m.source == "chat")
    assert tokens == a.selected_tokens - sum(
        r["n_tokens"]
        for r in record.selection_documents(lake, a).collect()
        if r["source"] != "chat"
    )
    assert {m.source for m in found if m.reason in (CHANGED, QUALITY)} == {"code"}


@pytest.mark.long
def test_dropping_one_leaves_the_others(made: Made) -> None:
    lake, _ = made
    selected(made, name="another")
    second = selected(made, name="second", materialize="manifest", budget="20%")
    row = lake.read("selections").filter(F.col("selection_id") == second.selection_id)
    renamed = {"name": F.lit("first"), "selection_id": F.lit("f" * 16)}
    lake.append(row.withColumns(renamed), "selections", "r")
    lake.create_view("selected_first", f"SELECT '{'f' * 16}' AS selection_id", "the first")
    with pytest.raises(InputError, match=r"is the id of selection second .* drop it by its name"):
        record.drop_selections(lake, second.selection_id)
    assert len(record.drop_selections(lake, "first")) == 1
    assert lake.view_query("selected_first") is None
    assert ids(lake, "selected") == ids(lake, "selected_second") != set()
    assert not any(
        "dropped the view selected," in d for d in record.drop_selections(lake, "second")
    )
    others = sorted({s.name for s in record.all_selections(lake)})
    *_, last = (line for name in others for line in record.drop_selections(lake, name))
    assert last.startswith("dropped the view selected, ")
    assert lake.view_query("selected") is None
    assert lake.view_query("selected_second") is None
    for table in ("selections", "selection_cutoffs", "selected_documents"):
        left = lake.read(table).filter(F.col("selection_id") == second.selection_id)
        assert left.isEmpty()
    with pytest.raises(InputError, match="there is no selection second"):
        record.drop_selections(lake, "second")


@pytest.mark.long
def test_a_version_whose_files_are_gone_is_told_before_it_is_read(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, _ = made
    old = selected(made, name="old")
    pinned = set(lake.read("scores", old.versions[1]).inputFiles())
    lake.update("scores", F.col("source") == "web", {"quality": F.lit(1)})
    new = selected(made, name="new")
    assert lost_versions.lost_versions(lake, [old, new]) == {}
    for file in pinned - set(lake.read("scores").inputFiles()):
        os.unlink(file.removeprefix("file:"))
    never = replace(new, selection_id="never", versions=(99, new.versions[1]))
    found = lost_versions.lost_versions(lake, [old, new, never])
    assert set(found) == {old.selection_id, "never"}
    assert f"scores version {old.versions[1]} cannot be read any more" in found[old.selection_id]
    assert "documents version 99 cannot be read any more" in found["never"]
    for told in (
        lambda: diff.diff(lake, old, new),
        lambda: explanation.explain(lake, old, "web 1"),
        lambda: export.export(lake, old, "jsonl", Path("unwritten")),
    ):
        with pytest.raises(InputError, match="to select again") as error:
            told()
        assert str(error.value) == found[old.selection_id]

    monkeypatch.setattr(runs, "last_finished", lambda *_: {})
    monkeypatch.setattr(pipeline, "status", lambda *_: {"select_documents": "done"})
    for module in (main, selection):
        monkeypatch.setattr(module, "open_lakehouse", lambda _: lake)
        monkeypatch.setattr(module, "create_tables", lambda _: None)
    assert found[old.selection_id] in said("status")
    listed = {line.split()[0]: line.split()[-1] for line in said("selection", "list").splitlines()}
    assert (listed["old"], listed["new"]) == ("no", "yes")
    shown = said("selection", "show", "old")
    assert found[old.selection_id] in shown
    assert "scores version" in shown
    assert new.title in said("explain", "web 1", "--selection", "new")
    assert "B: selection new" in said("selection", "diff", "new", "new")


def said(*arguments: str) -> str:
    """What a command prints."""
    with console.capture() as capture:
        main.app(list(arguments), standalone_mode=False)
    return capture.get()
