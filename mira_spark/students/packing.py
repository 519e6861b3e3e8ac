"""The documents of a batch laid end to end, so that a GPU computes no padding and no mask.

Legend: B documents of a batch, N tokens of all of them, T tokens of its longest, H the model's
width.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

from mira_spark.students.protocol import Batch

ATTENTION = "mira_packed"
POSITIONS = {"bert": 0, "distilbert": 0, "modernbert": 0, "roberta": 1, "xlm-roberta": 1}
"""Architectures that take documents laid so; 1: positions start behind that of the padding."""
AMPERE = (8, 0)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """As transformers calls it: [1, heads, N, width] each, to [1, N, heads, width]. A token sees
    its own document, with `sliding_window` only what is less far away than that."""
    sides = -1 if sliding_window is None else sliding_window - 1
    q, k, v = (one[0].transpose(0, 1) for one in (query, key, value))
    ends, most = cu_seq_lens_q, max_length_q
    seen = varlen_attn(q, k, v, ends, ends, most, most, scale=scaling, window_size=(sides, sides))
    assert isinstance(seen, Tensor)
    return seen[None], None


def fits(model: Any) -> bool:
    """Whether the model, on its device, can take documents laid so."""
    config = model.config
    if next(model.parameters()).device.type != "cuda" or config.model_type not in POSITIONS:
        return False
    heads_fit = (config.hidden_size // config.num_attention_heads) % 8 == 0
    return heads_fit and torch.cuda.get_device_capability() >= AMPERE


def pack(model: Any) -> None:
    """From now on the model takes documents laid end to end, and no others."""
    AttentionInterface.register(ATTENTION, attention)
    model.set_attn_implementation(ATTENTION)


def unpack(model: Any) -> None:
    """From now on the model takes padded documents again, as in training: it may drop attention."""
    if is_packed(model):
        model.set_attn_implementation("sdpa")


def is_packed(model: Any) -> bool:
    """Whether `pack` was called."""
    return bool(model.config._attn_implementation == ATTENTION)


def pooled(model: Any, batch: Batch) -> Tensor:
    """The mean of each document's last hidden states, float32 [B, H]; a document without a token
    has zeros."""
    device, config = next(model.parameters()).device, model.config
    ids_BT, lengths_B = batch.inputs["ids"], batch.inputs["lengths"]
    is_token_BT = np.arange(ids_BT.shape[1]) < lengths_B[:, None]
    if not is_token_BT.any():
        return torch.zeros((len(lengths_B), config.hidden_size), device=device)
    ids_N = _to_device(ids_BT[is_token_BT], device)
    lengths = _to_device(lengths_B, device)
    ends = nn.functional.pad(lengths.cumsum(0), (1, 0))
    places_N = torch.arange(len(ids_N), device=device)
    places_N -= ends[:-1].repeat_interleave(lengths, output_size=len(ids_N))
    first = POSITIONS[config.model_type] * (int(config.pad_token_id or 0) + 1)
    states: Tensor = model(
        input_ids=ids_N[None],
        position_ids=places_N[None] + first,
        cu_seq_lens_q=ends.to(torch.int32),
        max_length_q=ids_BT.shape[1],
    )[0][0]
    # By offsets: lengths would be checked first, for which the host waits until the model is done.
    sums = torch.segment_reduce(states.float(), "sum", offsets=ends, initial=0)
    return sums / lengths.clamp(min=1)[:, None]


def _to_device(numbers: npt.NDArray[np.int32], device: torch.device) -> Tensor:
    """On the device as int64; from pinned memory, or the copy would wait for all work before it."""
    sent = torch.from_numpy(numbers.astype(np.int64))
    return (sent.pin_memory() if device.type == "cuda" else sent).to(device, non_blocking=True)
