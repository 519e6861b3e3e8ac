"""Lakes that aged: tables restored, overwritten, made anew, their history cleaned, the journal put
back, the registry emptied, the clock moved. Whatever the order, no view is wrong, and what is
refused names the command that mends it."""

import time
from collections import Counter
from pathlib import Path

import pytest

from mira_spark.lake.tables import Lakehouse
from tests.aged_lake import live, prepared

ORDERS = 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_ages_ends_in_a_wrong_view_or_a_dead_end(
    lake: Lakehouse,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    seed: int,
) -> None:
    """200 orders on 20 lakes; what was done, and how often, is printed."""
    one = prepared(lake, home, tmp_path, seed, monkeypatch.setenv)
    started = time.monotonic()
    done = [live(one) for _ in range(ORDERS)]
    said = Counter(change for order in done for change in order)
    with capfd.disabled():
        print(  # noqa: T201
            f"\nseed {seed}: {len(done)} orders in {time.monotonic() - started:.0f} s, "
            f"{dict(said)}, mended by {dict(Counter(one.mended))}"
        )
