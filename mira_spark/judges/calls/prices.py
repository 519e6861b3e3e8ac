"""What a call costs, and what it may cost at most.

Costs are counted in whole billionths of a US dollar (what decimal(18,9) holds), tokens in units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mira_spark.errors import ConfigError
from mira_spark.judges.protocol import Answer
from mira_spark.settings.judge import Price

NANOS = 10**9
TOKENS_AROUND_A_MESSAGE = 256
"""More than any known chat template or hidden instruction puts around one message."""


@dataclass(frozen=True)
class Usage:
    """What a call used, for who has no Answer to say it. Cached tokens are part of the input."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0


def price_of(model: str, prices: Mapping[str, Price]) -> Price:
    """The model's price; ConfigError saying how to set it when there is none."""
    if model not in prices:
        raise ConfigError(
            f"judge.prices: no price for the model {model!r}, and nothing is sent at an unknown "
            f"price. In US dollars per million tokens, 0 for a server of your own: "
            f"judge.prices.{model}.input, .cached_input (may be left out), .output, and .read_on, "
            f"the date the price was read (YYYY-MM-DD). Known: {', '.join(sorted(prices)) or '-'}"
        )
    return prices[model]


def cost_nanos(price: Price, usage: Usage | Answer) -> int:
    """The price in billionths of a US dollar, rounded up once."""
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    nanos_of_millions = (
        (usage.input_tokens - cached) * nanos(price.input)
        + cached * nanos(cached_price)
        + usage.output_tokens * nanos(price.output)
    )
    return -(-nanos_of_millions // 10**6)


def most_nanos(price: Price, input_tokens: int, output_tokens: int) -> int:
    """The cost if no token is cached, or all are, whichever is dearer."""
    return max(
        cost_nanos(price, Usage(input_tokens, output_tokens, cached))
        for cached in (0, input_tokens)
    )


def upper_bound_tokens(messages: Sequence[tuple[str, str]], schema_json: str) -> int:
    """At least as many tokens as the prompt has, whatever the model's tokenizer.

    Byte-level BPE starts from the bytes of the UTF-8 text and only ever joins them, so no text has
    more tokens than bytes. The schema counts in full, since servers put it into the prompt; what
    a chat template adds is covered by a constant for each message.
    """
    texts = [schema_json, *(content for _, content in messages)]
    n_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return n_bytes + TOKENS_AROUND_A_MESSAGE * len(messages)


def nanos(usd: Decimal) -> int:
    """US dollars in billionths."""
    return int(usd.scaleb(9))
