"""The paper's own kind of student: a causal LM that writes a score and a reason per dimension.

Scoring writes no reason and samples nothing. For every slot in turn only the integers 0-10 are
allowed; the score is their expected value under the model, and decoding goes on from the likeliest.

Legend: B documents of a batch, T tokens of its longest prompt.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from mira_spark.errors import ArtefactError
from mira_spark.lake.scale import POINTS
from mira_spark.students import answers, architecture, windows
from mira_spark.students.configs import GenerativeConfig
from mira_spark.students.decoding import Choices, Decoder
from mira_spark.students.protocol import USUAL, Batch, Batching, Scores, strings

_Arrays = Mapping[str, npt.NDArray[np.float32]]
_Explanation = tuple[list[int | None], list[str]]

_BATCH_TOKENS = {"cpu": 4_096, "cuda": 32_768}
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True)
class GenerativeStudent:
    """A model in evaluation mode on its device; `assembled` makes one and checks that all fits.

    `tokenizer` is the bytes of `tokenizer.json`, `reader` what frames documents as prompts with it,
    `choices` are the integers as each slot is written. `room` is how many tokens the model can
    attend to at once, prompt and answer.
    """

    config: GenerativeConfig
    model: nn.Module
    tokenizer: bytes
    reader: windows.Reader
    choices: tuple[Choices, ...]
    room: int
    batching: Batching = USUAL

    @property
    def kind(self) -> str:
        """`generative`."""
        return "generative"

    @property
    def slots(self) -> int:
        """How many scores a document gets."""
        return self.config.slots

    @property
    def rows_together(self) -> int:
        """As many as are sorted by length together."""
        return windows.ROWS_TOGETHER

    def batched(self, batching: Batching) -> Self:
        """With batches of so many tokens; never compiled: each call has another shape."""
        return replace(self, batching=batching)

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        """Batches of prompts of like length, the longest first."""
        read = strings(texts)
        chunks = (read[i : i + _TEXTS_AT_ONCE] for i in range(0, len(read), _TEXTS_AT_ONCE))
        prompts = [prompt for chunk in chunks for prompt in self.reader.ids(chunk)]
        most = self.batching.tokens or _BATCH_TOKENS[device_of(self.model).type]
        yield from windows.batches(prompts, most)

    def forward(self, batch: Batch) -> Scores:
        """Expected values, float32 [B, slots] within 0-10; beside other documents their last bits
        may differ."""
        with torch.inference_mode():
            decoder, (tokens, mask) = Decoder(self.model), self.prompts(batch)
            integers = torch.arange(POINTS + 1.0, device=tokens.device)
            scores = []
            for choices in self.choices:
                likelihood = choices.likelihood(decoder, tokens, mask)
                scores.append((likelihood * integers).sum(1).clamp(0, POINTS))
                chosen = likelihood.argmax(1)
                tokens, mask = choices.tokens[chosen], choices.mask[chosen]
            points: Scores = torch.stack(scores, 1).cpu().numpy()
        return points

    def shorter(self, batch: Batch) -> Batch | None:
        """The batch with half as many tokens of each document, its instruction whole."""
        return windows.shorter(batch, self.reader)

    def prompts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Tokens and their mask, int64 [B, T] on the device, padded between instruction and
        document: all rows end together, and every column has something to attend to."""
        device = device_of(self.model)
        ids = torch.from_numpy(batch.inputs["ids"]).to(device, torch.long)
        lengths = torch.from_numpy(batch.inputs["lengths"]).to(device, torch.long)
        before, columns = len(self.reader.before), torch.arange(ids.shape[1], device=device)
        gaps = ids.shape[1] - lengths[:, None]
        mask = (columns < before) | (columns >= before + gaps)
        moved = torch.where(columns < before, columns, (columns - gaps).clamp(min=0))
        return ids.gather(1, moved) * mask, mask.long()

    def tokens(self, text: str) -> list[int]:
        """The text's tokens, without any special one."""
        return self.reader.text_ids(text)

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights by name, as `layout` has them."""
        return architecture.weights_of(self.model)


def assembled(config: GenerativeConfig, model: nn.Module, tokenizer: bytes) -> GenerativeStudent:
    """The student of a model where it is.

    ArtefactError when anchors and slots differ in number, the tokenizer is none or another model's
    or cannot tell the integers apart, or a prompt is longer than what the model can attend to.
    """
    if len(config.anchors) != config.slots:
        raise ArtefactError(f"anchors are {len(config.anchors)}, expected {config.slots}")
    reader = _reader(config, tokenizer)
    known: Any = model.config
    largest = max(reader.tokenizer.get_vocab().values(), default=0)
    if largest >= known.vocab_size:
        raise ArtefactError(
            f"tokenizer.json: has a token {largest}, expected less than {known.vocab_size}"
        )
    room = min(known.max_position_embeddings, getattr(known, "sliding_window", None) or 1 << 40)
    choices = _choices(config.slots, reader.tokenizer, device_of(model))
    over = reader.most + sum(one.tokens.shape[1] for one in choices) - room
    if over > 0:
        raise ArtefactError(
            f"max_tokens is {config.max_tokens}, expected at most {config.max_tokens - over}: the "
            f"model attends to {room} tokens, instruction and scores among them"
        )
    return GenerativeStudent(config, model.eval(), tokenizer, reader, choices, room)


def _reader(config: GenerativeConfig, content: bytes) -> windows.Reader:
    """Frames documents of at most `max_tokens` tokens as prompts."""
    plain = windows.reader(content, config.max_tokens)
    tokenizer = plain.tokenizer
    instruction = answers.instruction(config.anchors)
    # With what the tokenizer itself puts before a text: a model expects its sign of a beginning.
    before = list(tokenizer.encode(instruction, add_special_tokens=True).ids)
    after, mark = (
        list(tokenizer.encode(text, add_special_tokens=False).ids)
        for text in (answers.ASK, answers.WINDOW_MARK)
    )
    most = len(before) + config.max_tokens + len(after)
    reader = replace(plain, most=most, before=before, after=after, mark=mark)
    if reader.window < 1:
        raise ArtefactError(f"max_tokens is {config.max_tokens}, too few for three windows")
    return reader


def _choices(slots: int, tokenizer: Tokenizer, device: torch.device) -> tuple[Choices, ...]:
    def choices(end: str) -> Choices:
        texts = [f"{value}{end}" for value in range(POINTS + 1)]
        encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        return Choices.from_tokens(encoded, device)

    return (choices(answers.SEPARATOR),) * (slots - 1) + (choices(answers.END),)


def explained(
    student: GenerativeStudent, texts: pa.Array, new_tokens: int = 1_000
) -> list[_Explanation]:
    """The scores and reasons that the student writes when nothing forces its answer, row for row.

    Greedy; an answer ends with its last line or after `new_tokens`. What cannot be read of it is
    None or empty. These scores are integers: `forward` has the expected values.
    """
    explanations: list[_Explanation] = [([], []) for _ in range(len(texts))]
    for batch in student.encode(texts):
        for row, text in zip(
            batch.rows.tolist(), _answers(student, batch, new_tokens), strict=True
        ):
            explanations[row] = answers.parse(text, student.slots)
    return explanations


def _answers(student: GenerativeStudent, batch: Batch, new_tokens: int) -> list[str]:
    """What the model writes after each prompt; the lines of an answer are counted to end it."""
    tokenizer = student.reader.tokenizer
    written: list[list[int]] = [[] for _ in batch.rows]
    lines = [1 + student.slots] * len(written)
    with torch.inference_mode():
        decoder, (tokens, mask) = Decoder(student.model), student.prompts(batch)
        for _ in range(min(new_tokens, student.room - tokens.shape[1])):
            tokens = decoder.read(tokens, mask, 1)[:, -1].argmax(1, keepdim=True)
            mask = torch.ones_like(tokens)
            for row, token in enumerate(tokens[:, 0].tolist()):
                if lines[row] > 0:
                    written[row].append(token)
                    lines[row] -= tokenizer.decode([token]).count(answers.END)
            if max(lines) <= 0:
                break
    return [tokenizer.decode(one) for one in written]


def layout(config: GenerativeConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor of an artefact; ArtefactError when there is no such model."""
    return architecture.layout(config.architecture, "causal")


def restored(config: GenerativeConfig, tensors: _Arrays, tokenizer: bytes) -> GenerativeStudent:
    """The student of an artefact, where it works fastest."""
    model = architecture.restored(config.architecture, "causal", tensors)
    return assembled(config, placed(model), tokenizer)


def placed(model: nn.Module) -> nn.Module:
    """The same model on the GPU, its weights in bfloat16; on the CPU where there is none."""
    if not torch.cuda.is_available():
        return model
    for weight in model.parameters():
        # Weights alone: a buffer may hold frequencies of positions, which bfloat16 would round.
        weight.data = weight.data.to(torch.bfloat16)
    return model.to("cuda")


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device
