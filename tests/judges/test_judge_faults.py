"""A judge that fails in every way there is loses no label and bends none, and tells no key."""

import base64
import json
import logging
import random
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest

from mira_spark.judges import prompts
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.ledger import Answered, Ledger, answered
from mira_spark.judges.calls.pacing import JudgeUnavailable, Pacer
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.calls.spending import Spending
from mira_spark.judges.calls.throttle import AT_FIRST
from mira_spark.judges.openai_compatible import OpenAIJudge
from mira_spark.judges.protocol import Answer, Request
from mira_spark.judges.reading import Labels
from mira_spark.settings.judge import BudgetSettings, ModelSettings, PacingSettings, Price
from tests.judge_driver import again, asked, parse
from tests.judge_faults import FAULTS, Fault, always, drawn
from tests.judge_stub import JudgeStub, by_hash

FREE = Price(input=Decimal(0), output=Decimal(0), read_on=date(2026, 1, 1))
KEY = "sk-canary/7+secret=A1b2C3d4E5"
# Waits are as long as they are by order of the settings alone; here next to nothing.
PACING = PacingSettings(in_flight=64, base_s=0.001, cap_s=0.005, retry_after_cap_s=0.002)


@dataclass
class Office:
    """A desk before a stub, with `judge_calls` in memory."""

    stub: JudgeStub
    folder: Path
    timeout_s: float = 0.5
    table: dict[tuple[str, int], Sequence[CallRow]] = field(default_factory=dict)

    def judge(self) -> OpenAIJudge:
        settings = ModelSettings(
            kind="openai",
            model="stub",
            url=self.stub.url,
            hosts=("127.0.0.1",),
            timeout_s=self.timeout_s,
        )
        return OpenAIJudge(settings, Secret(KEY))

    def sink(self, opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        self.table[opening, batch] = rows

    def rows(self) -> list[CallRow]:
        return [row for batch in self.table.values() for row in batch]

    def known(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        wanted = set(keys)
        return {
            row.call_key: Answer(row.raw_response, row.outcome or "answered", row.reason)
            for row in self.rows()
            if row.call_key in wanted and row.outcome != "failed"
        }

    def ask(
        self, requests: Iterable[Request], reasks: int = 1, stops: bool = True
    ) -> list[Answered[Labels]]:
        """What came of the requests in one run, which the judge may end early where it `stops`."""
        judge = self.judge()
        ledger = Ledger(self.known, parse, lambda request: again(judge, request), reasks)
        budget = Spending(BudgetSettings(), FREE)
        found = []
        with (
            Journal(self.folder / "judge.sqlite", self.sink) as journal,
            Desk(judge, journal, budget, Pacer(PACING, random.Random(0)), "run") as desk,
        ):
            try:
                for each in answered(requests, desk, ledger):
                    found.append(each)
            except JudgeUnavailable:
                if not stops:
                    raise
        assert budget.reserved.tokens == 0
        return found


def undisturbed(requests: Iterable[Request]) -> dict[str, list[int | None]]:
    """The scores the stub gives where nothing goes wrong."""
    found = {}
    for request in requests:
        messages = [{"role": role, "content": text} for role, text in request.messages]
        text = by_hash(messages, prompts.schema(request.anchors))
        found[request.doc_id] = parse(request, text).scores
    return found


def run_with_faults(documents: int, folder: Path) -> None:
    with JudgeStub(faults=drawn(0.3, 1, FAULTS)) as stub:
        office = Office(stub, folder)
        pending = {r.doc_id: r for r in asked(office.judge(), documents)}
        expected = undisturbed(pending.values())
        accepted: dict[str, list[int | None]] = {}
        for attempt in range(1, 40):
            found = office.ask(pending.values(), reasks=attempt)
            assert len({each.request.doc_id for each in found}) == len(found), "one outcome each"
            for each in found:
                if each.answer.outcome == "answered":
                    assert each.value is not None
                    accepted[each.request.doc_id] = each.value.scores
                    del pending[each.request.doc_id]
                else:
                    assert each.answer.reason, "what is not answered says why"
            if not pending:
                break
        assert accepted == expected, "nothing lost, nothing bent"
        assert len(stub.calls) <= 1.6 * documents
        kinds = {call.fault for call in stub.calls}
        assert len(kinds - {None}) >= 40


def test_faults_in_a_third_of_the_calls_change_no_label(tmp_path: Path) -> None:
    run_with_faults(1_500, tmp_path)


@pytest.mark.long
def test_faults_in_a_third_of_the_calls_change_no_label_of_many(tmp_path: Path) -> None:
    run_with_faults(20_000, tmp_path)


def test_a_judge_without_schemas_stops_with_the_setting_that_mends_it_and_nothing_spent(
    tmp_path: Path,
) -> None:
    said = "'response_format' of type 'json_schema' is not supported with this model"
    body = json.dumps({"error": {"message": said}}).encode()
    fault = Fault("no_schema", "failed", 400, body=lambda _, key: body)
    with JudgeStub(faults=always(fault)) as stub:
        office = Office(stub, tmp_path)
        with pytest.raises(JudgeUnavailable) as caught:
            office.ask(asked(office.judge(), 100), stops=False)
        assert len(stub.calls) < 5 + AT_FIRST
    assert str(caught.value) == (
        f"the first calls were refused, 5 in a row with status 400: {said}; set "
        "judge.answer_format to json_object, or judge.parameters to {response_format: null} for a "
        "server that takes no form of answer at all"
    )
    assert all((row.outcome, row.cost_nanos) == ("failed", 0) for row in office.rows())


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_no_failing_state_writes_the_key_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every fault there is, its body telling the key it was called with where it can."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    with JudgeStub() as stub:
        for number, fault in enumerate(FAULTS):
            folder = tmp_path / f"{number}"
            folder.mkdir()
            echoing = replace(fault, body=fault.body or (lambda body, key: body + key.encode()))
            stub.faults = always(echoing)
            office = Office(stub, folder, timeout_s=0.2)
            requests = list(asked(office.judge(), 1))
            try:
                found = office.ask(requests, reasks=0)
                told += [repr(each) for each in found]
            except Exception as error:
                told.append("".join(traceback.format_exception(error)))
            told += [repr(row) for row in office.rows()]
            told.append(repr(vars(office.judge())))
    told += [caplog.text, *capfd.readouterr()]
    everything = "".join(told).encode() + written(tmp_path)
    assert len(FAULTS) >= 40
    forms = (KEY, base64.b64encode(KEY.encode()).decode(), quote(KEY, safe=""))
    for form in forms:
        assert form.encode() not in everything, form
