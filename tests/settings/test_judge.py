"""What may be said of a judge: complete, allowed, and never with a key in it."""

from typing import Any

import pytest
from pydantic import ValidationError

from mira_spark.settings.judge import JudgeSettings, ModelSettings

KEY = "sk-canary-A1b2C3d4E5f6G7h8"
OPENAI: dict[str, Any] = {"kind": "openai", "model": "m", "url": "https://judge.example/v1",
                          "hosts": ["judge.example"]}  # fmt: skip


def problems(**given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        JudgeSettings.model_validate(given)
    return "\n".join(found["msg"] for found in caught.value.errors())


def test_the_default_is_the_judge_without_a_network() -> None:
    assert JudgeSettings().kind == "heuristic"
    assert JudgeSettings().labelling is None
    assert JudgeSettings().reasks == 1


def test_a_complete_judge_of_each_kind_is_taken() -> None:
    assert JudgeSettings(**OPENAI).secret == "env:OPENAI_API_KEY"
    assert JudgeSettings(**OPENAI, secret="databricks:judges/openai")
    assert JudgeSettings(kind="bedrock", model="m", region="eu-central-1", profile="judges")
    both = JudgeSettings(**OPENAI, labelling=ModelSettings(kind="bedrock", model="cheap"))
    assert both.labelling
    assert (both.model, both.labelling.model) == ("m", "cheap")


def test_all_that_is_missing_is_said_at_once() -> None:
    said = problems(kind="openai", secret=KEY)
    assert "model: is needed with kind: openai" in said
    assert "url: is needed with kind: openai" in said
    assert "secret: should be env:NAME" in said
    said = problems(kind="bedrock", seed=4)
    assert "model: is needed with kind: bedrock" in said
    assert "seed: bedrock knows none; leave it out" in said


def test_a_key_in_the_place_of_its_name_is_not_shown() -> None:
    assert KEY not in problems(**OPENAI, secret=KEY)
    assert KEY not in problems(**OPENAI | {"url": f"https://user:{KEY}@judge.example/v1"})
    assert KEY not in problems(**OPENAI | {"url": f"https://judge.example/v1?key={KEY}"})


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "gemini"}, {"model": ""}, {"temperature": -0.1}, {"temperature": 2.1},
        {"max_output_tokens": 0}, {"answer_format": "text"}, {"timeout_s": 0}, {"reasks": -1},
        {"window_tokens": 15}, {"hosts": [""]}, {"licenses": [""]}, {"unknown": 1},
        {"labelling": {"kind": "openai"}}, {"labelling": {"window_tokens": 16}},
        {"parameters": {"top_p": "p"}}, {"parameters": {"seed": ""}},
        {"parameters": {"seed": "a b"}}, {"kind": "bedrock", "parameters": {"seed": None}},
        {"prices": {"m": {"input": "1"}}}, {"url": "http://judge.example/v1"}, {"hosts": []},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(given: dict[str, Any]) -> None:
    JudgeSettings.model_validate(OPENAI)
    assert problems(**OPENAI | given)


def test_parameters_that_could_not_be_sent_are_refused() -> None:
    clash = {"seed": "model", "temperature": "max_tokens"}
    assert problems(**OPENAI, parameters=clash).endswith(
        "parameters: max_tokens, model would be sent twice; use other names"
    )
    assert problems(**OPENAI, parameters={"max_tokens": None}).endswith(
        "parameters.max_tokens: should not be null, it bounds what a call costs"
    )
