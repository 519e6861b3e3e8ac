"""Two judges of one run at two prices: one journal, one set of caps."""

import random
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from mira_spark.judges.calls.ledger import Ledger, answered
from mira_spark.judges.calls.pacing import Pacer
from mira_spark.judges.calls.spending import CapReached, Spent
from mira_spark.judges.protocol import Answer, Request
from mira_spark.settings.judge import Caps, PacingSettings, Price
from tests.judges.calls.test_ledger import Office, Voice, request

CHEAP = Price(input=Decimal("0.1"), output=Decimal(0), read_on=date(2026, 1, 1))


def embedding(text: str) -> Request:
    return Request(f"e{text}", "embed", text, "", text, (), (("input", text),), source="texts")


def vectors() -> Voice:
    """Bills 30 tokens of input and none of output."""
    return Voice(lambda request: Answer("7", input_tokens=30), max_output_tokens=0)


def embed(office: Office, texts: list[str], keys: list[str] | None = None) -> Voice:
    """Ask the office's judge about the keys, and one beside it about the texts."""
    voice = vectors()
    with office.open() as (desk, ledger):
        list(answered(map(request, keys or []), desk, ledger))
        pacer = Pacer(PacingSettings(in_flight=4, base_s=0), random.Random(0))
        with desk.beside(voice, CHEAP, pacer) as other:
            once = Ledger(office.known, office.parse, lambda each: each, reasks=0)
            list(answered(map(embedding, texts), other, once))
        list(answered(map(request, ["9"]), desk, ledger))
    return voice


def test_each_judge_is_billed_at_its_own_price_under_one_cap(tmp_path: Path) -> None:
    office = Office(tmp_path / "judge.sqlite")
    embed(office, ["1", "2"], ["7"])
    assert office.outcomes() == dict.fromkeys(["7", "e1", "e2", "9"], "answered")
    of_judge, of_embedder = 2 * (6 * 1_000 + 4 * 1_000 + 5 * 2_000), 2 * 30 * 100
    cached = {row.call_key: (row.cost_nanos, row.judge, row.source) for row in office.table}
    assert cached["e1"] == (3_000, "test:voice", "texts")
    assert office.budget.spent == Spent(of_judge + of_embedder, 2 * 15 + 2 * 30)


def test_what_one_spends_the_other_cannot(tmp_path: Path) -> None:
    office = Office(tmp_path / "judge.sqlite", caps=Caps(tokens=1_000))
    with pytest.raises(CapReached, match=r"judge\.budget\.per_run\.tokens is reached"):
        embed(office, [str(n) for n in range(100)])
    assert 700 - 257 < office.budget.spent.tokens <= 1_000
    assert {row.judge for row in office.table} == {"test:voice"}
    assert all(row.call_key.startswith("e") for row in office.table)


def test_an_embedding_reserves_its_text_and_no_answer(tmp_path: Path) -> None:
    office = Office(tmp_path / "judge.sqlite", caps=Caps(tokens=257))
    with pytest.raises(CapReached, match="of 257, 30 are spent and 0 reserved"):
        embed(office, ["1"])
    assert [row.call_key for row in office.table] == ["e1"]


def test_the_other_judge_is_closed_and_this_one_goes_on(tmp_path: Path) -> None:
    office = Office(tmp_path / "judge.sqlite")
    voice = embed(office, ["1"])
    assert voice.is_closed
    assert voice.loops == office.judge.loops
    assert office.judge.asked == ["9"]
