"""The step against the oracle: who competes, what is kept, and what stands when it fails."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mira_spark import allocation, bins, current, selection
from mira_spark.errors import InputError
from mira_spark.failpoints import DrillError
from mira_spark.selection import SelectionSettings
from mira_spark.settings import Settings
from mira_spark.steps import select_documents
from mira_spark.tables import Lakehouse
from tests import selection_lake
from tests.selection_lake import ids, rule
from tests.selection_oracle import Document, kept

Made = tuple[Lakehouse, Settings]


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    spark.sql("CREATE SCHEMA selecting")
    lake = Lakehouse(spark, "selecting")
    yield lake, selection_lake.prepared(lake, home, tmp_path_factory.mktemp("selecting"))
    spark.sql("DROP SCHEMA selecting CASCADE")


def chosen(settings: Settings, **changes: Any) -> Settings:
    found = SelectionSettings.model_validate(changes)
    return settings.model_copy(update={"selection": found})


def run(made: Made, **changes: Any) -> Any:
    lake, settings = made
    return select_documents.run(lake, chosen(settings, **changes), "r")


FLOORS, CAPS = {"web": "0.1", "tests": "1/20"}, {"code": "0.2", "web": "0.3"}
LIMITED = {"budget": "40%", "floors": FLOORS, "caps": CAPS}


@pytest.mark.parametrize(
    "policy",
    ["group", *(pytest.param(p, marks=pytest.mark.long) for p in ("global", "source"))],
)
def test_what_is_kept_is_what_the_oracle_keeps(made: Made, policy: str) -> None:
    lake, _ = made
    done = run(made, policy=policy, **LIMITED)
    documents = selection_lake.corpus(lake, 0)
    budget = sum(d.tokens for d in documents) * 40 // 100
    assert ids(lake) == kept(documents, budget, rule(documents, policy, FLOORS, CAPS))
    assert done.rows_out == len(ids(lake))
    row = lake.read("selections").orderBy(F.desc("created_at")).limit(1).collect()[0]
    sums = lake.read("selected").agg(F.sum("n_tokens"), F.count("*")).collect()[0]
    assert (row["selected_tokens"], row["selected_documents"]) == tuple(sums)
    assert "4 quarantined" in done.message
    cutoffs = lake.read("selection_cutoffs").filter(F.col("selection_id") == row["selection_id"])
    found = cutoffs.agg(F.sum("kept_documents"), F.sum("quarantined_documents")).collect()[0]
    assert tuple(found) == (done.rows_out, 4)


FIRST = {"duplicates": "first", "exclude": [{"table": "selecting.tests_of_others"}]}


def test_only_candidates_compete_and_the_list_has_their_digest(made: Made) -> None:
    lake, _ = made
    lake.spark.sql(
        "CREATE OR REPLACE TABLE selecting.tests_of_others USING delta AS SELECT 'code 1' AS doc_id"
    )
    where = [
        {"column": "metadata.lang", "operator": "=", "value": "a"},
        {"column": "domain", "operator": "in", "value": ["host0", "host1", "'; DROP TABLE scores"]},
        {"column": "n_tokens", "operator": "<=", "value": 50},
    ]
    done = run(made, policy="global", budget="10%", where=where, **FIRST)
    competing = candidates(made, where)
    budget = sum(d.tokens for d in selection_lake.corpus(lake, 0)) // 10
    assert ids(lake) == kept(competing, budget, rule(competing, "global", {}, {}))
    assert re.search(r"\d+ filtered", done.message)
    row = lake.read("selections").orderBy(F.desc("created_at")).limit(1).collect()[0]
    listed = lake.read("selected_documents").filter(F.col("selection_id") == row["selection_id"])
    assert listed.count() == done.rows_out
    assert row["digest"] == run_again(made, where)


def run_again(made: Made, where: Any) -> str:
    lake, _ = made
    run(made, policy="global", budget="10%", where=where, **FIRST)
    return str(
        lake.read("selections").orderBy(F.desc("created_at")).limit(1).collect()[0]["digest"]
    )


def candidates(made: Made, where: Any) -> list[Document]:
    """In plain Python: the filters, the exclusion, and one of each equal text."""
    lake, _ = made
    rows = {r["doc_id"]: r for r in lake.read("documents").collect()}
    passing = [
        d for d in selection_lake.corpus(lake, 0)
        if rows[d.doc_id]["metadata"]["lang"] == "a" and rows[d.doc_id]["domain"] != "host2"
        and d.tokens <= 50 and d.doc_id != "code 1" and d.quality is not None
    ]  # fmt: skip
    firsts: dict[bytes, Document] = {}
    for d in sorted(passing, key=lambda d: (-(d.quality or 0), d.tie_hash, d.doc_id.encode())):
        firsts.setdefault(bytes(rows[d.doc_id]["content_hash"]), d)
    return list(firsts.values())


@pytest.mark.long
def test_baselines_compete_by_something_else_under_the_same_rule(made: Made) -> None:
    lake, _ = made
    documents = selection_lake.corpus(lake, 3)
    budget = sum(d.tokens for d in documents) // 4
    run(made, policy="source", score="random", budget="25%", seed=3)
    level = [replace(d, quality=d.quality and 0) for d in documents]
    assert ids(lake) == kept(level, budget, rule(level, "source", {}, {}))
    lake.spark.sql(
        "CREATE OR REPLACE TABLE selecting.judged USING delta AS SELECT doc_id, "
        "cast(hash(doc_id) % 5 AS double) AS other FROM selecting.documents WHERE domain <> 'host0'"
    )
    values = {r["doc_id"]: r["other"] for r in lake.spark.table("selecting.judged").collect()}
    column = {"table": "selecting.judged", "column": "other"}
    run(made, policy="global", score=column, budget="25%", seed=3)
    low, high = min(values.values()), max(values.values())
    by_column = [
        replace(d, quality=int((values[d.doc_id] - low) / (high - low) * 10_000))
        for d in documents if d.doc_id in values and d.quality is not None
    ]  # fmt: skip
    assert ids(lake) == kept(by_column, budget, rule(by_column, "global", {}, {}))
    run(made, policy="global", score="length", budget="25%", seed=3)
    tokens = {d.doc_id: d.tokens for d in documents}
    assert min(tokens[d] for d in ids(lake)) >= 50


def cuts_of(made: Made, frame: DataFrame) -> Any:
    lake, settings = made
    state = current.pinned(lake, chosen(settings, **LIMITED))
    found = bins.recorded(lake, settings.selection, state, lambda: frame, "r")
    levels = bins.levels(found)
    groups = {b.source: b.source_group for b in found}
    policy = SelectionSettings(**LIMITED).allocation
    walks = allocation.walks(policy, bins.tokens(found) * 40 // 100, groups, levels)
    competing = frame.filter("quality IS NOT NULL AND set_aside IS NULL")
    return select_documents.refined(lake, competing, walks, allocation.boundaries(walks, levels))


@pytest.mark.long
def test_the_cut_does_not_depend_on_partitions_or_on_how_ties_are_told_apart(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, settings = made
    state = current.pinned(lake, settings)
    frame = current.candidates(lake, settings, state)
    expected = cuts_of(made, frame)
    places = {s: (c.quality_cut, c.tie_hash_cut) for s, c in expected.items()}
    monkeypatch.setattr(select_documents, "FEW", 3)
    monkeypatch.setattr(select_documents, "PREFIX_BITS", 4)
    refined = cuts_of(made, frame.repartition(3, "doc_id"))
    documents = selection_lake.corpus(lake, 0)
    for source, cut in refined.items():
        of_source = [d for d in documents if d.source == source and d.quality is not None]
        assert [within(d, cut) for d in of_source] == [
            within(d, expected[source]) for d in of_source
        ]
    assert places


def within(d: Document, cut: Any) -> bool:
    place = (-(d.quality or 0), d.tie_hash, d.doc_id.encode())
    return bool(place <= cut.place)


@pytest.mark.long
def test_one_digest_from_any_partitioning(made: Made, spark: SparkSession) -> None:
    lake, settings = made
    state = current.pinned(lake, settings)
    frame = current.candidates(lake, settings, state)
    found = set()
    for adaptive in ("true", "false"):
        spark.sql(f"SET spark.sql.adaptive.enabled = {adaptive}")
        for partitions in (1, 2, 3, 7, 16):
            for shuffle in ("doc_id", "n_tokens", "tie_hash"):
                cuts = cuts_of(made, frame.repartition(partitions, shuffle))
                found.add(str(sorted((s, c.place) for s, c in cuts.items())))
    spark.sql("SET spark.sql.adaptive.enabled = true")
    assert len(found) == 1


PLACES = ("histogram.written", "list.written", "cutoffs.written", "selection.written")


@pytest.mark.parametrize(
    "place",
    [PLACES[-1], *(pytest.param(p, marks=pytest.mark.long) for p in PLACES[:-1])],
)
def test_the_old_view_stands_until_the_new_one_is_whole(
    made: Made, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    lake, _ = made
    run(made, budget="30%")
    before = ids(lake)
    monkeypatch.setenv("MIRA_FAILPOINTS", f"{place}=raise")
    with pytest.raises(DrillError):
        run(made, budget="60%")
    assert ids(lake) == before == ids(lake, "selected_default")
    monkeypatch.delenv("MIRA_FAILPOINTS")
    run(made, budget="60%")
    assert ids(lake) > before


def test_a_budget_over_the_corpus_keeps_all_and_says_so(made: Made) -> None:
    lake, _ = made
    done = run(made, budget="999_999_999")
    assert "the budget holds the whole corpus" in done.message
    assert ids(lake) == {d.doc_id for d in selection_lake.corpus(lake, 0) if d.quality is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": {"group_a": "0.5"}}, "shares.group_b: missing"),
        ({"shares": {"group_a": "0.5", "group_b": "0.6"}}, "shares: sum to 11/10"),
        ({"caps": {"nowhere": "0.5"}}, "caps.nowhere: there is no such source"),
        ({"floors": {"web": "0.3"}, "caps": {"web": "0.2"}}, "below the source's floor"),
        ({"where": [{"column": "colour", "operator": "=", "value": 1}]}, "no column colour"),
        ({"where": [{"column": "domain", "operator": "in", "value": 1}]}, "should be a list"),
        ({"exclude": [{"table": "selecting.gone"}]}, "there is no table selecting.gone"),
        ({"score": {"table": "selecting.documents", "column": "x"}}, "has no column x"),
        ({"keep_days": 365}, r"ALTER TABLE selecting.documents SET TBLPROPERTIES"),
        ({"budget": "1"}, "less than the smallest|nothing"),
    ],
)
def test_what_cannot_be_selected_is_refused(
    made: Made, changes: dict[str, Any], message: str
) -> None:
    lake, settings = made
    if changes.get("budget") == "1":
        changes = changes | {"where": [{"column": "n_tokens", "operator": ">=", "value": 7}]}
    with pytest.raises(InputError, match=message):
        checked_and_run(lake, chosen(settings, **changes))


def test_what_is_refused_changes_no_table(made: Made) -> None:
    lake, settings = made
    before = [lake.version(table) for table in ("selections", "selection_cutoffs")]
    with pytest.raises(InputError):
        checked_and_run(lake, chosen(settings, caps={"nowhere": "0.5"}))
    assert [lake.version(table) for table in ("selections", "selection_cutoffs")] == before


def checked_and_run(lake: Lakehouse, settings: Settings) -> None:
    """As the pipeline does."""
    select_documents.inputs(lake, settings)
    select_documents.run(lake, settings, "r")


def test_a_champion_that_failed_its_gate_selects_nothing(made: Made) -> None:
    lake, settings = made
    failed = F.col("source_group") == "group_b"
    lake.update("students", failed, {"gate": F.lit("failed")})
    with pytest.raises(InputError, match="is the champion of group_b and failed its gate"):
        select_documents.run(lake, settings, "r")
    lake.update("students", failed, {"gate": F.lit("passed")})


HOSTILE = [
    "'; DROP TABLE scores; --", "a b", "Ä", "a.b.c.d", "`x`", "x\n", "x;y", "", "1a", "../x", "x--",
    "/**/", "%00", "x'y", 'x"y', "${x}", "x\\", "a" * 200, "union select 1", "x)or(1=1",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_that_is_none_is_refused(text: str) -> None:
    for changes in (
        {"name": text},
        {"exclude": [{"table": text}]},
        {"score": {"table": "t", "column": text}},
    ):
        with pytest.raises(ValueError, match="should match pattern"):
            SelectionSettings.model_validate(changes)


def test_who_competes_by_what_has_an_id_of_its_own() -> None:
    settings = [
        SelectionSettings(),
        SelectionSettings(score="random"),
        SelectionSettings(duplicates="first"),
        SelectionSettings(duplicates="first", seed=1),
        SelectionSettings.model_validate({"exclude": [{"table": "a"}]}),
    ]
    found = [one.candidates_id for one in settings]
    assert len(set(found)) == len(found)
    assert SelectionSettings(budget="10%", seed=5).candidates_id == "all"
    assert [one.is_predicate for one in settings] == [True, True, False, False, False]


def test_the_level_of_a_baseline_is_within_the_scale(spark: SparkSession) -> None:
    rows = spark.sql("SELECT 5S AS quality, n_tokens FROM VALUES (0L), (1L), (9999999999L) "
                     "AS t(n_tokens)")  # fmt: skip
    found = [r[0] for r in rows.select(F.expr(selection.level("length"))).collect()]
    assert found == [0, 301, 10_000]
