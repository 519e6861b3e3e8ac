"""What a server's refusal says: that a prompt is too long for it, or which setting it minds.

The words are those of vLLM, llama.cpp, Ollama, SGLang, TGI, OpenAI, Databricks and Bedrock.
"""

import re

from mira_spark.judges.protocol import CallFailed, PromptTooLong

_LONGEST = 200
_SIZE_STATUSES = {400, 413, 422}
_TOO_LONG = re.compile(
    r"maximum context length|context length is only|maximum model length"  # vLLM, OpenAI
    r"|reduce the length of (?:the |your )?(?:input |text )?(?:messages|prompt|input)"
    r"|tokens exceed the configured limit|exceeds the context window"  # OpenAI
    r"|exceeds? the available context size|exceed context window"  # llama.cpp, Ollama
    r"|exceeds the context length|longer than the model's context length"  # Ollama, SGLang
    r"|`inputs` (?:tokens \+ `max_new_tokens` must be|must have less than)"  # TGI
    r"|(?:prompt|input) is too long|exceed context limit"  # Claude on Databricks and Bedrock
    r"|input token count .{0,40}exceeds the maximum",  # Gemini
    re.IGNORECASE,
)
_REMEDIES = (
    (_TOO_LONG, "lower judge.window_tokens or judge.max_output_tokens, or serve a longer context"),
    (re.compile(r"must be .?json_schema"), "set judge.answer_format to json_schema"),
    (
        re.compile(r"response[ _]format|json[ _]schema|structured[ _]output", re.IGNORECASE),
        "set judge.answer_format to json_object, or judge.parameters to {response_format: null} "
        "for a server that takes no form of answer at all",
    ),
    (
        re.compile(r"max_completion_tokens"),
        "set judge.parameters to {max_tokens: max_completion_tokens}",
    ),
    (re.compile(r"\btemperature\b"), "set judge.temperature to null"),
)
_CHECK = "check judge.url, judge.model and judge.parameters"


def refusal(status: int, message: str, retry_after: str | None = None) -> CallFailed:
    """The failure that a response with an error status is; `message` is what the server says."""
    said = f"status {status}: {message}"[:_LONGEST]
    if status in _SIZE_STATUSES and _TOO_LONG.search(message):
        return PromptTooLong(said, status)
    return CallFailed(said, status, retry_after)


def remedy(said: str) -> str:
    """What to do when a server refuses every call with these words."""
    return next((advice for words, advice in _REMEDIES if words.search(said)), _CHECK)
