"""The judge as the steps use it: sampled documents become requests, answers come from the ledger
in `judge_calls` or from the judge, and are recorded before they are read."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from mira_spark import corpus, prompts
from mira_spark.judges.heuristic import HeuristicJudge
from mira_spark.judges.ledger import Ledger
from mira_spark.judges.protocol import Answer, Judge, Purpose, Request
from mira_spark.judges.settings import JudgeSettings
from mira_spark.rubrics import Rubric
from mira_spark.tables import Lakehouse

CHUNK = 1_024
"""Documents held by the driver at a time, and answers per commit to the ledger."""


def open_judge(settings: JudgeSettings) -> Judge:
    """The configured judge."""
    return HeuristicJudge()


def shown(documents: DataFrame, window_tokens: int) -> DataFrame:
    """doc_id, source, content_hash and `document`: what the judge sees, cut before it travels."""
    window = corpus.windows_column(F.col("text"), window_tokens)
    return documents.select("doc_id", "source", "content_hash", window.alias("document"))


def request(
    row: Row, source_group: str, judge: Judge, purpose: Purpose, rubric: Rubric | None
) -> Request:
    """The question about one row of `shown`; with a rubric a labelling, else a discovery."""
    anchors = rubric.anchors if rubric else ()
    messages = prompts.messages(row["document"], anchors)
    replicate = 1 if purpose == "repeat" else 0
    return Request(
        call_key=prompts.call_key(
            judge.name, messages, rubric.rubric_id if rubric else None, replicate
        ),
        purpose=purpose,
        doc_id=row["doc_id"],
        source_group=source_group,
        document=row["document"],
        anchors=anchors,
        messages=messages,
        replicate=replicate,
    )


def chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists of CHUNK: the driver's memory does not grow with the sample."""
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk


def open_ledger(
    lake: Lakehouse, judge: Judge, run_id: str, source_group: str, rubric: Rubric | None
) -> Ledger:
    """The ledger of one group's discovery (no rubric) or labelling, over `judge_calls`.

    Keys are looked up only where the group has calls from an earlier run: this run asks each once.
    """
    rubric_id = rubric.rubric_id if rubric else None
    calls = lake.read("judge_calls").filter(F.col("outcome") == "answered")
    calls = calls.filter(F.col("source_group") == source_group)
    calls = calls.filter(F.col("rubric_id").eqNullSafe(F.lit(rubric_id)))
    empty = calls.isEmpty()

    def known(keys: Sequence[str]) -> Mapping[str, Answer]:
        if empty:
            return {}
        wanted = lake.rows_of([(key,) for key in keys], "call_key string")
        found = calls.join(F.broadcast(wanted), on="call_key", how="left_semi")
        rows = found.select("call_key", "raw_response").collect()
        return {row["call_key"]: Answer(row["raw_response"]) for row in rows}

    def record(answers: Sequence[tuple[Request, Answer]]) -> None:
        rows = [_call(r, a, judge.name, rubric_id, run_id) for r, a in answers]
        lake.append_rows(rows, "judge_calls", run_id)

    return Ledger(known, record)


def _call(
    request: Request, answer: Answer, judge: str, rubric_id: str | None, run_id: str
) -> dict[str, object]:
    return {
        "call_key": request.call_key,
        "purpose": request.purpose,
        "doc_id": request.doc_id,
        "source_group": request.source_group,
        "rubric_id": rubric_id,
        "judge": judge,
        "raw_response": answer.raw_response,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "input_tokens": answer.input_tokens,
        "cached_input_tokens": answer.cached_input_tokens,
        "output_tokens": answer.output_tokens,
        "cost_usd": Decimal(0),
        "attempts": answer.attempts,
        "latency_ms": answer.latency_ms,
        "replicate": request.replicate,
        "run_id": run_id,
        "answered_at": datetime.now(UTC),
    }
