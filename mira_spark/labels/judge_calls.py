"""The table `judge_calls`: what was answered and spent before, and the calls that are added."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal

from pyspark.sql import Row, functions as F

from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.prices import NANOS
from mira_spark.judges.calls.spending import Spent
from mira_spark.judges.protocol import Answer
from mira_spark.labels import canaries
from mira_spark.lake.tables import Lakehouse


def append(
    lake: Lakehouse,
    calls: Sequence[CallRow],
    run_id: str,
    transaction: tuple[str, int],
    again: bool,
) -> None:
    """Add the calls, each once; they are in the table when it returns. `transaction` and `again` as
    in `Lakehouse.append`."""
    rows = [vars(call) | {"cost_usd": Decimal(call.cost_nanos).scaleb(-9)} for call in calls]
    lake.append_rows(rows, "judge_calls", run_id, transaction, again)


def answers(lake: Lakehouse, rubric_id: str | None, keys: Sequence[str]) -> dict[str, Answer]:
    """Those of the keys that have an answer, in discoveries (no rubric) or labellings on a rubric.
    Whatever group they were asked for: a group may get another name, and is asked nothing anew."""
    calls = lake.read("judge_calls").filter(F.col("rubric_id").eqNullSafe(F.lit(rubric_id)))
    found = calls.filter((F.col("outcome") != "failed") & F.col("call_key").isin(list(keys)))
    return {row["call_key"]: _answer(row) for row in found.collect()}


def spent(lake: Lakehouse, run_id: str, day: date) -> tuple[Spent, Spent, dict[str, Spent]]:
    """What was spent so far: in the run, on this day of UTC or later, and on each source.

    Later ones are of a time when the clock was ahead: they reset no cap.
    """
    midnight = datetime.combine(day, time(), UTC).timestamp()
    today = F.unix_seconds("answered_at") >= int(midnight)
    usd, tokens = F.sum("cost_usd"), F.sum(F.col("input_tokens") + F.col("output_tokens"))
    scopes = ("source", (F.col("run_id") == run_id).alias("in_run"), today.alias("in_day"))
    rows = lake.read("judge_calls").groupBy(*scopes).agg(usd, tokens)
    run, of_day, by_source = Spent(), Spent(), dict[str, Spent]()
    for source, is_of_run, is_of_day, dollars, n_tokens in rows.collect():
        some = Spent(int(dollars * NANOS), n_tokens)
        run = run + some if is_of_run else run
        of_day = of_day + some if is_of_day else of_day
        by_source[source] = by_source.get(source, Spent()) + some
    return run, of_day, by_source


def largest_output(lake: Lakehouse, judge: str) -> int:
    """The most output tokens that one call to this judge was billed; 0 without a call."""
    calls = lake.read("judge_calls").filter((F.col("judge") == judge) & (F.col("attempts") == 1))
    answered = calls.filter(F.col("outcome") != "failed")
    most: int | None = answered.agg(F.max("output_tokens")).collect()[0][0]
    return most or 0


def highest_replicate(lake: Lakehouse) -> int:
    """The highest replicate number there is, those of canaries apart; 0 without a call."""
    calls = lake.read("judge_calls").filter(F.col("replicate") < canaries.FIRST)
    most: int | None = calls.agg(F.max("replicate")).collect()[0][0]
    return most or 0


def _answer(row: Row) -> Answer:
    return Answer(
        raw_response=row["raw_response"],
        outcome=row["outcome"],
        reason=row["reason"],
        input_tokens=row["input_tokens"],
        cached_input_tokens=row["cached_input_tokens"],
        output_tokens=row["output_tokens"],
        attempts=row["attempts"],
        latency_ms=row["latency_ms"],
        model=row["answered_by"] or "",
        cost_nanos=int(row["cost_usd"] * NANOS),
    )
