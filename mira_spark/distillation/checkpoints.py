"""A training's progress as files below the root, from which an interrupted one goes on, on this
machine or another."""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mira_spark.lake import storage

STATE, BEST, PROGRESS = "state.safetensors", "best.safetensors", "progress.json"

AfterEpoch = Callable[[int, float], None]
"""Gets the number of an epoch that was kept, from 1, and its loss."""


def identity(settings: BaseModel, config: BaseModel, labels: str) -> str:
    """A name for a training by its settings, its student's configuration and a digest of its
    labels: no other goes on from its progress."""
    said = [settings.model_dump(), config.model_dump(), labels]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class Progress:
    """`epoch` is the number done; `worse` epochs in a row did not better `best`, the least loss
    (infinity before there is one); `rows` were learnt from in all epochs together."""

    epoch: int = 0
    best: float = math.inf
    worse: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Checkpoints:
    """The folder of one training, by path or URI, and the model and optimiser that are written to
    it and read."""

    place: str
    model: nn.Module
    optimiser: torch.optim.Optimizer

    def resumed(self) -> Progress:
        """Where the training stands, model and optimiser set to it; a new one is left as it is."""
        if not storage.has_file(f"{self.place}/{PROGRESS}"):
            return Progress()
        progress = Progress(**json.loads(storage.read_file(f"{self.place}/{PROGRESS}")))
        state = _load(f"{self.place}/{progress.epoch}.{STATE}")
        self._set_parameters(
            {n.removeprefix("model."): t for n, t in state.items() if n.startswith("model.")}
        )
        values: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            if name.startswith("optimiser."):
                _, i, key = name.split(".")
                values.setdefault(int(i), {})[key] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": values})
        return progress

    def keep(self, progress: Progress) -> None:
        """Write where the training stands, in place of the epoch before."""
        state = {f"model.{name}": tensor for name, tensor in self.model.named_parameters()}
        for i, values in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{i}.{name}": tensor for name, tensor in values.items()}
        name = f"{progress.epoch}.{STATE}"
        _save(f"{self.place}/{name}", state)
        # Progress after the state that it names.
        storage.write_content(json.dumps(vars(progress)).encode(), f"{self.place}/{PROGRESS}")
        for old in storage.file_names(self.place):
            if old.endswith(f".{STATE}") and old != name:
                storage.remove_file(f"{self.place}/{old}")

    def keep_best(self) -> None:
        """Write the model as the best there was."""
        _save(f"{self.place}/{BEST}", dict(self.model.named_parameters()))

    def load_best(self) -> None:
        """Set the model to the best there was; one must have been kept."""
        self._set_parameters(_load(f"{self.place}/{BEST}"))

    def _set_parameters(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[name])


def _save(place: str, tensors: Mapping[str, Tensor]) -> None:
    """Whole or not there, whenever this ends."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    beside = None if storage.is_uri(place) else Path(place).parent  # /tmp may be too small
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside) as temporary:
        file = Path(temporary) / "tensors"
        save_file(on_cpu, file)
        storage.write_file(file, place)


def _load(place: str) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory() as temporary:
        return load_file(storage.fetched_file(place, Path(temporary)))
