"""A generative student behind an OpenAI-compatible server, such as vLLM with a published scorer.

Scores are what `students.generative` computes, from the server's likeliest tokens: for every slot
the expected value over the integers 0-10, then on from the likeliest. A request asks one slot of
all documents of a batch; the server keeps what it read of their prompts.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.errors import MiraError, OutageError
from mira_spark.judges.calls.secret import read
from mira_spark.judges.protocol import CallFailed
from mira_spark.lake.scale import POINTS
from mira_spark.students import answers
from mira_spark.students.configs import ServedConfig
from mira_spark.students.protocol import Batch, Batching, Scores, strings
from mira_spark.students.served_requests import Requests

LIKELIEST = 20
"""Tokens whose likelihood is asked for: what vLLM gives unless it is told otherwise."""
TEN_MATTERS = 1e-3
"""Likelihood of a 1 from which on it is asked whether a 10 was begun."""
OF_A_REQUEST = {400, 413, 422}
"""Refusals that a document may have caused: it is too long, or holds what the server refuses."""
_NUMBER = re.compile(r"\s*(10|[0-9])\s*[,\n]?\s*")


class NotScored(MiraError):
    """The server has no score for a document; the message says why."""


@dataclass(frozen=True)
class ServedStudent:
    """A scorer that computes nothing itself; `open_student` makes one."""

    config: ServedConfig
    requests: Requests = field(repr=False)

    @property
    def kind(self) -> str:
        """`served`."""
        return "served"

    @property
    def slots(self) -> int:
        """How many scores a document gets."""
        return self.config.slots

    @property
    def tokenizer(self) -> None:
        """The server's own."""

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """None: the weights are the server's."""
        return {}

    @property
    def rows_together(self) -> None:
        """Batches are taken as they come."""
        return None

    def batched(self, batching: Batching) -> Self:
        """Itself: `documents_at_once` says it."""
        return self

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        """Batches of prompts, in the order of the texts."""
        server = self.config.server
        before, after = answers.instruction(self.config.anchors), answers.ASK
        if server.prompt is not None:
            before, _, after = server.prompt.partition("$document")
        for start in range(0, len(texts), server.documents_at_once):
            some = strings(texts.slice(start, server.documents_at_once))
            cut = (answers.windowed(text, server.max_characters) for text in some)
            shown = map(answers.without_control, cut)
            prompts = [f"{before}{text}{after}" for text in shown]
            rows = np.arange(start, start + len(prompts), dtype=np.int64)
            yield Batch(rows, {"prompts": np.array(prompts, object)})

    def forward(self, batch: Batch) -> Scores:
        """Expected values, float32 [rows, slots] within 0-10.

        NotScored when the server refuses the batch, or gives one of its documents no integer among
        the likeliest tokens. OutageError when it gives no usable answer, after three attempts where
        that may help.
        """
        prompts: list[str] = batch.inputs["prompts"].tolist()
        scores = np.empty((len(prompts), self.slots), np.float32)
        for slot in range(self.slots):
            end = answers.END if slot == self.slots - 1 else answers.SEPARATOR
            likelihood = self._likelihood(prompts, end)
            scores[:, slot] = (likelihood @ np.arange(POINTS + 1)).clip(0, POINTS)
            chosen = likelihood.argmax(axis=1).tolist()
            prompts = [
                f"{prompt}{value}{end}" for prompt, value in zip(prompts, chosen, strict=True)
            ]
        return scores

    def shorter(self, batch: Batch) -> None:
        """The memory is the server's."""

    def _likelihood(self, prompts: Sequence[str], end: str) -> npt.NDArray[np.float64]:
        """Probabilities [rows, 11] of the integers that may follow each prompt."""
        likelihood = np.zeros((len(prompts), POINTS + 1))
        for row, said in enumerate(self._likeliest(prompts)):
            for token, logprob in said.items():
                if match := _NUMBER.fullmatch(token):
                    likelihood[row, int(match[1])] += math.exp(logprob)
            if not likelihood[row].sum():
                raise NotScored(
                    f"no integer 0-10 among the likeliest tokens, found {list(said)}"[:300]
                )
        likelihood /= likelihood.sum(axis=1, keepdims=True)
        # Where 10 is no token of its own, a 1 may be its beginning.
        ones = np.flatnonzero((likelihood[:, 1] >= TEN_MATTERS) & (likelihood[:, 10] == 0)).tolist()
        for row, said in zip(ones, self._likeliest([f"{prompts[r]}1" for r in ones]), strict=True):
            zero, ended = (
                sum(math.exp(p) for token, p in said.items() if token.startswith(start))
                for start in ("0", end)
            )
            share = zero / (zero + ended) if zero else 0.0
            likelihood[row, [1, 10]] = likelihood[row, 1] * np.array([1 - share, share])
        return likelihood

    def _likeliest(self, prompts: Sequence[str]) -> list[dict[str, float]]:
        """For each prompt the log probabilities of the likeliest next tokens."""
        if not prompts:
            return []
        said = self._ask_server(prompts)
        try:
            choices = sorted(said["choices"], key=lambda choice: choice["index"])
            likeliest = [dict(choice["logprobs"]["top_logprobs"][0]) for choice in choices]
            if not all(math.isfinite(float(p)) for each in likeliest for p in each.values()):
                raise ValueError("a likelihood is no number")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            reason = "the answer has no top_logprobs; the server must give them"
            raise OutageError(reason) from error
        if len(likeliest) != len(prompts):
            raise OutageError(f"{len(likeliest)} answers to {len(prompts)} prompts")
        if [choice["index"] for choice in choices] != list(range(len(prompts))):
            raise OutageError("the answers are not one to each prompt")
        return likeliest

    def _ask_server(self, prompts: Sequence[str]) -> Any:
        server = self.config.server
        wanted = {"model": server.model, "prompt": list(prompts), "max_tokens": 1,
                  "temperature": 0, "logprobs": LIKELIEST}  # fmt: skip
        try:
            body = self.requests.post("completions", wanted)
        except CallFailed as failure:
            refused = failure.status in OF_A_REQUEST
            reason = str(failure)
        else:
            try:
                return json.loads(body)
            except (ValueError, RecursionError):
                raise OutageError("what the server answered is no JSON") from None
        # Outside the handler: no error of the connection is this one's context.
        raise NotScored(reason) if refused else OutageError(reason)


def open_student(
    config: ServedConfig, environment: Mapping[str, str] = os.environ
) -> ServedStudent:
    """A student that asks this server; nothing is sent yet. For one process: it is not pickled.

    ConfigError when the SDK or the key is missing or the URL may not be asked.
    """
    secret = read(config.server.secret, environment)
    return ServedStudent(config, Requests(config.server, secret))
