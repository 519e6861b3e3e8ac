"""Baselines that are transformers models, as the engine scores texts by them.

Each reads the beginning of a document, as those who published it do. Legend: B documents of a
batch, T tokens of its longest, N tokens that are predicted, H the model's width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import pyarrow as pa
import torch
from torch import Tensor, nn

from mira_spark.scoring.baselines.saved import SavedBaseline
from mira_spark.students import architecture, windows
from mira_spark.students.generative import device_of, placed
from mira_spark.students.protocol import USUAL, Batch, Batching, Scores, strings

_BATCH_TOKENS = {"cpu": 4_096, "cuda": 32_768}
_PREDICTED_AT_ONCE = 1_024
"""Tokens whose likelihoods are computed together: each takes a number for every word there is."""


@dataclass(frozen=True)
class ModelScorer:
    """One score for a text. `model` is in evaluation mode on its device, `measure` gives float32
    [B] of it, ids [B, T] padded at the right, and lengths [B]."""

    model: nn.Module
    reader: windows.Reader
    measure: Callable[[Any, Tensor, Tensor], Tensor]
    batching: Batching = USUAL

    @property
    def slots(self) -> int:
        """One."""
        return 1

    @property
    def rows_together(self) -> int:
        """As many as are sorted by length together."""
        return windows.ROWS_TOGETHER

    def batched(self, batching: Batching) -> Self:
        """With batches of so many tokens; never compiled."""
        return replace(self, batching=batching)

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        """Batches of beginnings of like length, the longest first."""
        most = self.batching.tokens or _BATCH_TOKENS[device_of(self.model).type]
        yield from windows.batches(self.reader.beginnings(strings(texts)), most)

    def forward(self, batch: Batch) -> Scores:
        """Scores float32 [B, 1]; beside other documents their last bits may differ."""
        device = device_of(self.model)
        ids = torch.from_numpy(batch.inputs["ids"]).to(device, torch.long)
        lengths = torch.from_numpy(batch.inputs["lengths"]).to(device, torch.long)
        with torch.inference_mode():
            scores: Scores = self.measure(self.model, ids, lengths)[:, None].cpu().numpy()
        return scores

    def shorter(self, batch: Batch) -> Batch | None:
        """The batch with half as many tokens of its longest document."""
        return windows.shorter(batch, self.reader)


def mean_log_likelihood(model: Any, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """The mean log probability of each document's tokens but the first, which nothing predicts, in
    nats: minus the log of the perplexity. NaN for a document of one token."""
    is_token_BT = _is_token(ids_BT, lengths_B)
    read = model.base_model(input_ids=ids_BT, attention_mask=is_token_BT.long())
    is_predicted = is_token_BT[:, 1:]
    states_NH = read.last_hidden_state[:, :-1][is_predicted]
    tokens_N, rows_N = ids_BT[:, 1:][is_predicted], is_predicted.nonzero()[:, 0]
    head, sums_B = model.get_output_embeddings(), torch.zeros(len(ids_BT), device=ids_BT.device)
    for first in range(0, len(tokens_N), _PREDICTED_AT_ONCE):
        some = slice(first, first + _PREDICTED_AT_ONCE)
        logits = head(states_NH[some]).float()
        losses = nn.functional.cross_entropy(logits, tokens_N[some], reduction="none")
        sums_B.index_add_(0, rows_N[some], -losses)
    return sums_B / (lengths_B - 1)


def single_output(model: Any, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """What a sequence-classification model with one output says of each document."""
    is_token_BT = _is_token(ids_BT, lengths_B)
    logits: Tensor = model(input_ids=ids_BT, attention_mask=is_token_BT.long()).logits
    return logits[:, 0].float()


def saved_model(
    baseline: str, family: architecture.Family, model: Any, tokenizer: bytes, max_tokens: int
) -> SavedBaseline:
    """What `restored_model` makes the scorer of; ArtefactError where the tokenizer is none, or has
    no room for a document."""
    windows.reader(tokenizer, max_tokens)
    said = {"baseline": baseline, "family": family, "max_tokens": max_tokens,
            "architecture": architecture.described(model)}  # fmt: skip
    return SavedBaseline(said, architecture.weights_of(model), tokenizer)


def restored_model(saved: SavedBaseline) -> ModelScorer:
    """The scorer, on the GPU in bfloat16; on the CPU where there is none."""
    family, reader = (
        saved.config["family"],
        windows.reader(saved.tokenizer, saved.config["max_tokens"]),
    )
    model = architecture.restored(saved.config["architecture"], family, saved.arrays)
    measure = mean_log_likelihood if family == "causal" else single_output
    return ModelScorer(placed(model), reader, measure)


def _is_token(ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
    return torch.arange(ids_BT.shape[1], device=ids_BT.device) < lengths_B[:, None]
