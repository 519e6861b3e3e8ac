"""The gate opens for a student that reads texts, and names what is wrong with the others."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from mira_spark.distillation import references
from mira_spark.distillation.figures import QualityFigure, quality_figures
from mira_spark.distillation.gate import Gate, gate
from mira_spark.distillation.judged_rows import JudgedRows
from mira_spark.distillation.references import tfidf_ridge
from mira_spark.labels.agreement import Estimate
from mira_spark.settings.gate import GateSettings

SETTINGS = GateSettings()
UNDEFINED = Estimate(None, None, None)
NOISE = Estimate(0.9, 0.85, 0.95)
Floats = npt.NDArray[np.float64]

FILLER = np.array(["river", "stone", "cloud", "ember", "maple", "harbour", "violet", "copper"])
ROWS, SOURCES, DOMAINS = 600, 4, 60


def documents() -> tuple[JudgedRows, list[str]]:
    """Verdicts that follow one word of the text, the source and, somewhat, the length."""
    random = np.random.default_rng(0)
    source, domain = random.integers(0, SOURCES, ROWS), random.integers(0, DOMAINS, ROWS)
    clear, size = random.integers(0, 4, ROWS), random.integers(20, 120, ROWS)
    texts = [
        " ".join([*random.choice(FILLER, size[i]), *["clearly"] * clear[i], f"source{source[i]}"])
        for i in range(ROWS)
    ]
    verdict = 3 + 0.6 * clear + source / 2 + size / 200 + random.normal(0, 0.3, ROWS)
    return JudgedRows(
        verdict,
        np.full(ROWS, np.nan),
        [f"s{i}" for i in source],
        [f"d{i}" for i in domain],
        (domain % 5).astype(np.int8),
        size,
        np.array([len(text) for text in texts]),
    ), texts


JUDGED, TEXTS = documents()
REFERENCES = references.predictions(JUDGED, TEXTS)


def measured(points: Floats, rows: JudgedRows = JUDGED) -> list[QualityFigure]:
    quality = np.clip(points * 1000, 0, 10_000).astype(np.int16)
    known = {name: REFERENCES[name] for name in ("source_mean", "length")}
    return quality_figures(rows, quality, known, rounds=200)


def gated(points: Floats, champion: Estimate | None = None) -> Gate:
    return gate(measured(points), NOISE, champion, SETTINGS)


def reasons_of(result: Gate, what: str) -> list[str]:
    return [line.partition("; needed ")[2] for line in result.reasons if line.startswith(what)]


WITHIN = "Spearman with the verdict within source"
GAIN = "gain at 40 % of the tokens"
LENGTH = "correlation with length within source"


def value(found: list[QualityFigure], predictor: str, figure: str) -> float:
    (number,) = (
        row.estimate.value
        for row in found
        if (row.predictor, row.figure, row.source) == (predictor, figure, None)
    )
    assert number is not None
    return number


def test_a_student_that_reads_the_text_passes() -> None:
    result = gated(tfidf_ridge(JUDGED.verdict, TEXTS, JUDGED.folds), Estimate(0.01, -0.015, 0.04))
    assert result.reasons == []
    assert result.passed
    assert len(result.met) == 9


def test_a_student_that_gives_its_sources_mean_fails() -> None:
    result = gated(REFERENCES["source_mean"])
    assert value(measured(REFERENCES["source_mean"]), "student", "spearman") > 0.4, "it looks good"
    assert "above that of the source's mean, 0.000" in reasons_of(result, WITHIN)
    assert "above 0 with its lower end" in reasons_of(result, WITHIN)


def test_a_student_that_gives_the_length_fails() -> None:
    result = gated(JUDGED.n_bytes / JUDGED.n_bytes.max())
    assert f"{WITHIN} is " in result.met[0], "it ranks within source, as the judge likes length"
    own = value(measured(JUDGED.verdict), "verdict", "length_correlation_within_source")
    assert own < 0.5
    assert reasons_of(result, LENGTH) == [
        f"at most 0.5 either way, or the judge's own {own:.3f} and 0.1 more"
    ]


def test_a_student_that_gives_noise_fails() -> None:
    result = gated(np.random.default_rng(1).random(ROWS))
    for figure in (WITHIN, GAIN):
        assert "above 0 with its lower end" in reasons_of(result, figure)


@pytest.mark.parametrize("among", ["all rows", "rows of a source"])
def test_a_student_of_shuffled_labels_fails(among: str) -> None:
    random = np.random.default_rng(2)
    labels, names = JUDGED.verdict.copy(), np.array(JUDGED.sources)
    for source in set(names) if among == "rows of a source" else [""]:
        own = np.flatnonzero((names == source) | (source == ""))
        labels[own] = labels[random.permutation(own)]
    points = tfidf_ridge(labels, TEXTS, JUDGED.folds)
    if among == "rows of a source":
        assert value(measured(points), "student", "spearman") > 0.3, "it knows the source"
    assert "above 0 with its lower end" in reasons_of(gated(points), WITHIN)


def rows(
    predictor: str, within: Estimate, gain: Estimate, length: Estimate = UNDEFINED
) -> list[QualityFigure]:
    names = ("spearman_within_source", "gain_40", "length_correlation_within_source")
    return [
        QualityFigure(predictor, name, None, 1_234, estimate)
        for name, estimate in zip(names, (within, gain, length), strict=True)
    ]


def plain(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1)


GOOD = [
    *rows("student", plain(0.5), plain(0.6), plain(0.4)),
    *rows("source_mean", plain(0.0), plain(0.3)),
    *rows("length", plain(0.2), plain(0.1)),
    *rows("verdict", UNDEFINED, UNDEFINED, plain(0.45)),
]


def with_student(within: Estimate, gain: Estimate, length: Estimate) -> list[QualityFigure]:
    return [*rows("student", within, gain, length), *GOOD[3:]]


def test_every_check_says_what_was_found_and_needed() -> None:
    within = f"{WITHIN} is 0.500 (0.400 to 0.600) on 1,234 rows; needed above"
    gain = f"{GAIN} is 0.600 (0.500 to 0.700) on 1,234 rows; needed above"
    assert gate(GOOD, NOISE, Estimate(0.03, -0.02, 0.08), SETTINGS) == Gate(
        [],
        [
            f"{within} that of the source's mean, 0.000",
            f"{within} that of length alone, 0.200",
            f"{within} 0 with its lower end",
            f"{gain} that of the source's mean, 0.300",
            f"{gain} that of length alone, 0.100",
            f"{gain} 0 with its lower end",
            "AUC of planted noise over all kinds is 0.900 (0.850 to 0.950); needed at least 0.7",
            f"{LENGTH} is 0.400 (0.300 to 0.500) on 1,234 rows; needed at most 0.5 either way, or "
            "the judge's own 0.450 and 0.1 more",
            "gain less the champion's is 0.030 (-0.020 to 0.080); needed at least -0.02 with its "
            "lower end",
        ],
    )


def test_a_figure_must_be_above_each_reference_and_surely_above_nothing() -> None:
    as_good_as_length = with_student(plain(0.2), plain(0.3), plain(0))
    assert [
        line.partition("; ")[2] for line in gate(as_good_as_length, NOISE, None, SETTINGS).reasons
    ] == [
        "needed above that of length alone, 0.200",
        "needed above that of the source's mean, 0.300",
    ]
    unsure = with_student(Estimate(0.5, 0.0, 0.8), Estimate(0.6, -0.1, 0.9), plain(0))
    assert gate(unsure, NOISE, None, SETTINGS).reasons == [
        f"{WITHIN} is 0.500 (0.000 to 0.800) on 1,234 rows; needed above 0 with its lower end",
        f"{GAIN} is 0.600 (-0.100 to 0.900) on 1,234 rows; needed above 0 with its lower end",
    ]


@pytest.mark.parametrize(
    ("value", "own", "passes"),
    [
        (0.5, 0.0, True),
        (-0.5, 0.0, True),
        (0.51, 0.4, False),
        (0.69, 0.6, True),
        (0.71, 0.6, False),
        (-0.69, 0.6, False),
        (-0.69, -0.6, True),
    ],
)
def test_quality_may_follow_length_little_or_as_the_judge_does(
    value: float, own: float, passes: bool
) -> None:
    figures = with_student(plain(0.5), plain(0.6), plain(value))
    figures[-1] = replace(figures[-1], estimate=plain(own))
    assert gate(figures, NOISE, None, SETTINGS).passed == passes


@pytest.mark.parametrize(("auc", "passes"), [(0.7, True), (0.699, False)])
def test_planted_noise_must_be_told_from_documents(auc: float, passes: bool) -> None:
    assert gate(GOOD, Estimate(auc, 0.6, 0.8), None, SETTINGS).passed == passes


def test_a_challenger_may_lose_little_to_the_champion() -> None:
    assert gate(GOOD, NOISE, Estimate(-0.01, -0.02, 0.01), SETTINGS).passed
    assert gate(GOOD, NOISE, Estimate(0.03, -0.021, 0.09), SETTINGS).reasons == [
        "gain less the champion's is 0.030 (-0.021 to 0.090); needed at least -0.02 with its lower "
        "end"
    ]


def test_what_could_not_be_measured_is_said_and_not_met() -> None:
    unmeasured = [replace(row, estimate=UNDEFINED, rows=0) for row in GOOD[:3]]
    result = gate([*unmeasured, *GOOD[6:]], UNDEFINED, UNDEFINED, SETTINGS)
    within = f"{WITHIN} is unknown on 0 rows; needed above"
    gain = f"{GAIN} is unknown on 0 rows; needed above"
    assert result == Gate(
        [
            f"{within} that of the source's mean, unknown",
            f"{within} that of length alone, 0.200",
            f"{within} 0 with its lower end",
            f"{gain} that of the source's mean, unknown",
            f"{gain} that of length alone, 0.100",
            f"{gain} 0 with its lower end",
            "AUC of planted noise over all kinds is unknown; needed at least 0.7",
            "gain less the champion's is unknown; needed at least -0.02 with its lower end",
        ],
        [f"{LENGTH} is unknown on 0 rows: length varies in no source, so there is none to follow"],
    )


def test_rows_of_one_domain_are_decided_by_value_and_it_is_said() -> None:
    alone = [replace(row, estimate=Estimate(row.estimate.value, None, None)) for row in GOOD]
    result = gate(alone, NOISE, Estimate(0.0, None, None), SETTINGS)
    assert result.passed
    by_value = "; the rows of one domain give no interval, so the value decides"
    assert result.met[2] == (
        f"{WITHIN} is 0.500 on 1,234 rows; needed above 0 with its lower end{by_value}"
    )
    assert result.met[8] == (
        f"gain less the champion's is 0.000; needed at least -0.02 with its lower end{by_value}"
    )
    assert not gate(alone, NOISE, Estimate(-0.03, None, None), SETTINGS).passed


def test_bounds_are_settings() -> None:
    stricter = GateSettings(
        min_spearman_within=0.4,
        min_gain=0.5,
        min_noise_auc=0.95,
        max_length_correlation=0.3,
        max_length_excess=0,
        max_champion_loss=0,
    )
    figures = [*GOOD[:-1], replace(GOOD[-1], estimate=plain(0.35))]
    result = gate(figures, NOISE, Estimate(0, -0.01, 0.01), stricter)
    assert [line.partition("; needed ")[2] for line in result.reasons] == [
        "above 0.4 with its lower end",
        "above 0.5 with its lower end",
        "at least 0.95",
        "at most 0.3 either way, or the judge's own 0.350 and 0 more",
        "at least 0 with its lower end",
    ]
