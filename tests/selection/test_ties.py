"""Where all scores are equal the seed decides: the same set again, and no source is preferred."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from pyspark.sql import SparkSession, functions as F
from scipy import stats

from mira_spark.selection import order as selection
from mira_spark.selection.allocation import Policy, boundaries, cuts, ties, walks
from mira_spark.selection.positions import levels, prefixes, single_documents
from mira_spark.selection.walk import Cut

DOCUMENTS, SEEDS = 100_000, 100
SOURCES = np.array(["code", "web", "chat", "books", "tests"])
OF_TWENTY = np.repeat(np.arange(5), [9, 5, 3, 2, 1])  # sources of different sizes
LENGTHS = np.array([700, 300, 20, 9_000, 1])
QUALITY = 5_000

Integers = npt.NDArray[np.int64]
NUMBER = np.arange(DOCUMENTS)
SOURCE = OF_TWENTY[NUMBER % 20]
TOKENS = LENGTHS[SOURCE] * (1 + NUMBER % 7)
IDS = np.array([f"{SOURCES[s]} {i}" for i, s in enumerate(SOURCE)])


def kept(hashes: Integers, order: Integers, bits: int = 8) -> npt.NDArray[np.bool_]:
    """Whether each document is in 40 % of the tokens, all competing with all; counted as the step
    counts, over rows in the given order."""
    source, tie_hash, tokens = SOURCE[order], hashes[order], TOKENS[order]
    groups = dict.fromkeys(SOURCES.tolist(), "one")
    columns = np.bincount(source), np.bincount(source, tokens).astype(np.int64)
    bins = levels(SOURCES.tolist(), [QUALITY] * len(SOURCES), *columns)
    found = walks(Policy("global"), int(tokens.sum()) * 2 // 5, groups, bins)
    ends = boundaries(found, bins)
    names, prefix = SOURCES[source], tie_hash >> (64 - bits)
    cells, cell = np.unique(np.stack([source, prefix]), axis=1, return_inverse=True)
    sums = np.bincount(cell.ravel()), np.bincount(cell.ravel(), tokens).astype(np.int64)
    steps = prefixes(bits, SOURCES[cells[0]].tolist(), [QUALITY] * len(cells[0]), cells[1], *sums)
    ends = boundaries(found, steps, ends)
    first = min(tie.first_hash for tie in ties(ends.values()))
    last = max(tie.last_hash for tie in ties(ends.values()))
    tied = np.flatnonzero((tie_hash >= first) & (tie_hash <= last))
    singly = single_documents(
        names[tied].tolist(), [QUALITY] * len(tied), tie_hash[tied], IDS[order][tied].tolist(),
        tokens[tied],
    )  # fmt: skip
    (cut,) = set(cuts(found, boundaries(found, singly, ends)).values())
    return before(cut, hashes)


def before(cut: Cut, hashes: Integers) -> npt.NDArray[np.bool_]:
    assert cut.tie_hash_cut is not None
    found = hashes < cut.tie_hash_cut
    for place in np.flatnonzero(hashes == cut.tie_hash_cut):
        found[place] = IDS[place].encode() <= (cut.tie_doc_id_cut or "").encode()
    return found


def bias(is_kept: npt.NDArray[np.bool_]) -> float:
    """Pearson's statistic of in and out by source, with as many degrees of freedom as sources less
    one."""
    table = np.stack(
        [np.bincount(SOURCE[is_kept], minlength=5), np.bincount(SOURCE[~is_kept], minlength=5)]
    )
    return float(stats.chi2_contingency(table, correction=False).statistic)


@pytest.fixture(scope="module")
def hashes(spark: SparkSession) -> Callable[[int], Integers]:
    """Spark's hashes of all documents by seed, in the order of their numbers."""
    names = ", ".join(f"'{SOURCES[s]}'" for s in OF_TWENTY)
    rows = spark.range(DOCUMENTS, numPartitions=4).select(
        "id", F.expr(f"concat(array({names})[id % 20], ' ', id) AS doc_id")
    )
    seeds = [selection.tie_hash(seed).alias(str(seed)) for seed in range(SEEDS)]
    found = rows.select("id", "doc_id", *seeds).toArrow().sort_by("id")
    assert found["doc_id"].to_pylist() == IDS.tolist()
    return lambda seed: found[str(seed)].to_numpy()


@pytest.mark.long
def test_a_seed_is_one_set_and_sources_are_kept_in_proportion(
    hashes: Callable[[int], Integers],
) -> None:
    """100,000 documents of one quality under 100 seeds; lengths differ by source, so do sizes."""
    draw, found, statistics = np.random.default_rng(0), set(), []
    for seed in range(SEEDS):
        is_kept = kept(hashes(seed), NUMBER)
        again = kept(hashes(seed), draw.permutation(DOCUMENTS), bits=5)
        assert (is_kept == again).all()
        assert TOKENS[is_kept].sum() <= TOKENS.sum() * 2 // 5
        found.add(is_kept.tobytes())
        statistics.append(bias(is_kept))
    assert len(found) == SEEDS
    freedom = len(SOURCES) - 1
    assert stats.chi2.sf(sum(statistics), freedom * SEEDS) > 0.001
    assert stats.chi2.sf(max(statistics), freedom) > 0.001 / SEEDS


def test_an_order_by_id_would_prefer_a_source() -> None:
    """What the test above would find: hashes in the order of the ids."""
    by_id = np.argsort(np.argsort(IDS)) - DOCUMENTS // 2
    assert stats.chi2.sf(bias(kept(by_id << 46, NUMBER)), len(SOURCES) - 1) < 1e-9
