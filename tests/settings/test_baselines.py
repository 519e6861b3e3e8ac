"""The section `baselines`: what is not complete is refused, an input is one as of the corpus."""

import pytest

from mira_spark.errors import ConfigError
from mira_spark.settings.root import Settings, load

TARGET = "{format: json, path: /texts}"
EITHER = "target: either it (for n-grams) or model is needed, and not both"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("dsir={}", "dsir.target: is missing"),
        ("dsir={target: {format: json}}", "dsir.target.path: is missing"),
        ("dsir={target: {format: jsn, path: x}}",
         "dsir.target.format: should be 'parquet', 'json', 'csv', 'text', 'delta', 'table' "
         "or 'messages', found 'jsn'"),
        ("perplexity={}", f"perplexity.{EITHER}"),
        (f"perplexity={{target: {TARGET}, model: x}}", f"perplexity.{EITHER}"),
        (f"perplexity={{target: {TARGET}, order: 9}}",
         "perplexity.order: should be at most 6, found 9"),
        ("educational={}", "educational.model: is missing"),
        ("heuristics=some",
         "heuristics: should be true or false, found 'some'"),
        ("dsri=1", "dsri is not a setting; did you mean baselines.dsir? Known: dsir, educational, "
         "heuristics, perplexity"),
    ],
)  # fmt: skip
def test_what_is_not_complete_is_one_line(override: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(None, [f"baselines.{override}"])
    assert str(error.value) == f"settings: baselines.{problem}"


def test_what_is_set_is_computed_in_the_order_of_the_section() -> None:
    assert Settings().baselines.sections == {}
    chosen = load(
        None, ["baselines.heuristics=true", f"baselines.perplexity={{target: {TARGET}, order: 2}}"]
    )
    assert list(chosen.baselines.sections) == ["perplexity", "heuristics"]
    assert load(None, ["baselines.heuristics=false"]) == Settings()


@pytest.mark.parametrize("name", ["dsir", "perplexity", "heuristics", "educational"])
def test_a_selection_by_a_baseline_is_a_list(name: str) -> None:
    chosen = load(None, [f"selection.score={name}"]).selection
    assert (chosen.baseline, chosen.is_predicate) == (name, False)
    assert load(None, ["selection.score=random"]).selection.baseline is None
