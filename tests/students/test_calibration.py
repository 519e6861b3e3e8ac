"""Calibration is monotone, stays on the scale and survives a round trip."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import TypeAdapter, ValidationError
from sklearn.isotonic import IsotonicRegression

from mira_spark.lake.scale import FULL_SCALE
from mira_spark.students.calibration import IDENTITY, Calibration, Curve, apply, fit, quantised

scores = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-30, 30, width=32))


def column(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


@given(scores, st.integers(0, 2**32 - 1), scores)
def test_a_greater_score_never_gets_less_and_all_stay_on_the_scale(
    predicted: np.ndarray, seed: int, fresh: np.ndarray
) -> None:
    judged = np.random.default_rng(seed).integers(0, 11, (len(predicted), 1)).astype(float)
    curves = fit(predicted[:, None], judged)
    knots = np.array([x for x in curves[0].x if abs(x) < 1e30], np.float32)
    around = np.concatenate([np.nextafter(knots, np.float32(side)) for side in (-99, 99)])
    many = np.sort(np.concatenate([fresh, predicted, knots, around]))
    found = apply(curves, many[:, None])[:, 0]
    assert found.dtype == np.int16
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() <= FULL_SCALE


def test_the_curve_is_scikit_learns() -> None:
    random = np.random.default_rng(3)
    predicted = random.normal(5, 3, (200, 2)).astype(np.float32)
    judged = np.clip(np.round(predicted * 0.7 + random.normal(0, 1, (200, 2))), 0, 10)
    judged[::7, 0] = np.nan
    found = apply(fit(predicted, judged), predicted)
    for slot in range(2):
        known = ~np.isnan(judged[:, slot])
        model = IsotonicRegression(y_min=0, y_max=10, out_of_bounds="clip")
        model.fit(predicted[known, slot].astype(float), judged[known, slot])
        expected = model.predict(predicted[:, slot].astype(float)) * 1000
        assert np.abs(found[:, slot] - expected).max() <= 1


def test_calibration_mends_scale_and_offset() -> None:
    random = np.random.default_rng(1)
    judged = random.integers(0, 11, (500, 1)).astype(float)
    predicted = (judged * 0.2 + 4 + random.normal(0, 0.1, judged.shape)).astype(np.float32)
    error = np.abs(apply(fit(predicted, judged), predicted) / 1000 - judged).mean()
    assert error < 0.5 < np.abs(predicted - judged).mean()


def test_with_fewer_than_ten_labels_a_slot_keeps_the_students_scale() -> None:
    judged = column([5.0] * 9 + [np.nan] * 20)
    assert fit(np.zeros((29, 1), np.float32), judged) == (IDENTITY,)
    judged[9] = 5
    assert fit(np.zeros((29, 1), np.float32), judged) == (Curve(x=(0.0,), y=(5000,)),)
    raw = column([-np.inf, -1, 0, 0.0004, 0.0005, 1.2345, 9.9999, 12, np.inf])
    assert apply((IDENTITY,), raw)[:, 0].tolist() == [0, 0, 0, 0, 1, 1235, 10_000, 10_000, 10_000]


def test_each_slot_has_its_own_curve() -> None:
    curves = (Curve(x=(0.0, 1.0), y=(0, 1)), Curve(x=(0.0, 1.0), y=(500, 900)))
    assert apply(curves, np.array([[0.5, 0.5], [0.4, 0]], np.float32)).tolist() == [
        [1, 700],
        [0, 500],
    ]


def test_a_nan_score_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^2 rows with a NaN score$"):
        apply((IDENTITY,), column([1, np.nan, np.nan]))


@pytest.mark.parametrize(
    ("x", "y"),
    [((), ()), ((1.0,), (1, 2)), ((1.0, 1.0), (1, 2)), ((2.0, 1.0), (1, 2)), ((1.0, 2.0), (2, 1)),
     ((1.0,), (-1,)), ((1.0,), (10_001,)), ((float("nan"),), (1,)), ((float("inf"),), (1,))],
)  # fmt: skip
def test_a_curve_that_is_none_is_refused(x: tuple[float, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Curve(x=x, y=y)


@given(scores, st.integers(0, 99))
def test_curves_survive_json(predicted: np.ndarray, seed: int) -> None:
    judged = np.random.default_rng(seed).integers(0, 11, (len(predicted), 1)).astype(float)
    curves = fit(predicted[:, None], judged)
    adapter = TypeAdapter(Calibration)
    assert adapter.validate_json(adapter.dump_json(curves)) == curves


def test_raw_scores_are_stored_in_whole_thousandths_as_far_as_int16_goes() -> None:
    scores = np.array([[3.14159, 7.0, 0.0004, -2.0, 0.0625, 40.0, -40.0]], np.float32)
    found = quantised(scores)
    assert found.dtype == np.int16
    assert found.tolist() == [[3142, 7000, 0, -2000, 63, 32_767, -32_768]]
