"""Documents that hold test data never compete, and every way to look at a selection says so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mira_spark.cli import what_if
from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.selection import diff, explanation, lost_versions, record
from mira_spark.selection.explanation_wording import explanation_line
from mira_spark.selection.record import Selection
from mira_spark.settings.evaluation import EvaluationSettings
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import find_contamination, select_documents
from tests import selection_lake
from tests.scoring_lake import document
from tests.selection_lake import ids

Made = tuple[Lakehouse, Settings]
HELD = {"web 2": "text 2 of web", "web 3": "text 2 of web", "chat 9": "text 9 of chat"}
"""The documents with items' texts; of two the text is the same."""


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "tainted", home, tmp_path_factory) as (lake, settings):
        create_tables(lake, ("contaminated", "contamination_checks"))
        path = settings.folder / "items.jsonl"
        write_items(path, {"first": "Text 2 (of Web)!", "second": "text 9 of chat"})
        exam = {"name": "exam", "format": "json", "path": str(path), "columns": {"doc_id": "id"}}
        chosen = {"sets": [exam], "words": 4, "short_words": 4}
        evaluation = EvaluationSettings.model_validate(chosen)
        yield lake, settings.model_copy(update={"evaluation": evaluation})


def write_items(path: Path, items: dict[str, str]) -> None:
    path.write_text("\n".join(json.dumps({"id": i, "text": text}) for i, text in items.items()))


def asked(made: Made, **changes: Any) -> Settings:
    """Settings that select all that competes, but for the changes."""
    whole = {"budget": "100%", "max_document_share": "100%"}
    chosen = SelectionSettings.model_validate(whole | changes)
    return made[1].model_copy(update={"selection": chosen})


def select(made: Made, **changes: Any) -> tuple[str, Selection]:
    """The step's message and what it made, after its inputs, as in the pipeline."""
    lake, settings = made[0], asked(made, **changes)
    select_documents.inputs(lake, settings)
    message = select_documents.run(lake, settings, "r").message
    assert select_documents.missing(lake, settings) == []
    return message, record.selection_named(lake, settings.selection.name)


def refusal(made: Made) -> str:
    with pytest.raises(InputError) as refused:
        select_documents.inputs(made[0], asked(made))
    return str(refused.value)


def test_a_selection_waits_until_all_documents_were_looked_through(made: Made) -> None:
    lake, settings = made
    first = "run mira find-contamination first"
    assert refusal(made) == f"evaluation.sets.exam: was not looked for yet: {first}"
    find_contamination.run(lake, settings, "r")
    found = select_documents.inputs(lake, asked(made))
    assert found["contaminated"] == str(lake.snapshot("contaminated"))
    assert "contaminated" not in select_documents.inputs(lake, asked(made, contaminated="keep"))
    words = settings.evaluation.model_copy(update={"words": 5})
    other = lake, settings.model_copy(update={"evaluation": words})
    assert refusal(other) == f"evaluation.sets.exam: was looked for with other settings: {first}"
    lake.execute(f"OPTIMIZE {lake.name('documents')}")
    assert select_documents.inputs(lake, asked(made))["contaminated"] == found["contaminated"]
    version = lake.version("documents")
    lake.append_rows([document("late", "text 9 of chat")], "documents", "r")
    assert refusal(made) == (
        f"1 documents were not looked through for items of evaluation.sets: {first}"
    )
    lake.execute(f"RESTORE TABLE {lake.name('documents')} TO VERSION AS OF {version}")


def test_view_list_explanation_and_what_if_agree(made: Made) -> None:
    lake, settings = made
    find_contamination.run(lake, settings, "r")
    message, one = select(made)
    assert "; 3 contaminated; " in message
    assert one.settings.is_predicate
    scored = lake.read("scores").filter("quality IS NOT NULL").select("doc_id").collect()
    assert ids(lake) == {row["doc_id"] for row in scored} - set(HELD)
    assert {r["doc_id"] for r in record.selection_documents(lake, one).collect()} == ids(lake)
    assert f"contaminated version {one.further['contaminated']}" in one.made_from
    with console.capture() as output:
        what_if.show(lake, asked(made), "100%", "group", "r")
    assert "no histogram" not in output.get()
    assert f"{one.selected_documents:,}" in output.get()
    _, listed = select(made, name="listed", materialize="manifest")
    assert ids(lake, "selected_listed") == ids(lake, "selected_default")
    for each in (one, listed):
        found = explanation.explain_all(lake, each, ["web 2", "web 1"])
        said = [explanation_line(explained) for explained in found]
        assert said[0] == (
            "out: it did not compete, contaminated: 1 n-grams, 100%, of item first (text) of exam, "
            "the first at character 0"
        )
        assert said[1].startswith("in: ")


@pytest.mark.long
def test_another_item_is_another_selection_and_the_old_one_stays_as_it_was(made: Made) -> None:
    lake, settings = made
    find_contamination.run(lake, settings, "r")
    _, old = select(made, name="old")
    before, path = ids(lake), settings.folder / "items.jsonl"
    write_items(path, {"first": "Text 2 (of Web)!", "second": "text 9 of chat",
                       "third": "text 8 of chat"})  # fmt: skip
    find_contamination.run(lake, settings, "r")
    _, new = select(made)
    assert new.further["contaminated"] > old.further["contaminated"]
    assert new.selection_id != old.selection_id
    assert ids(lake) == before - {"chat 8"}
    assert ids(lake, "selected_old") == before
    moved = [each for each in diff.diff(lake, new, old) if each.side != diff.BOTH]
    assert [(m.source, m.side, m.reason, m.documents) for m in moved] == [
        ("chat", diff.ONLY_B, diff._ASIDE, 1)
    ]
    assert explanation.explain(lake, old, "chat 8").is_in
    lake.spark.sql(f"DROP TABLE {lake.name('contaminated')}")
    create_tables(lake, ("contaminated",))
    (line, _) = sorted(
        lost_versions.lost_versions(lake, [old, new], lost_versions.ALL_PINNED).values()
    )
    assert "contaminated version" in line
    assert "the table was made anew" in line
    assert lake.view_query("selected_old") is None, "it would show other rows"
    assert refusal(made).startswith("evaluation.sets.exam: was not looked for yet")
