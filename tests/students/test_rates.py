"""How fast students are: what was measured is in the log, what is set comes first."""

import re
from pathlib import Path

import pytest

from mira_spark.settings.plan import PlanSettings
from mira_spark.students.rates import (
    CONFIGURED,
    MEASURED_SCORING,
    MEASURED_TRAINING,
    Rate,
    scoring_rates,
    training_rates,
)

LOG = Path(__file__).parents[2] / "notebooks/LOG.md"
NOTHING_SET = PlanSettings()


def day(date: str) -> str:
    """What the log says of a day, on one line."""
    text = LOG.read_text(encoding="utf-8")
    match = re.search(rf"^## {date}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert match, date
    return " ".join(match[1].split())


@pytest.mark.parametrize("rate", [*MEASURED_SCORING, *MEASURED_TRAINING], ids=str)
def test_every_measured_rate_stands_in_the_log_on_its_day(rate: Rate) -> None:
    said = day(rate.origin.removeprefix("measured "))
    if rate.unit == "bytes":
        wanted = f"{rate.amount / 1e6:g} MB/s"
    elif rate.amount >= 1e5 and rate in MEASURED_SCORING:
        wanted = f"{rate.amount / 1e6:.2f} M"
    else:
        wanted = f"{rate.amount:,.0f} tokens/s"
    assert wanted in said
    assert rate.model in said


def test_an_encoder_is_planned_as_it_would_be_run() -> None:
    plain = {r.model: r.amount for r in scoring_rates("encoder", NOTHING_SET, False)}
    compiled = {r.model: r.amount for r in scoring_rates("encoder", NOTHING_SET, True)}
    assert plain.keys() == compiled.keys()
    assert all(compiled[model] > plain[model] for model in plain)


def test_a_rate_that_is_set_stands_in_the_place_of_all_measured_ones_of_its_kind() -> None:
    chosen = PlanSettings(
        tokens_per_second={"encoder": 900_000}, training_tokens_per_second={"generative": 7}
    )
    (rate,) = scoring_rates("encoder", chosen, compiled=True)
    assert (rate.amount, rate.origin, rate.tokens_per_second(9)) == (900_000, CONFIGURED, 900_000)
    assert [r.amount for r in training_rates("generative", chosen, frozen=False)] == [7]
    assert scoring_rates("linear", chosen, False) == scoring_rates("linear", NOTHING_SET, False)


def test_where_nothing_is_known_there_is_no_rate() -> None:
    assert scoring_rates("generative", NOTHING_SET, False) == []
    assert scoring_rates("served", NOTHING_SET, False) == []
    assert training_rates("encoder", NOTHING_SET, frozen=True) == []
    assert training_rates("encoder", NOTHING_SET, frozen=False) != []


def test_a_rate_in_bytes_depends_on_the_bytes_of_a_token() -> None:
    rate = Rate("linear", "", "core", 100.0, "bytes", CONFIGURED)
    assert (rate.tokens_per_second(4), rate.tokens_per_second(2)) == (25, 50)
