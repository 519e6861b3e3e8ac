"""The GPU's student: a transformers encoder, mean pooling, one linear head per slot.

Legend: B documents of a batch, T tokens of its longest, H the encoder's width, S slots.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from mira_spark.students import architecture, packing, windows
from mira_spark.students.configs import EncoderConfig
from mira_spark.students.protocol import USUAL, Batch, Batching, Scores, strings
from mira_spark.students.windows import Reader

HEADS, BIAS = "heads", "bias"
_BATCH_TOKENS = {"cpu": 4_096, "cuda": 65_536}
PACKED_ROWS_TOGETHER = 1_000
"""So few that the GPU has work soon; for want of padding they need not be sorted together."""
BACKEND = "inductor"
_Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class OnItsWay:
    """An array whose numbers are there once the GPU has come to the event."""

    scores: Tensor
    event: torch.cuda.Event

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Scores:
        self.event.synchronize()
        found: Scores = self.scores.numpy()
        return found


@dataclass(frozen=True)
class EncoderStudent:
    """A model in evaluation mode on its device, and the heads: [S, H] and bias [S], float32.

    `tokenizer` is the bytes of `tokenizer.json`, `reader` what reads documents with it.
    """

    config: EncoderConfig
    model: nn.Module
    tokenizer: bytes
    reader: Reader
    heads: Tensor
    bias: Tensor
    batching: Batching = USUAL

    @property
    def kind(self) -> str:
        """`encoder`."""
        return "encoder"

    @property
    def slots(self) -> int:
        """How many heads there are."""
        return self.config.slots

    @property
    def rows_together(self) -> int:
        """As many as are sorted by length together."""
        return PACKED_ROWS_TOGETHER if packing.is_packed(self.model) else windows.ROWS_TOGETHER

    def batched(self, batching: Batching) -> Self:
        """With such batches. To be compiled changes its model, and no score but for last bits;
        where it cannot be compiled it works as it was."""
        if batching.compiled:
            import torch._dynamo  # takes seconds

            torch._dynamo.config.suppress_errors = True
            for layer in _layers(self.model):  # alike: what is compiled for one serves the others
                layer.compile(backend=BACKEND, dynamic=True)
        return replace(self, batching=batching)

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        """Batches of documents of like length, the longest first."""
        tokens = self.batching.tokens or _BATCH_TOKENS[self.heads.device.type]
        yield from windows.batches(self.reader.ids(strings(texts)), tokens)

    def forward(self, batch: Batch) -> npt.ArrayLike:
        """Scores float32 [B, S]; beside other documents their last bits may differ."""
        with torch.inference_mode():
            scores = pooled(self.model, batch) @ self.heads.T + self.bias
            found = scores.to("cpu", non_blocking=True)
        if not scores.is_cuda:
            return found.numpy()
        return OnItsWay(found, torch.cuda.current_stream().record_event())

    def shorter(self, batch: Batch) -> Batch | None:
        """The batch with half as many tokens of each document."""
        return windows.shorter(batch, self.reader)

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights by name, as `layout` has them."""
        heads = {HEADS: self.heads.cpu().numpy(), BIAS: self.bias.cpu().numpy()}
        return architecture.weights_of(self.model) | heads


def layout(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor of an artefact; ArtefactError when there is no such model."""
    shapes = architecture.layout(config.architecture, "encoder")
    width = architecture.width(config.architecture, "encoder")
    return shapes | {HEADS: (config.slots, width), BIAS: (config.slots,)}


def restored(config: EncoderConfig, tensors: _Arrays, tokenizer: bytes) -> EncoderStudent:
    """The student of an artefact, where it works fastest."""
    reader = windows.reader(tokenizer, config.max_tokens)
    model = architecture.restored(config.architecture, "encoder", tensors)
    heads, bias = (torch.from_numpy(np.array(tensors[name])) for name in (HEADS, BIAS))
    return placed(EncoderStudent(config, model, tokenizer, reader, heads, bias))


def placed(student: EncoderStudent) -> EncoderStudent:
    """The student on the GPU, its encoder in bfloat16; on the CPU where there is none."""
    if not torch.cuda.is_available():
        return student
    model = student.model.to("cuda", torch.bfloat16)
    if packing.fits(model):
        packing.pack(model)
    return replace(
        student, model=model, heads=student.heads.to("cuda"), bias=student.bias.to("cuda")
    )


def pooled(model: nn.Module, batch: Batch) -> Tensor:
    """The mean of each document's last hidden states, float32 [B, H]; a document without a token
    has zeros."""
    if packing.is_packed(model):
        return packing.pooled(model, batch)
    device = next(model.parameters()).device
    ids = torch.from_numpy(batch.inputs["ids"]).to(device, torch.long, non_blocking=True)
    lengths = torch.from_numpy(batch.inputs["lengths"]).to(device, non_blocking=True)
    if int(batch.inputs["lengths"].min()) == ids.shape[1]:  # none is padded: the fast kernels
        whole: Tensor = model(input_ids=ids)[0]
        return whole.float().mean(dim=1)
    mask_BT = torch.arange(ids.shape[1], device=device) < lengths[:, None]
    states_BTH: Tensor = model(input_ids=ids, attention_mask=mask_BT.long())[0].float()
    summed_BH = (states_BTH * mask_BT[:, :, None]).sum(dim=1)
    return summed_BH / lengths.clamp(min=1)[:, None]


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            yield from module
