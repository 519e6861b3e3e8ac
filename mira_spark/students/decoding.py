"""One batch read by a causal model step by step, and the integers 0-10 chosen among at each.

Legend: B rows of a batch, K tokens read in a step, N integers, V tokens of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from mira_spark.errors import ArtefactError
from mira_spark.students.integer_tokens import Probe, probes


class Decoder:
    """What a model has read of a batch, kept so that nothing is computed twice."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._cache = DynamicCache()
        self._mask: Tensor | None = None

    def read(self, tokens: Tensor, mask: Tensor, keep: int) -> Tensor:
        """Read tokens [B, K] where mask [B, K] is 1; logits [B, keep, V] of the last columns.

        Padding takes no position and is never attended to, so rows do not depend on each other.
        """
        self._mask = mask if self._mask is None else torch.cat([self._mask, mask], 1)
        positions = (self._mask.cumsum(1) - 1)[:, -tokens.shape[1] :]
        said = self._model(
            input_ids=tokens,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits: Tensor = said.logits
        return logits

    def forget(self, count: int) -> None:
        """Take the last tokens back."""
        if count and self._mask is not None:
            self._cache.crop(-count)
            self._mask = self._mask[:, :-count]


@dataclass(frozen=True)
class Choices:
    """The integers as one slot is written: int64 [N, K], padded at the left, and their mask."""

    probes: tuple[Probe, ...]
    tokens: Tensor
    mask: Tensor

    @classmethod
    def from_tokens(cls, written: Sequence[Sequence[int]], device: torch.device) -> Self:
        """Those written with these tokens; ArtefactError when they cannot be told apart."""
        try:
            probed = probes([tuple(tokens) for tokens in written])
        except ValueError as error:
            raise ArtefactError(f"tokenizer.json: cannot write the integers: {error}") from error
        longest = max(map(len, written))
        gaps = [longest - len(tokens) for tokens in written]
        padded = [[0] * gap + list(one) for gap, one in zip(gaps, written, strict=True)]
        mask = [[0] * gap + [1] * (longest - gap) for gap in gaps]
        return cls(probed, torch.tensor(padded, device=device), torch.tensor(mask, device=device))

    def likelihood(self, decoder: Decoder, tokens: Tensor, mask: Tensor) -> Tensor:
        """Probabilities float32 [B, N] of the integers after what was read and these tokens.

        At every branch the model chooses among the tokens that lead to an integer. The tokens stay
        read. A branch behind others is met by reading on as if it were taken, in the same step.
        """
        total = torch.zeros(len(tokens), len(self.tokens), device=tokens.device)
        for probe in self.probes:
            ahead = torch.tensor(probe.tokens, dtype=torch.int64, device=tokens.device)
            ahead = ahead.expand(len(tokens), -1)
            logits = decoder.read(
                torch.cat([tokens, ahead], 1),
                torch.cat([mask, torch.ones_like(ahead)], 1),
                1 + len(probe.tokens),
            )
            decoder.forget(len(probe.tokens))
            for branch in probe.branches:
                after = logits[:, len(branch.prefix) - len(probe.tokens) - 1]
                shares = after[:, branch.children].float().log_softmax(1)
                total[:, branch.values] += shares[:, branch.which]
            tokens, mask = tokens[:, :0], mask[:, :0]
        return total.exp()
