"""What `mira status` says of steps that ended: for each selection by name, and degraded ones."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mira_spark import pipeline
from mira_spark.cli.status import Status, StepState, pipeline_status, show_status
from mira_spark.cli.summary import run_answer
from mira_spark.corpus.groups import source_groups
from mira_spark.lake import runs
from mira_spark.lake.creation import create_tables
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.plain_values import plain
from mira_spark.process.progress import console
from mira_spark.scoring import checks
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.root import Settings
from tests import selection_lake

Made = tuple[Lakehouse, Settings]


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    spark.sql("CREATE SCHEMA asked")
    lake = Lakehouse(spark, "asked")
    settings = selection_lake.prepared(lake, home, tmp_path_factory.mktemp("asked"))
    create_tables(lake)
    yield lake, settings
    spark.sql("DROP SCHEMA asked CASCADE")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of the others is of no interest here, and takes a look at every installed file."""
    few = {name: pipeline.STEPS[name] for name in ("score_documents", "select_documents")}
    monkeypatch.setattr(pipeline, "STEPS", few)


def test_a_status_is_shown_with_reasons_a_scoring_and_what_is_lost() -> None:
    ended = datetime(2026, 11, 30, 5, 16, tzinfo=UTC)
    steps = [
        StepState("score_documents", "done", "", ended, "9 documents scored"),
        StepState("select_documents", "stale", "never finished", None, None),
    ]
    with console.capture() as capture:
        show_status(Status(steps, "3 of 9 documents", ["selection a is lost"], "mira run"))
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert lines[1:] == [
        "score_documents done 2026-11-30 05:16 9 documents scored",
        "select_documents stale: never finished",
        "scoring: 3 of 9 documents",
        "selection a is lost",
        "Next: mira run",
    ]


@pytest.mark.long
def test_a_second_selection_leaves_the_first_done(made: Made) -> None:
    lake, settings = made
    named = [
        settings.model_copy(
            update={"selection": settings.selection.model_copy(update={"name": n, "budget": b})}
        )
        for n, b in (("first", "30%"), ("second", "60%"))
    ]
    for each in named:
        assert pipeline.perform(lake, each, "r", ["select_documents"]) == 0
    answer = plain(run_answer(lake, "r", 0))
    assert (answer["run_id"], answer["exit_code"]) == ("r", 0)
    (step,) = answer["steps"]
    assert (step["step"], step["status"], step["run_id"]) == ("select_documents", "done", "r")
    assert " documents, " in step["message"]
    states = [pipeline.status(lake, each)["select_documents"] for each in named]
    assert states == ["done", "done"]
    third = settings.model_copy(
        update={"selection": settings.selection.model_copy(update={"name": "third"})}
    )
    assert pipeline.status(lake, third)["select_documents"] == "stale: never finished"
    before = lake.version("selections")
    assert pipeline.perform(lake, named[0], "r", ["select_documents"]) == 0
    assert lake.version("selections") == before


def test_a_degraded_step_is_shown_as_degraded_with_its_message_and_the_next_command(
    made: Made, home: Path
) -> None:
    """Also after it was asked for again and had nothing to do."""
    lake, settings = made
    scorers = champion_scorers(
        lake, settings.student_registry, source_groups(lake, settings.source_grouping).values()
    )
    students = [scorer.student_id for scorer in scorers.values()]
    checks.record_check(lake, lake.snapshot("documents"), students, True, "r")  # as the step does
    plan = pipeline.step_inputs(lake, settings, "score_documents")
    with runs.record_run(lake, plan, "r") as outcomes:
        outcomes.append(Outcome("no champion for group_c", "degraded"))
    last = runs.last_finished(lake, "default")["score_documents"]
    lake.append_rows([runs.idle_row(plan, last, "later")], "runs", "later")
    state = pipeline.status(lake, settings)["score_documents"]
    assert state == "degraded: no champion for group_c"
    at_home = settings.model_copy(update={"folder": home})
    with console.capture() as capture:
        show_status(pipeline_status(at_home, "my file.yaml"))
    assert "no champion for group_c" in capture.get()
    assert capture.get().splitlines()[-1] == "Next: mira run --config 'my file.yaml'"
