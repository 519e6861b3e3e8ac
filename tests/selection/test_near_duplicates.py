"""Of each cluster of near-duplicates the best that competes is selected, from pinned versions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.errors import InputError
from mira_spark.lake import runs
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import diff, explanation, lost_versions, record
from mira_spark.selection.explanation_wording import explanation_line
from mira_spark.selection.record import Selection
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import find_duplicates, select_documents
from tests import selection_lake
from tests.selection_lake import ids, rule
from tests.selection_oracle import Document, kept

Made = tuple[Lakehouse, Settings]
CLUSTERS = {"code 8": ("code 1", "code 4", "web 1", "chat 29"), "web 29": ("chat 1", "web 5")}
"""Representative to documents near it, of texts that differ."""
NEAR = {"duplicates": "near", "policy": "global"}


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "near", home, tmp_path_factory) as (lake, settings):
        create_tables(lake, find_duplicates.WRITES)
        yield lake, settings


def choose(made: Made, **changes: object) -> Settings:
    _, settings = made
    return settings.model_copy(update={"selection": SelectionSettings.model_validate(changes)})


def find(made: Made) -> None:
    """Run the step, and have it find CLUSTERS too."""
    lake, settings = made
    current = pipeline.step_inputs(lake, settings, "find_duplicates")
    with runs.record_run(lake, current, "r") as outcomes:
        outcomes.append(find_duplicates.run(lake, settings, "r"))
    hashes = {r["doc_id"]: r["content_hash"] for r in lake.read("documents").collect()}
    rows = [
        {"doc_id": doc_id, "content_hash": hashes[doc_id], "representative": representative,
         "similarity": 0.9}
        for representative, near in CLUSTERS.items()
        for doc_id in near
    ]  # fmt: skip
    lake.append_rows(rows, "near_duplicates", "r")


def best_of_clusters(made: Made, seed: int) -> list[Document]:
    """In plain Python: of each cluster the best with a quality."""
    lake, _ = made
    cluster = {r["doc_id"]: r["representative"] for r in lake.read("near_duplicates").collect()}
    firsts: dict[str, Document] = {}
    scored = [d for d in selection_lake.corpus(lake, seed) if d.quality is not None]
    for d in sorted(scored, key=lambda d: (-(d.quality or 0), d.tie_hash, d.doc_id.encode())):
        firsts.setdefault(cluster.get(d.doc_id, d.doc_id), d)
    return list(firsts.values())


def test_the_best_of_each_cluster_competes_and_the_others_are_counted_and_explained(
    made: Made,
) -> None:
    lake, _ = made
    first = "as they are now: run mira find-duplicates first"
    with pytest.raises(InputError, match=first):
        select_documents.inputs(lake, choose(made, **NEAR))
    find(made)
    lake.update("documents", F.col("doc_id") == "code 1", {"license": F.lit("MIT")})
    with pytest.raises(InputError, match=first):  # found for other documents
        select_documents.inputs(lake, choose(made, **NEAR))
    find(made)
    settings = choose(made, **NEAR, budget="30%", seed=5)
    done = select_documents.run(lake, settings, "r")
    competing = best_of_clusters(made, 5)
    documents = selection_lake.corpus(lake, 5)
    budget = sum(d.tokens for d in documents) * 30 // 100
    assert ids(lake) == kept(competing, budget, rule(competing, "global", {}, {}))
    scored = [d for d in documents if d.quality is not None]
    assert f"; {len(scored) - len(competing)} near-duplicate" in done.message
    assert select_documents.missing(lake, settings) == []

    one = record.selection_named(lake, "default")
    best = {d.doc_id for d in competing}
    asked = [doc_id for d, near in CLUSTERS.items() for doc_id in (d, *near)]
    for told in explanation.explain_all(lake, one, asked):
        (own,) = best & next(
            {d, *near} for d, near in CLUSTERS.items() if told.doc_id in (d, *near)
        )
        if told.doc_id == "web 5":
            assert told.because == "quarantined: unreadable"
        elif told.doc_id == own:
            assert told.set_aside is None
        else:
            assert told.set_aside == "near-duplicate"
            assert explanation_line(told) == (
                f"out: it did not compete, a near-duplicate: of its cluster {own} is the best"
            )


@pytest.mark.long
def test_the_version_of_near_duplicates_is_part_of_the_selection(made: Made) -> None:
    lake, _ = made
    find(made)
    settings = choose(made, **NEAR)
    select_documents.run(lake, settings, "r")
    one = record.selection_named(lake, "default")
    version = lake.version("near_duplicates")
    assert one.further == {"near_duplicates": version}
    assert f"near_duplicates version {version}, seed 0" in one.made_from
    before = select_documents.inputs(lake, settings)
    lake.delete("near_duplicates", F.col("representative") == "code 8")
    assert before != select_documents.inputs(lake, settings)
    assert select_documents.missing(lake, settings) == ["its selection is not there"]
    select_documents.run(lake, settings, "r")
    two = record.selection_named(lake, "default")
    assert two.candidates != one.candidates
    assert two.selection_id != one.selection_id
    freed = _set_aside(lake, one) - _set_aside(lake, two)
    assert len(freed) == 4
    assert freed < {"code 8", *CLUSTERS["code 8"]}
    assert _set_aside(lake, two) < _set_aside(lake, one)
    moved = sum(m.documents for m in diff.diff(lake, one, one) if m.side == diff.BOTH)
    assert moved == one.selected_documents
    gone = replace(one, further={"near_duplicates": 99})
    with pytest.raises(InputError, match=r"near_duplicates version 99 cannot be read any more"):
        explanation.explain(lake, gone, "code 1")
    assert lost_versions.lost_versions(lake, [gone]) == {}, "its view is a list"


def _set_aside(lake: Lakehouse, one: Selection) -> set[str]:
    rows = record.competing_rows(lake, one, record.pinned_scores(lake, one))
    return {r["doc_id"] for r in rows.filter("set_aside = 'near-duplicate'").collect()}
