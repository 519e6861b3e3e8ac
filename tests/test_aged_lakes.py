"""Lakes that aged: tables restored, overwritten, made anew, their history cleaned, the journal put
back, the registry emptied, the clock moved. Whatever the order, no view is wrong, and what is
refused names the command that mends it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mira_spark.tables import Lakehouse
from tests.aged_lake import live, prepared

Setenv = Callable[[str, str], None]


@pytest.mark.long
@pytest.mark.parametrize("seed", [1])
def test_no_order_of_ages_ends_in_a_wrong_view_or_a_dead_end(
    lake: Lakehouse, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    one = prepared(lake, home, tmp_path, seed, monkeypatch.setenv)
    for _ in range(2):
        live(one)


@pytest.mark.long
def test_no_order_of_200_does(
    lake: Lakehouse,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    for seed in range(20):
        lake.spark.sql(f"DROP SCHEMA {lake.namespace} CASCADE")
        one = prepared(lake, home, tmp_path / str(seed), 100 + seed, monkeypatch.setenv)
        for _ in range(10):
            order = live(one)
            done.update(order)
            done["orders"] += 1
            with capsys.disabled():
                print(seed, ", ".join(order), flush=True)  # noqa: T201
        mended.update(one.mended)
    with capsys.disabled():
        print(f"\n{done['orders']} orders: {dict(done)}; mended by {dict(mended)}")  # noqa: T201
    assert done["orders"] == 200
