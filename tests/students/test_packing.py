"""Documents laid end to end: the same states as padded ones, whatever the architecture.

The kernel needs a GPU; here it is stood in for by attention to each document alone.
"""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mira_spark.students import architecture, encoder, packing
from mira_spark.students.protocol import Batch

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 99}
BODY = {"intermediate_size": 40, "max_position_embeddings": 80, "pad_token_id": 0}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": SMALL | BODY,
    "roberta": SMALL | BODY | {"pad_token_id": 1},
    "xlm-roberta": SMALL | BODY | {"pad_token_id": 1},
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 40, "vocab_size": 99},
    "modernbert": SMALL
    | BODY
    | {
        "local_attention": 8,  # in the last two layers a token sees those at most 4 away
        "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
    },
}
LENGTHS = [40, 33, 17, 9, 1, 0]


def alone(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    ends: Tensor,
    _: Tensor,
    most: int,
    __: int,
    scale: float,
    window_size: tuple[int, int],
) -> Tensor:
    """What the kernel promises, document by document."""
    found = torch.empty_like(query)
    for first, last in zip(ends.tolist(), ends.tolist()[1:], strict=False):
        assert last - first <= most
        places = torch.arange(last - first)
        distance = places[None, :] - places[:, None]
        seen = torch.ones_like(distance, dtype=torch.bool)
        if window_size != (-1, -1):
            seen = (distance >= -window_size[0]) & (distance <= window_size[1])
        q, k, v = (one[first:last].transpose(0, 1) for one in (query, key, value))
        weights = (q @ k.transpose(1, 2) * scale).masked_fill(~seen, -torch.inf).softmax(dim=-1)
        found[first:last] = (weights @ v).transpose(0, 1)
    return found


def a_batch(lengths: list[int]) -> Batch:
    """Random tokens, none of them a padding token of any architecture."""
    random = np.random.default_rng(5)
    ids = random.integers(2, 99, (len(lengths), max(lengths, default=0)), dtype=np.int32)
    for row, length in enumerate(lengths):
        ids[row, length:] = 0
    return Batch(np.arange(len(lengths)), {"ids": ids, "lengths": np.array(lengths, np.int32)})


def a_model(model_type: str) -> nn.Module:
    torch.manual_seed(1)
    numbers = {"model_type": model_type} | ARCHITECTURES[model_type]
    model = architecture._built(numbers, "encoder")
    with torch.no_grad():
        for weight in model.parameters():  # as after training: nothing is near zero
            weight += 0.3 * torch.randn_like(weight)
    return model.eval()


def test_every_architecture_that_is_packed_is_tested_here() -> None:
    assert ARCHITECTURES.keys() == packing.POSITIONS.keys()


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_documents_laid_end_to_end_have_the_states_of_padded_ones(
    model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "varlen_attn", alone)
    padded, batch = a_model(model_type), a_batch(LENGTHS)
    packed = copy.deepcopy(padded)
    packing.pack(packed)
    assert packing.is_packed(packed)
    assert not packing.is_packed(padded)
    with torch.inference_mode():
        found, expected = encoder.pooled(packed, batch), encoder.pooled(padded, batch)
    assert found.dtype == torch.float32
    assert not found[-1].any()
    assert expected[:-1].std() > 0.1
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_host_asks_for_no_number_on_the_device_before_the_next_batch(
    model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "varlen_attn", lambda query, *_, **__: query.clone())
    model, batch = a_model(model_type), a_batch(LENGTHS)
    packing.pack(model)
    with torch.inference_mode(), torch.profiler.profile() as seen:
        encoder.pooled(model, batch)
    called = {event.name for event in seen.events()}
    assert "aten::segment_reduce" in called
    assert not called & {"aten::item", "aten::_local_scalar_dense", "aten::nonzero"}


def test_a_batch_without_any_token_has_zeros() -> None:
    model = a_model("bert")
    packing.pack(model)
    assert not encoder.pooled(model, a_batch([0, 0])).any()


def test_a_model_on_a_cpu_is_not_packed() -> None:
    assert not packing.fits(a_model("bert"))
