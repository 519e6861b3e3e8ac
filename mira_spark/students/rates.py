"""How fast students score and learn: what was measured (`notebooks/LOG.md`), or what is set.

A rate is of one device. Of a kind of student on a device of which neither is known there is none.
"""

from typing import Literal, NamedTuple

from mira_spark.settings.plan import PlanSettings
from mira_spark.settings.students import StudentKind


class Rate(NamedTuple):
    """Text that one device takes in a second, in tokens or in bytes of UTF-8. `model` is the shape
    that was measured, empty where any of the kind is as fast; `origin` says where it is from."""

    kind: StudentKind
    model: str
    device: str
    amount: float
    unit: Literal["tokens", "bytes"]
    origin: str
    is_compiled: bool = False

    def tokens_per_second(self, bytes_per_token: float) -> float:
        """For texts of so many bytes a token."""
        return self.amount if self.unit == "tokens" else self.amount / bytes_per_token


_H200, _CORE = "H200", "core"
_ON = "measured 2026-11-27"
MEASURED_SCORING = (
    Rate("linear", "", _CORE, 61e6, "bytes", _ON),
    Rate("encoder", "BERT-base", _H200, 1.82e6, "tokens", _ON),
    Rate("encoder", "BERT-base", _H200, 2.05e6, "tokens", _ON, is_compiled=True),
    Rate("encoder", "ModernBERT-base", _H200, 0.59e6, "tokens", _ON),
    Rate("encoder", "ModernBERT-base", _H200, 1.35e6, "tokens", _ON, is_compiled=True),
    Rate("encoder", "ModernBERT-large", _H200, 0.28e6, "tokens", _ON),
    Rate("encoder", "ModernBERT-large", _H200, 0.55e6, "tokens", _ON, is_compiled=True),
)
"""`linear` from Delta to Delta; encoders through the engine, with 16 cores beside the GPU, on
documents of 453 tokens."""
MEASURED_TRAINING = (
    Rate("linear", "", _CORE, 0.37e6, "bytes", "measured 2026-11-29"),
    Rate("encoder", "BERT-base", _H200, 121_000, "tokens", _ON),
)
"""`linear` with the students of its folds, at labels of 4 to 8 MB; encoders not `frozen`."""
CONFIGURED = "configured"


def scoring_rates(kind: StudentKind, settings: PlanSettings, compiled: bool) -> list[Rate]:
    """The one that is set, else all that were measured of the kind; encoders as `compiled` says."""
    measured = [r for r in MEASURED_SCORING if kind != "encoder" or r.is_compiled == compiled]
    return _rates(kind, settings.tokens_per_second.get(kind), measured)


def training_rates(kind: StudentKind, settings: PlanSettings, frozen: bool) -> list[Rate]:
    """The one that is set, else all that were measured of the kind; none of a frozen encoder."""
    measured = [r for r in MEASURED_TRAINING if kind != "encoder" or not frozen]
    return _rates(kind, settings.training_tokens_per_second.get(kind), measured)


def _rates(kind: StudentKind, amount: float | None, measured: list[Rate]) -> list[Rate]:
    if amount is not None:
        return [Rate(kind, "", "device", amount, "tokens", CONFIGURED)]
    return [rate for rate in measured if rate.kind == kind]
