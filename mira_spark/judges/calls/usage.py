"""What one call to a judge has used so far, over all its attempts."""

from dataclasses import dataclass, replace

from mira_spark.judges.protocol import Answer, Request


@dataclass
class CallUsage:
    """A request with the attempts, tokens and nano-dollars it has used so far.

    An attempt whose answer was lost counts with the most that it can have cost.
    """

    request: Request
    most_tokens: tuple[int, int]
    sent: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0

    def spend(self, tokens: tuple[int, int], nanos: int) -> None:
        """Add one attempt's input and output tokens and its cost in nano-dollars."""
        self.input_tokens += tokens[0]
        self.output_tokens += tokens[1]
        self.cost_nanos += nanos

    def total(self, answer: Answer) -> Answer:
        """The answer with the tokens, cost and attempts of all attempts."""
        return replace(
            answer,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_nanos=self.cost_nanos,
            attempts=self.sent,
        )
