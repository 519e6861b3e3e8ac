"""Whether a student may become champion: by what its quality is worth, on documents that it did not
learn from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mira_spark.distillation.bootstrap import UNDEFINED
from mira_spark.distillation.figures import GAIN_40, LENGTH, STUDENT, VERDICT, WITHIN, QualityFigure
from mira_spark.distillation.references import BY_LENGTH, SOURCE_MEAN
from mira_spark.labels.agreement import Estimate
from mira_spark.settings.gate import GateSettings

_WORDS = {
    WITHIN: "Spearman with the verdict within source",
    GAIN_40: "gain at 40 % of the tokens",
    LENGTH: "correlation with length within source",
    SOURCE_MEAN: "the source's mean",
    BY_LENGTH: "length alone",
}
_BY_VALUE = "; the rows of one domain give no interval, so the value decides"

_Figures = Mapping[tuple[str, str], QualityFigure]


@dataclass(frozen=True)
class Gate:
    """Whether a student may become champion: what it does not meet and what it meets, each saying
    what was found and needed."""

    reasons: list[str]
    met: list[str]

    @property
    def passed(self) -> bool:
        """Nothing speaks against it."""
        return not self.reasons


class _Check(NamedTuple):
    is_met: bool
    line: str


def gate(
    figures: Sequence[QualityFigure],
    noise: Estimate,
    champion: Estimate | None,
    settings: GateSettings,
) -> Gate:
    """`figures` are those of `quality_figures`; `noise` is the AUC of planted noise over all kinds,
    its value None where it could not be measured; `champion` is the `gain_difference` to the
    champion, None without one.

    What could not be measured is not met, but for length where it varies in no source. Where rows
    of one domain give no interval, the value stands for its lower end.
    """
    group = {(f.predictor, f.figure): f for f in figures if f.source is None}
    checks = [
        *_worth(group, WITHIN, settings.min_spearman_within),
        *_worth(group, GAIN_40, settings.min_gain),
        _noise(noise, settings.min_noise_auc),
        _length(group, settings),
    ]
    if champion is not None:
        least, low = 0 - settings.max_champion_loss, _low(champion)
        needed = f"needed at least {least:g} with its lower end" + _without_interval(champion)
        line = f"gain less the champion's is {_number(champion)}; {needed}"
        checks.append(_Check(low is not None and low >= least, line))
    return Gate([c.line for c in checks if not c.is_met], [c.line for c in checks if c.is_met])


def _worth(group: _Figures, figure: str, least: float) -> Iterator[_Check]:
    """Whether the student's figure is above those of the references, and surely above `least`."""
    student = group[STUDENT, figure]
    value, low = student.estimate.value, _low(student.estimate)
    shown = f"{_WORDS[figure]} is {_number(student.estimate)} on {student.rows:,} rows; needed "
    for reference in (SOURCE_MEAN, BY_LENGTH):
        row = group.get((reference, figure))
        other = row.estimate if row is not None else UNDEFINED
        above = value is not None and other.value is not None and value > other.value
        bar = "unknown" if other.value is None else f"{other.value:.3f}"
        yield _Check(above, f"{shown}above that of {_WORDS[reference]}, {bar}")
    needed = f"above {least:g} with its lower end" + _without_interval(student.estimate)
    yield _Check(low is not None and low > least, shown + needed)


def _noise(noise: Estimate, least: float) -> _Check:
    line = f"AUC of planted noise over all kinds is {_number(noise)}; needed at least {least:g}"
    return _Check(noise.value is not None and noise.value >= least, line)


def _length(group: _Figures, settings: GateSettings) -> _Check:
    """Met by a student that follows length little, or as the judge does, in the same direction."""
    student = group[STUDENT, LENGTH]
    value, own = student.estimate.value, group[VERDICT, LENGTH].estimate.value
    shown = f"{_WORDS[LENGTH]} is {_number(student.estimate)} on {student.rows:,} rows"
    if value is None or own is None:
        return _Check(True, f"{shown}: length varies in no source, so there is none to follow")
    most = settings.max_length_correlation
    like_the_judge = value * own > 0 and abs(value) <= abs(own) + settings.max_length_excess
    return _Check(
        abs(value) <= most or like_the_judge,
        f"{shown}; needed at most {most:g} either way, or the judge's own {own:.3f} and "
        f"{settings.max_length_excess:g} more",
    )


def _low(estimate: Estimate) -> float | None:
    """The lower end; the value where there is no interval."""
    return estimate.value if estimate.low is None else estimate.low


def _number(estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _without_interval(estimate: Estimate) -> str:
    is_without = estimate.value is not None and estimate.low is None
    return _BY_VALUE if is_without else ""
