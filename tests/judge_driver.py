"""A driver to be killed: it labels documents by a judge on loopback, through the ledger, with
`judge_calls` a Delta table, and writes the labels when all are there.

`python -m tests.judge_driver FOLDER URL DOCUMENTS`; in a folder with an earlier run's journal and
table it goes on from there.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from mira_spark.judges import defence, prompts, reading
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.ledger import Ledger, answered
from mira_spark.judges.calls.pacing import Pacer
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.calls.spending import Spending
from mira_spark.judges.openai_compatible import OpenAIJudge
from mira_spark.judges.protocol import Anchor, Answer, Request
from mira_spark.judges.reading import Labels
from mira_spark.settings.judge import BudgetSettings, ModelSettings, PacingSettings, Price

IN_FLIGHT = 16
FLUSH_ANSWERS = 8
PRICE = Price(input=Decimal(1), output=Decimal(2), read_on=date(2026, 1, 1))
ANCHORS = tuple(Anchor(i, f"dimension {i}", "What it means.") for i in range(3))
OUTCOME = pa.field("outcome", pa.string())


def run(folder: Path, url: str, documents: int, report: Callable[[str], None]) -> None:
    """Label documents 0 to `documents`; `report` is told of each point passed on the way."""
    table = str(folder / "judge_calls")
    settings = ModelSettings(kind="openai", model="stub", url=url, hosts=("127.0.0.1",))
    judge = OpenAIJudge(settings, Secret("none"))
    budget = Spending(BudgetSettings(), PRICE)
    pacer = Pacer(PacingSettings(in_flight=IN_FLIGHT), random.Random(0))
    ledger = Ledger(lambda keys: known(table, keys), parse, lambda r: again(judge, r))

    def sink(opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        report(f"batch {batch}")
        append(table, (opening, batch), without_known(table, rows) if again else rows)
        report(f"batch {batch} is in the table")

    report("opening")
    if DeltaTable.is_deltatable(table):
        DeltaTable(table).optimize.compact()  # look-ups in many small files would take most time
    with (
        Journal(folder / "judge.sqlite", sink, flush_answers=FLUSH_ANSWERS) as journal,
        Desk(judge, journal, budget, pacer, run_id="run") as desk,
    ):
        report("open")
        found = answered(asked(judge, documents), desk, ledger)
        labels = {each.request.doc_id: each.value.scores for each in found if each.value}
    (folder / "labels.json").write_text(json.dumps(labels, sort_keys=True))


def asked(judge: OpenAIJudge, documents: int) -> Iterator[Request]:
    """The question about each document."""
    templates = prompts.load()
    for i in range(documents):
        text = f"Document {i} says what {i % 7} others say."
        code = defence.boundary(text, b"salt")
        messages = prompts.messages(templates, text, code, ANCHORS)
        whole = Request(
            "", "label", str(i), "group_a", text, ANCHORS, messages, source="books", code=code
        )
        yield replace(whole, call_key=key(judge, whole))


def key(judge: OpenAIJudge, request: Request) -> str:
    """The request's call_key."""
    schema = prompts.schema(request.anchors)
    return prompts.call_key(judge.identity, request.messages, schema, None, request.replicate)


def again(judge: OpenAIJudge, request: Request) -> Request:
    """The same under the next replicate."""
    next_one = replace(request, replicate=request.replicate + 1)
    return replace(next_one, call_key=key(judge, next_one))


def parse(request: Request, text: str) -> Labels:
    """The scores of an answer."""
    return reading.parse_labels(text, request.code, [a.slot for a in request.anchors])


def rows_of(table: str) -> ds.Dataset:
    """The rows of `judge_calls`."""
    return DeltaTable(table).to_pyarrow_dataset()


def known(table: str, keys: Sequence[str]) -> Mapping[str, Answer]:
    """The answers in the table."""
    if not DeltaTable.is_deltatable(table):
        return {}
    is_answer = ds.field("call_key").isin(keys) & (ds.field("outcome") != "failed")
    columns = ["call_key", "raw_response", "outcome"]
    found = rows_of(table).to_table(columns, filter=is_answer).to_pylist()
    return {row["call_key"]: Answer(row["raw_response"], row["outcome"]) for row in found}


def without_known(table: str, rows: Sequence[CallRow]) -> Sequence[CallRow]:
    """The rows that the table does not have."""
    if not DeltaTable.is_deltatable(table):
        return rows
    there = rows_of(table).to_table(["call_key", "answered_at"]).to_pylist()
    known = {(row["call_key"], row["answered_at"]) for row in there}
    return [row for row in rows if (row.call_key, row.answered_at) not in known]


def append(table: str, name: tuple[str, int], rows: Sequence[CallRow]) -> None:
    """One commit."""
    transaction = CommitProperties(app_transactions=[Transaction(*name)])
    content = pa.Table.from_pylist([vars(row) for row in rows], SCHEMA)
    write_deltalake(table, content, mode="append", commit_properties=transaction)


def _schema() -> pa.Schema:
    kinds = {"answered_at": pa.timestamp("us", "UTC")}
    numbers = ("_tokens", "_nanos", "_ms", "attempts", "replicate")
    names = CallRow.__dataclass_fields__
    return pa.schema(
        (name, kinds.get(name, pa.int64() if name.endswith(numbers) else pa.string()))
        for name in names
    )


SCHEMA = _schema()

if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), lambda event: None)
