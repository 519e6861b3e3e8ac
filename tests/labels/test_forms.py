"""What identifies a judge's answers: labels of two generations are never taken for one another."""

import inspect
from collections.abc import Callable

import pytest

from mira_spark.labels.forms import asking_id, open_form
from mira_spark.settings.judge import JudgeSettings


def test_labels_of_another_generation_have_another_id() -> None:
    ids = {asking_id(JudgeSettings(), "labelling", generation) for generation in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("function", [asking_id, open_form])
def test_a_labelling_cannot_forget_its_generation(function: Callable[..., object]) -> None:
    generation = inspect.signature(function).parameters["generation"]
    assert generation.default is inspect.Parameter.empty
