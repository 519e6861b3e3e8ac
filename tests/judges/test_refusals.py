"""Which refusals say that a prompt is too long, and which setting mends the others."""

import pytest

from mira_spark.judges.protocol import PromptTooLong
from mira_spark.judges.refusals import refusal, remedy

TOO_LONG = {
    "llama.cpp": (
        "request (28078 tokens) exceeds the available context size (8192 tokens), try increasing it"
    ),
    "llama.cpp before": (
        "the request exceeds the available context size. try increasing the context size or "
        "enable context shift"
    ),
    "Ollama": (
        '{"error":{"code":400,"message":"request (26528 tokens) exceeds the available context'
        ' size (16384 tokens), try increasing it","type":"exceed_context_size_error"}}'
    ),
    "vLLM": (
        "This model's maximum context length is 8192 tokens. However, you requested 8203 "
        "tokens (7691 in the messages, 512 in the completion). Please reduce the length of "
        "the messages or completion."
    ),
    "vLLM, the output": (
        "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum "
        "context length is 1000 tokens and your request has 203 input tokens (1000 > 1000 - "
        "203)"
    ),
    "vLLM, the model": (
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192. "
        "Make sure that `max_model_len` is no smaller than the number of text tokens."
    ),
    "OpenAI": (
        "This model's maximum context length is 128000 tokens. However, your messages "
        "resulted in 179011 tokens. Please reduce the length of the messages."
    ),
    "OpenAI, later": (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in"
        " 283201 tokens. Please reduce the length of the messages."
    ),
    "Claude on Databricks": "prompt is too long: 208656 tokens > 200000 maximum",
    "Claude, with the output": (
        "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, "
        "decrease input length or `max_tokens` and try again"
    ),
    "Bedrock": "ValidationException: Input is too long for requested model.",
    "TGI": (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: "
        "6204 `inputs` tokens and 2047 `max_new_tokens`"
    ),
    "SGLang": ("The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
}
"""What servers answer, in their own words."""

OTHER = {
    "the output alone, Databricks": (
        "max_tokens (10000) cannot exceed 8192. Please reduce the length of max output tokens"
        " generated."
    ),
    "the rate": ("Request too large for model in organization: limit 6000 tokens per minute"),
    "the schema": "JSON schema error at #: unrecognized type whatever",
}

NO_SCHEMA = (
    "set judge.answer_format to json_object, or judge.parameters to {response_format: null} for "
    "a server that takes no form of answer at all"
)


@pytest.mark.parametrize("said", TOO_LONG.values(), ids=TOO_LONG)
def test_a_prompt_that_is_too_long_is_known_by_the_words_of_each_server(said: str) -> None:
    found = refusal(400, said)
    assert isinstance(found, PromptTooLong)
    assert (found.status, found.lost) == (400, False)
    assert str(found) == f"status 400: {said}"[:200]
    assert remedy(str(found)) == (
        "lower judge.window_tokens or judge.max_output_tokens, or serve a longer context"
    )


@pytest.mark.parametrize("said", OTHER.values(), ids=OTHER)
def test_other_refusals_are_not_taken_for_it(said: str) -> None:
    assert not isinstance(refusal(400, said), PromptTooLong)


def test_only_a_refusal_of_the_question_is_one_of_its_length() -> None:
    for status in (404, 429, 500, 503):
        assert not isinstance(refusal(status, TOO_LONG["llama.cpp"], "7"), PromptTooLong)
    assert refusal(429, "slow down", "7").retry_after == "7"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
            "model.",
            NO_SCHEMA,
        ),
        (
            'response_format type must be one of "text" or "json_object", but got: json_schema',
            NO_SCHEMA,
        ),
        (
            "'response_format.type' must be 'json_schema' or 'text'",
            "set judge.answer_format to json_schema",
        ),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "set judge.parameters to {max_tokens: max_completion_tokens}",
        ),
        (
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
            "(1) value is supported.",
            "set judge.temperature to null",
        ),
        ("no such model", "check judge.url, judge.model and judge.parameters"),
    ],
)
def test_the_remedy_names_the_setting_that_the_server_minds(said: str, advice: str) -> None:
    assert remedy(str(refusal(400, said))) == advice
