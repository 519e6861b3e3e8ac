"""The step: each document scored once, whatever fails and whoever else works; nothing twice."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from mira_spark.cli import plan_work
from mira_spark.distillation import champions, mlflow_runs, registry
from mira_spark.errors import BusyError, InputError
from mira_spark.lake import leases, runs
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.scoring import under_way, units, work as scoring_work
from mira_spark.steps import score_documents
from tests import scoring_lake
from tests.scoring.test_batches import linear
from tests.scoring_lake import FAILPOINTS, champion, prepared, tries

TEXTS = {f"doc {i}": f"text {i} of some, with words like {i % 7}" for i in range(16)}


def run(lake: Lakehouse, settings: Any, run_id: str = "r") -> Any:
    return score_documents.run(lake, settings, run_id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def noted(lake: Lakehouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where workers note from now on what they are given."""
    seen = folder / "seen"
    seen.mkdir()
    monkeypatch.setitem(lake.spark.sparkContext.environment, "MIRA_DRILL_ROWS", str(seen))
    return seen


SOME = ("unit.committed",)
REST = (pytest.param(p, marks=pytest.mark.long) for p in FAILPOINTS if p not in SOME)


@pytest.mark.parametrize("place", [*SOME, *REST])
def test_a_run_that_fails_anywhere_goes_on_from_there(
    lake: Lakehouse, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    monkeypatch.setenv("MIRA_FAILPOINTS", f"{place}=raise")
    with pytest.raises(DrillError, match=place):
        recorded(lake, settings, "first")
    monkeypatch.delenv("MIRA_FAILPOINTS")
    before = scoring_lake.rows(lake)
    planned = plan_work.open_units(lake, settings)
    again = recorded(lake, settings, "second")
    after = scoring_lake.rows(lake)
    assert again.rows_in == len(TEXTS) - len(before) == sum(unit.documents for unit in planned)
    assert plan_work.student_kinds(lake, settings) == {"group_a": "linear"}
    assert plan_work.open_units(lake, settings) == []
    assert plan_work.corpus_size(lake)[:2] == (len(TEXTS), 100 * len(TEXTS))
    assert set(map(str, before)) <= set(map(str, after))
    assert [row[0] for row in after] == sorted(TEXTS)
    assert lake.read("scored_documents").count() == len(TEXTS)
    later = scoring_lake.document("later", "a text") | {"source": "a new source"}
    lake.append_rows([later], "documents", "r")
    assert plan_work.open_units(lake, settings) == []
    assert plan_work.sources_without_group(lake, settings) == ["a new source"]


def recorded(lake: Lakehouse, settings: Any, run_id: str, do: Any = None) -> Any:
    plan = runs.StepInputs("score_documents", "digest")
    with (
        leases.hold_lease(lake, score_documents.WRITES) as claimed,
        runs.record_run(claimed, plan, run_id) as outcomes,
    ):
        outcomes.append((do or run)(claimed, settings, run_id))
    return outcomes[0]


@pytest.mark.long
def test_a_run_that_was_killed_counts_as_under_way(
    lake: Lakehouse, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    assert (
        under_way.progress_line(lake, settings.source_grouping, settings.student_registry) is None
    )
    # What is left of one whose process ended at once: the row of its start.
    monkeypatch.setattr(runs, "_finish", lambda *_: None)
    monkeypatch.setenv("MIRA_FAILPOINTS", "unit.committed=raise")
    with pytest.raises(DrillError):
        recorded(lake, settings, "first")
    done = len(scoring_lake.rows(lake))
    line = under_way.progress_line(lake, settings.source_grouping, settings.student_registry)
    assert line is not None
    assert f"web {done / len(TEXTS):.0%}" in line


@pytest.mark.long
def test_units_of_any_order_twice_and_together_are_there_once(
    lake: Lakehouse, home: Path, folder: Path
) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    with leases.hold_lease(lake, score_documents.WRITES) as claimed:
        sections = (settings.scoring, settings.source_grouping, settings.student_registry)
        work = scoring_work.work_now(claimed, *sections, "r")
        planned = work.open_units(scoring_work.tallies(work.documents()), work.scorers)
        assert len(planned) == 4
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda unit: score_documents._score(work, unit), planned[::-1]))
        list(map(lambda unit: score_documents._score(work, unit), (planned[2], planned[0])))
    assert [row[0] for row in scoring_lake.rows(lake)] == sorted(TEXTS)


@pytest.mark.long
def test_units_that_shared_one_id_are_scored_all_the_same(
    lake: Lakehouse, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delta skips the second silently."""
    settings = prepared(lake, home, folder, TEXTS)
    monkeypatch.setattr(units.Unit, "unit_id", lambda *_: "shared")
    run(lake, settings)
    assert [row[0] for row in scoring_lake.rows(lake)] == sorted(TEXTS)


@pytest.mark.long
def test_rows_removed_by_hand_are_scored_again(lake: Lakehouse, home: Path, folder: Path) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    run(lake, settings)
    lake.spark.sql(f"DELETE FROM {lake.name('scores')} WHERE doc_id IN ('doc 1', 'doc 2')")
    assert run(lake, settings).rows_in == 2
    assert [row[0] for row in scoring_lake.rows(lake)] == sorted(TEXTS)


@pytest.mark.long
def test_only_what_changed_or_is_new_is_scored(
    lake: Lakehouse, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = noted(lake, folder, monkeypatch)
    settings = prepared(lake, home, folder, TEXTS)
    run(lake, settings)
    scoring_lake.add(lake, {"new": "a new one", "newer": "another"})
    changed = {"text": F.lit("changed"), "content_hash": F.unhex(F.lit("ab" * 16))}
    lake.update("documents", F.col("doc_id") == "doc 3", changed)
    assert run(lake, settings).rows_in == 3
    assert lake.read("scored_documents").count() == len(TEXTS) + 2
    assert run(lake, settings).rows_in == 0
    assert tries(seen) == Counter([*TEXTS.values(), "a new one", "another", "changed"])


@pytest.mark.long
def test_a_new_mask_over_the_same_weights_needs_no_model(
    lake: Lakehouse, home: Path, folder: Path
) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    run(lake, settings)
    before = {row[0]: row for row in scoring_lake.rows(lake)}
    other = champion(lake, settings, folder / "again", linear(1), (True, False, True))
    (Path(other.artefact_uri) / "model.safetensors").unlink()
    done = run(lake, settings)
    assert done.rows_in == 0
    assert "16 scores calibrated anew, without the model" in done.message
    after = {r[0]: r for r in scoring_lake.rows(lake) if r[1] == other.student_id}
    assert {d: r[2] for d, r in after.items()} == {d: r[2] for d, r in before.items()}
    assert {d: r[4] for d, r in after.items()} != {d: r[4] for d, r in before.items()}
    assert lake.read("scored_documents").count() == len(TEXTS)


@pytest.mark.long
def test_other_weights_score_everything_anew(lake: Lakehouse, home: Path, folder: Path) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    run(lake, settings)
    champion(lake, settings, folder / "other", linear(2))
    assert run(lake, settings).rows_in == len(TEXTS)


def test_what_kills_its_worker_is_a_row_and_the_rest_is_scored(
    lake: Lakehouse, home: Path, folder: Path
) -> None:
    killers = {"segfault": "kill: segfault", "exit": "kill: exit"}
    settings = prepared(lake, home, folder, TEXTS | killers, unit_tokens=1_000)
    done = run(lake, settings)
    assert done.status == "degraded"
    assert done.rows_rejected == 2
    found = {row[0]: row for row in scoring_lake.rows(lake)}
    assert sorted(found) == sorted(TEXTS | killers)
    assert found["segfault"][6] == "killed its worker: signal SIGSEGV"
    assert found["exit"][6] == "killed its worker: exit code 3"
    assert {d for d, row in found.items() if row[5] == "quarantined"} == set(killers)


def test_an_outage_leaves_documents_for_the_next_run_and_a_retry_scores_what_was_quarantined(
    lake: Lakehouse, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = folder / "down"
    down.mkdir()
    monkeypatch.setitem(lake.spark.sparkContext.environment, "MIRA_DRILL_DOWN", str(down))
    for what in ("server", "odd"):
        (down / what).touch()
    trouble = {"served 1": "server: a", "served 2": "server: b", "odd 1": "odd: a"}
    settings = prepared(lake, home, folder, TEXTS | trouble, unit_tokens=1_000)
    stopped = recorded(lake, settings, "first")
    assert (stopped.status, stopped.rows_in, stopped.rows_rejected) == ("stopped", 17, 1)
    assert stopped.message == (
        "2 documents are not scored yet: the server is down. The same command goes on with them; "
        "17 documents scored in 2 units, 17 in all; 1 quarantined (5.88%), see scores.reason"
    )
    assert {row[0] for row in scoring_lake.rows(lake)} == {*TEXTS, "odd 1"}
    assert lake.read("scored_documents").count() == 17

    (down / "server").unlink()
    assert recorded(lake, settings, "second").rows_in == 2
    found = {row[0]: row for row in scoring_lake.rows(lake)}
    assert sorted(found) == sorted(TEXTS | trouble)
    assert found["odd 1"][5:7] == ("quarantined", "ValueError: odd text")
    assert recorded(lake, settings, "third").rows_in == 0, "what is quarantined stays so"

    (down / "odd").unlink()
    monkeypatch.setenv("MIRA_FAILPOINTS", "quarantined.removed=raise")
    assert score_documents.missing(lake, settings) == []
    with pytest.raises(DrillError):
        recorded(lake, settings, "fourth", score_documents.retry)
    monkeypatch.delenv("MIRA_FAILPOINTS")
    assert score_documents.missing(lake, settings) == ["its last run did not end"]
    done = recorded(lake, settings, "fifth", score_documents.retry)
    assert (done.status, done.rows_in, done.rows_rejected) == ("done", 1, 0)
    assert score_documents.missing(lake, settings) == []
    after = scoring_lake.rows(lake)
    assert [row[0] for row in after] == sorted(TEXTS | trouble)
    assert {row[5] for row in after} == {"scored"}


def test_a_student_that_took_the_version_of_another_has_none_of_its_scores(
    lake: Lakehouse, home: Path, folder: Path
) -> None:
    settings = prepared(lake, home, folder, TEXTS, unit_tokens=2_000)
    run(lake, settings)
    name = registry.model_name(settings.student_registry, "group_a")
    mlflow_runs.client(settings.student_registry).delete_registered_model(name)
    other = champion(lake, settings, folder / "other", linear(2))
    assert other.student_id.startswith(f"{name}/1-")
    assert run(lake, settings).rows_in == len(TEXTS)
    with pytest.raises(InputError, match=f"{name}/1 names 2 students: say which of {name}/1-"):
        champions.promote(lake, settings.student_registry, f"{name}/1", False)
    said = champions.promote(lake, settings.student_registry, other.student_id, False)
    assert said == f"group_a: {other.student_id} is champion"


@pytest.mark.long
def test_ten_that_kill_their_worker_are_ten_rows_after_three_tries(
    lake: Lakehouse, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = noted(lake, folder, monkeypatch)
    kinds = ("segfault", "exit", "abort", "hang", "kernel")
    killers = {f"{kind} {i}": f"kill: {kind} {i}" for kind in kinds for i in range(2)}
    settings = prepared(lake, home, folder, TEXTS | killers)
    soon = settings.scoring.model_copy(update={"hung_after_s": 10})
    done = run(lake, settings.model_copy(update={"scoring": soon}))
    assert (done.status, done.rows_rejected) == ("degraded", 10)
    found = {row[0]: row for row in scoring_lake.rows(lake)}
    assert sorted(found) == sorted(TEXTS | killers)
    assert {d for d, row in found.items() if row[5] == "quarantined"} == set(killers)
    assert found["hang 0"][6] == "killed its worker: it took more than 10 s"
    assert {tries(seen)[text] for text in killers.values()} <= {1, 2, 3}
    assert set(TEXTS.values()) <= set(tries(seen))


@pytest.mark.long
def test_of_two_drivers_one_scores_and_the_other_is_told(
    lake: Lakehouse, home: Path, folder: Path
) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    drivers = [lake, Lakehouse(lake.spark.newSession(), lake.namespace)]
    together = threading.Barrier(2)

    def start(own: Lakehouse) -> str:
        together.wait()
        try:
            with leases.hold_lease(own, score_documents.WRITES) as claimed:
                return str(run(claimed, settings).message)
        except BusyError as error:
            return str(error)

    for _ in range(10):
        lake.spark.sql(f"DELETE FROM {lake.name('scores')}")
        with ThreadPoolExecutor(2) as pool:
            said = sorted(pool.map(start, drivers))
        assert said[0].startswith("16 documents scored in 4 units")
        # The lease was held until the end, or was free again while it was watched.
        assert "works on it: wait until it ends" in said[1] or said[1].startswith("0 documents")
        assert [row[0] for row in scoring_lake.rows(lake)] == sorted(TEXTS)


@pytest.mark.long
def test_a_source_that_no_group_knows_is_an_error_before_anything(
    lake: Lakehouse, home: Path, folder: Path
) -> None:
    settings = prepared(lake, home, folder, TEXTS)
    lake.update("documents", F.col("doc_id") == "doc 1", {"source": F.lit("stranger")})
    with pytest.raises(InputError, match="does not know stranger: run mira group-sources first"):
        run(lake, settings)
    assert scoring_lake.rows(lake) == []
