"""A selection from the histogram of 10,000 sources: `python -m tests.benchmarks.many_sources`.

From the columns to the cuts, by wall clock and without Spark; every source has a floor and a cap in
the second line of a policy. `even`: 200 qualities each; `uneven`: 1 to 10,001.
"""

import resource
import sys
import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.selection.allocation import Policy, boundaries, cuts, walks
from mira_spark.selection.positions import Positions, levels

SOURCES, QUALITIES, BAR_S = 10_000, 10_001, 5
POOLS = ("group", "global", "source")
NAMES = [f"source {i}" for i in range(SOURCES)]
LIMITED = {"floors": dict.fromkeys(NAMES, "0.00001%"), "caps": dict.fromkeys(NAMES, "0.5%")}
Integers = npt.NDArray[np.int64]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def rows(sizes: Integers) -> tuple[pa.StringArray, Integers, Integers, Integers]:
    """Columns as `levels` takes them, in no order; so many qualities of each source."""
    draw = np.random.default_rng(0)
    source = np.repeat(np.arange(SOURCES), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    quality = (np.arange(len(source)) - first) * 7 % QUALITIES
    order = draw.permutation(len(source))
    documents = draw.integers(1, 1_000, len(source))
    tokens = documents * draw.integers(1, 100, len(source))
    return pa.array(NAMES).take(pa.array(source[order])), quality[order], documents, tokens


def decided(positions: Positions, budget: int, policy: Policy) -> float:
    """Seconds from levels to cuts."""
    groups = {name: f"group {i % 5}" for i, name in enumerate(NAMES)}
    started = time.perf_counter()
    found = walks(policy, budget, groups, positions)
    cuts(found, boundaries(found, positions))
    return time.perf_counter() - started


def main() -> None:
    """Lines for each histogram."""
    uneven = np.maximum(1, QUALITIES // (1 + np.arange(SOURCES) // 30)).astype(np.int64)
    for name, sizes in (("even", np.full(SOURCES, 200)), ("uneven", uneven)):
        columns = rows(sizes)
        started = time.perf_counter()
        positions = levels(*columns)
        counted = time.perf_counter() - started
        say(f"{SOURCES:,} sources, {name}, {len(columns[1]):,} rows: levels {counted:.1f} s")
        for pools in POOLS:
            for limits in ({}, LIMITED if pools != "source" else {"caps": LIMITED["caps"]}):
                policy = Policy(pools, **limits)
                seconds = decided(positions, int(columns[3].sum()) * 2 // 5, policy)
                say(
                    f"  {pools}{' with floors or caps' * bool(limits)}: cuts {seconds:.1f} s, "
                    f"together {counted + seconds:.1f} s (bar {BAR_S})"
                )
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(f"  at most {held:.2f} GB, the columns included")


if __name__ == "__main__":
    main()
