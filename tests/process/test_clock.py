"""A clock that somebody set, or another time zone, changes neither what was spent today nor which
run is the latest."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.spending import Spent
from mira_spark.labels import judge_calls
from mira_spark.lake import runs
from mira_spark.lake.clock import clock_after
from mira_spark.lake.creation import create_tables
from mira_spark.lake.runs import Outcome, StepInputs
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.clock import steady_clock

NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


def call(at: datetime, tokens: int = 1, **changes: object) -> CallRow:
    given: dict[str, object] = {
        "call_key": "k", "purpose": "label", "doc_id": "d", "source_group": "g", "source": "s",
        "rubric_id": None, "judge": "openai:m", "answered_by": None, "raw_response": "{}",
        "outcome": "answered", "reason": None, "input_tokens": tokens, "cached_input_tokens": 0,
        "output_tokens": 0, "cost_nanos": 1_000 * tokens, "attempts": 1, "latency_ms": 1,
        "replicate": 0, "run_id": "run", "answered_at": at,
    }  # fmt: skip
    return CallRow(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "Pacific/Niue"])
def zone(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[str]:
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", request.param)
    yield request.param
    spark.conf.set("spark.sql.session.timeZone", before)


def test_a_steady_clock_begins_after_what_is_recorded_and_goes_on() -> None:
    now, clock = datetime.now(UTC), steady_clock()
    assert timedelta(0) <= clock() - now < timedelta(minutes=10)
    ahead = now + timedelta(days=400)
    later = steady_clock(ahead)
    first, second = later(), later()
    assert ahead < first <= second < ahead + timedelta(minutes=1)
    behind = steady_clock(now - timedelta(days=400))
    assert timedelta(0) <= behind() - now < timedelta(minutes=10)


def test_what_was_spent_today_is_of_the_day_of_utc_in_every_time_zone(
    lake: Lakehouse, zone: str
) -> None:
    create_tables(lake, ["judge_calls"])
    second = timedelta(seconds=1)
    times = [MIDNIGHT - second, MIDNIGHT, MIDNIGHT + 24 * 3_600 * second - second]
    rows = [call(at, tokens=10**i, call_key=str(i)) for i, at in enumerate(times)]
    judge_calls.append(lake, rows, "run", ("journal", 1), again=False)
    _, today, _ = judge_calls.spent(lake, "run", MIDNIGHT.date())
    assert today == Spent(110_000, 110)


def test_calls_of_a_clock_that_was_ahead_count_as_today_s(lake: Lakehouse) -> None:
    create_tables(lake, ["judge_calls"])
    ahead = call(NOW + timedelta(days=3), tokens=7)
    judge_calls.append(lake, [ahead], "run", ("journal", 1), again=False)
    assert judge_calls.spent(lake, "run", MIDNIGHT.date())[1].tokens == 7
    clock = clock_after(lake, "judge_calls", "answered_at")
    assert ahead.answered_at < clock() < ahead.answered_at + timedelta(minutes=10)


def test_the_largest_bill_is_of_single_calls_to_this_judge(lake: Lakehouse) -> None:
    create_tables(lake, ["judge_calls"])
    assert judge_calls.largest_output(lake, "openai:m") == 0
    rows = [
        call(NOW, call_key="a", output_tokens=70),
        call(NOW, call_key="b", output_tokens=900, attempts=2),
        call(NOW, call_key="c", output_tokens=900, outcome="failed"),
        call(NOW, call_key="d", output_tokens=900, judge="openai:other"),
    ]
    judge_calls.append(lake, rows, "run", ("journal", 1), again=False)
    assert judge_calls.largest_output(lake, "openai:m") == 70


def test_the_latest_run_is_the_last_one_also_after_the_clock_was_set_back(lake: Lakehouse) -> None:
    create_tables(lake, ["runs"])
    old, new = StepInputs("label_documents", "old"), StepInputs("label_documents", "new")
    ahead = NOW + timedelta(days=30)
    lake.append_rows(
        [
            {
                "run_id": "1", "step": old.step, "status": "done", "started_at": ahead,
                "finished_at": ahead, "settings_digest": "old", "package_version": "0",
                "inputs": {}, "message": "",
            }
        ],
        "runs",
        "1",
    )  # fmt: skip
    with runs.record_run(lake, new, "2") as outcomes:
        outcomes.append(Outcome("did it"))
    last = runs.last_finished(lake, "default")["label_documents"]
    assert (last["run_id"], last["settings_digest"]) == ("2", "new")
    assert runs.stale_reasons(new, last) == []
    seconds = (last["finished_at"] - last["started_at"]).total_seconds()
    assert 0 <= seconds < 600
