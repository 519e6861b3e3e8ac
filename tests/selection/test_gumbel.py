"""The noise in what documents compete by: Gumbel's, the same on every machine, within the scale."""

import math
import random
from fractions import Fraction

import numpy as np
from pyspark.sql import SparkSession
from scipy import stats

from mira_spark.selection.gumbel import gumbel, noisy_level_sql
from tests import selection_oracle as oracle
from tests.selection_oracle import Document

ALL = range(2**16)


def test_no_value_is_so_near_to_the_next_thousandth_that_rounding_could_differ() -> None:
    """A logarithm is right to about 1e-15 of it, that is 1e-11 thousandths of what there is."""
    quantiles = (np.arange(2**16) + 0.5) / 2**16
    exact = -1000 * np.log(-np.log(quantiles))
    assert np.abs(exact % 1 - 0.5).min() > 1e-6
    assert [gumbel(i) for i in ALL] == np.rint(exact).astype(int).tolist()


def test_it_is_gumbels() -> None:
    values = np.array([gumbel(i) for i in ALL]) / 1000
    assert stats.kstest(values, "gumbel_r").statistic < 1e-3
    assert gumbel(-1) == gumbel(2**16 - 1)


def test_levels_in_sql_are_the_oracles_for_every_noise(spark: SparkSession) -> None:
    """By every quality there is in turn, and at temperatures from none to the highest."""
    scales = (0, 1, 500, 10_000)
    columns = [
        f"CAST({noisy_level_sql('quality', 'tie_hash', scale)} AS SMALLINT) AS t{scale}"
        for scale in scales
    ]
    rows = spark.range(2**16).selectExpr(
        "id", "CAST(id * 7 % 10001 AS SMALLINT) AS quality", "id - 9223372036854710272 AS tie_hash"
    )
    found = rows.selectExpr("tie_hash", "quality", *columns).toArrow().to_pylist()
    documents = [Document("", "", r["quality"], r["tie_hash"], 0) for r in found]
    for scale in scales:
        expected = oracle.with_noise(documents, Fraction(scale, 1_000))
        assert [r[f"t{scale}"] for r in found] == [d.quality for d in expected]
    assert {r["quality"] for r in found} == set(range(10_001))


def test_levels_are_within_the_scale_and_rise_with_quality_and_noise() -> None:
    lowest, highest = Document("", "", 0, 0, 0), Document("", "", 10_000, 2**16 - 1, 0)
    for temperature in (Fraction(0), Fraction(1, 1_000), Fraction(10)):
        ends = oracle.with_noise([lowest, highest], temperature)
        assert [d.quality for d in ends] == [0, 10_000]


def test_the_best_are_a_sample_by_the_exponential_of_quality() -> None:
    """Three documents of 5, 6 and 8 points at a temperature of 2: how often each is the first."""
    draw, qualities, temperature = random.Random(0), (5_000, 6_000, 8_000), Fraction(2)
    wins = [0, 0, 0]
    for _ in range(4_000):
        documents = [Document(str(i), "", q, draw.getrandbits(64) - 2**63, 0)
                     for i, q in enumerate(qualities)]  # fmt: skip
        levelled = oracle.with_noise(documents, temperature)
        wins[int(oracle.in_order(levelled)[0].doc_id)] += 1
    weights = [math.exp(q / 1000 / 2) for q in qualities]
    expected = [4_000 * weight / sum(weights) for weight in weights]
    assert stats.chisquare(wins, expected).pvalue > 0.001
