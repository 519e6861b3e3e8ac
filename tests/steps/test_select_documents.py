"""The step against the oracle: who competes, what is kept, and what stands when it fails."""

import hashlib
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.selection import choice, histogram, lost_versions, order, record
from mira_spark.selection.candidates import candidates_digest
from mira_spark.selection.pinned import pinned_candidates, pinned_state
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import currently, selection_lake
from tests.selection_lake import ids, rule
from tests.selection_oracle import Document, kept

Made = tuple[Lakehouse, Settings]


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "selecting", home, tmp_path_factory) as made:
        yield made


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
    assert row["digest"] == digest(made, policy="global", budget="10%", where=where, **FIRST)


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


def digest(made: Made, **changes: Any) -> str:
    """Of the ids of the selection made with these settings."""
    lake, _ = made
    run(made, materialize="manifest", **changes)
    return str(
        lake.read("selections").orderBy(F.desc("created_at")).limit(1).collect()[0]["digest"]
    )


def chosen_ids(made: Made) -> str:
    """Digest of the ids that the step would keep, counted anew, without its writing them."""
    lake, settings = made
    asked = chosen(settings, **LIMITED)
    state = pinned_state(
        lake, asked.source_grouping, asked.student_registry, asked.selection, asked.evaluation
    )
    rows = pinned_candidates(lake, currently.grouping_of(asked), asked.selection, state)
    found = histogram.counted_bins(lake, asked.selection, state, lambda: rows, "r")
    competing = rows.filter("set_aside IS NULL AND quality IS NOT NULL")
    cuts = choice.choose(lake, asked.selection, state, found, competing, found.tokens).cuts
    kept_rows = (
        choice.selected_rows(lake, competing, cuts, asked.selection.seed).select("doc_id").collect()
    )
    return hashlib.sha256("\n".join(sorted(r[0] for r in kept_rows)).encode()).hexdigest()


@pytest.mark.long
def test_one_digest_from_any_files_partitioning_and_plan(
    made: Made, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores written anew in 5 numbers of files x 3 orders, read by as many tasks, with adaptive
    plans and without; ties told apart by prefixes of their hashes."""
    lake, _ = made
    run(made, **LIMITED)
    expected = hashlib.sha256("\n".join(sorted(ids(lake))).encode()).hexdigest()
    scores = lake.read("scores", lake.version("scores"))
    monkeypatch.setattr(choice, "FEW", 12)
    monkeypatch.setattr(choice, "PREFIX_BITS", 4)
    places = [F.xxhash64("doc_id", F.lit(shuffle)) for shuffle in range(3)]
    for partitions, place, adaptive in itertools.product((1, 2, 3, 7, 16), places, (True, False)):
        shuffled = scores.repartition(partitions, place).sortWithinPartitions(place)
        shuffled.write.format("delta").mode("overwrite").saveAsTable(lake.name("scores"))
        with planned(spark, partitions, adaptive):
            assert chosen_ids(made) == expected, (partitions, place, adaptive)


@contextmanager
def planned(spark: SparkSession, partitions: int, adaptive: bool) -> Iterator[None]:
    """Queries shuffled into so many partitions, by adaptive plans or not."""
    wanted = {
        "spark.sql.shuffle.partitions": str(partitions),
        "spark.sql.adaptive.enabled": str(adaptive).lower(),
    }
    before = {name: spark.conf.get(name) for name in wanted}
    for name, value in wanted.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


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


@pytest.mark.long
def test_between_its_two_views_each_is_whole(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, _ = made
    run(made, budget="30%")
    before = ids(lake)
    monkeypatch.setenv("MIRA_FAILPOINTS", "view.named=raise")
    with pytest.raises(DrillError):
        run(made, budget="60%")
    assert ids(lake) == before < ids(lake, "selected_default")


def test_a_budget_over_the_corpus_keeps_all_and_says_so(made: Made) -> None:
    lake, _ = made
    done = run(made, budget="999_999_999")
    assert "the budget holds the whole corpus" in done.message
    assert ids(lake) == {d.doc_id for d in selection_lake.corpus(lake, 0) if d.quality is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"where": [{"column": "colour", "operator": "=", "value": 1}]}, "no column colour"),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (
                ({"shares": {"group_a": "0.5"}}, "shares.group_b: missing"),
                ({"exclude": [{"table": "selecting.gone"}]}, "there is no table selecting.gone"),
                ({"caps": {"nowhere": "0.5"}}, "caps.nowhere: there is no such source"),
                ({"shares": {"group_a": "0.5", "group_b": "0.6"}}, "shares: sum to 11/10"),
                ({"shares": {"group_z": "1"}}, "shares.group_z: there is no such pool"),
                ({"floors": {"web": "0.3"}, "caps": {"web": "0.2"}}, "below the source's floor"),
                ({"where": [{"column": "metadata.n", "operator": ">", "value": True}]},
                 "True should be a number, or a text in quotes"),
                ({"score": {"table": "selecting.gone", "column": "x"}}, "there is no table"),
                ({"score": {"table": "selecting.documents", "column": "x"}}, "has no column x"),
                ({"keep_days": 365}, r"ALTER TABLE selecting.documents SET TBLPROPERTIES"),
                ({"budget": "1", "where": [{"column": "n_tokens", "operator": ">=", "value": 7}]},
                 r"1 is 1 of [\d,]+ tokens, less than the smallest document \(7 tokens\)"),
            )
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_selected_is_refused_and_changes_nothing(
    made: Made, changes: dict[str, Any], message: str
) -> None:
    lake, settings = made
    run(made, name="standing", budget="30%")
    before = standing(lake)
    with pytest.raises(InputError, match=message):
        checked_and_run(lake, chosen(settings, **changes))
    assert standing(lake) == before


def standing(lake: Lakehouse) -> Any:
    """What a refused selection leaves as it was."""
    tables = ("selections", "selection_cutoffs", "selected_documents")
    return [lake.version(table) for table in tables], ids(lake), lake.view_query("selected")


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


@pytest.mark.long
def test_scores_that_cannot_count_are_refused(made: Made) -> None:
    """Those of two students in a group, and a champion that has none."""
    lake, settings = made
    own, other = (selection_lake.student(lake, source) for source in ("code", "web"))
    before = standing(lake)
    for where, to, problem in (
        ("doc_id = 'code 1'", other, f"group_a has scores of {own} and {other}"),
        ("source_group = 'group_a'", "old/1", f"group_a has no scores of its champion {own}"),
        ("true", "old/1", "scores has none of the champions: run mira score-documents first"),
    ):
        changed = lake.read("scores").filter(where).select("doc_id", "student_id").collect()
        lake.update("scores", F.expr(where), {"student_id": F.lit(to)})
        with pytest.raises(InputError, match=problem):
            checked_and_run(lake, settings)
        for row in {r["student_id"] for r in changed}:
            ids_of = [r["doc_id"] for r in changed if r["student_id"] == row]
            lake.update("scores", F.col("doc_id").isin(ids_of), {"student_id": F.lit(row)})
    assert standing(lake) == before


@pytest.mark.long
def test_what_is_missing_is_told_and_a_dropped_table_selects_nothing(
    lake: Lakehouse, home: Path, tmp_path: Path
) -> None:
    settings = selection_lake.prepared(lake, home, tmp_path)
    lake.delete("scores", F.col("doc_id") == "code 1")
    assert select_documents.run(lake, settings, "r").message.endswith(
        "; 1 not scored (code): run mira score-documents"
    )
    names = {name: lake.name(name) for name in ("scores", "copy")}
    for statement in ("CREATE TABLE {copy} USING delta AS SELECT * FROM {scores}",
                      "DROP TABLE {scores}", "ALTER TABLE {copy} RENAME TO {scores}"):  # fmt: skip
        lake.spark.sql(statement.format(**names))
    assert lake.version("scores") == 0
    assert select_documents.inputs(lake, settings), "rows count, whatever the version"
    before, one = lake.version("selections"), record.selection_named(lake, "default")
    for table, problem in (
        ("source_groups", "source_groups has no grouping yet: run mira group-sources first"),
        ("scores", "scores is empty: run mira score-documents first"),
    ):
        lake.spark.sql(f"DROP TABLE {lake.name(table)}")
        create_tables(lake)
        with pytest.raises(InputError, match=problem):
            checked_and_run(lake, settings)
    assert lake.version("selections") == before
    (told,) = lost_versions.lost_versions(lake, [one]).values()
    assert f"scores version {one.versions[1]} cannot be read any more" in told


@pytest.mark.long
def test_the_versions_of_users_tables_are_told(made: Made) -> None:
    lake, settings = made
    lake.spark.sql("CREATE OR REPLACE TABLE selecting.pinned USING delta AS SELECT 'web 1' doc_id")
    table = {"exclude": [{"table": "selecting.pinned"}]}
    select_documents.run(lake, chosen(settings, **table), "r")
    one = record.selection_named(lake, "default")
    version = lake.version("pinned")
    assert one.tables == {"selecting.pinned": str(version)}
    assert f"selecting.pinned version {version}, seed 0" in one.made_from
    assert one.settings == chosen(settings, **table).selection
    lake.spark.sql("INSERT INTO selecting.pinned VALUES ('web 2')")
    select_documents.run(lake, chosen(settings, **table), "r")
    assert record.selection_named(lake, "default").tables == {"selecting.pinned": str(version + 1)}


def test_who_competes_by_what_has_an_id_of_its_own() -> None:
    settings = [
        SelectionSettings(),
        SelectionSettings(score="random"),
        SelectionSettings(duplicates="first"),
        SelectionSettings(duplicates="first", seed=1),
        SelectionSettings(temperature=1),
        SelectionSettings(temperature=1, seed=1),
        SelectionSettings.model_validate({"exclude": [{"table": "a"}]}),
    ]
    found = [candidates_digest(one) for one in settings]
    assert len(set(found)) == len(found)
    same = SelectionSettings(budget="10%", seed=5, max_document_share="5%", every_source="1%")
    assert candidates_digest(same) == "all"
    assert [one.is_predicate for one in settings] == [True, True, False, False, True, True, False]


def test_the_level_of_a_baseline_is_within_the_scale(spark: SparkSession) -> None:
    rows = spark.sql("SELECT 5S AS quality, n_tokens FROM VALUES (0L), (1L), (9999999999L) "
                     "AS t(n_tokens)")  # fmt: skip
    found = [r[0] for r in rows.select(F.expr(order.level_sql("length"))).collect()]
    assert found == [0, 301, 10_000]
