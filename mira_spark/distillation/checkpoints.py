"""A training's progress as files, from which an interrupted one goes on.

Every file is written beside its place and then moved there, so what is found is whole.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

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
    """The folder of one training, and the model and optimiser that are written to it and read."""

    folder: Path
    model: nn.Module
    optimiser: torch.optim.Optimizer

    def resumed(self) -> Progress:
        """Where the training stands, model and optimiser set to it; a new one is left as it is."""
        if not (self.folder / PROGRESS).is_file():
            return Progress()
        progress = Progress(**json.loads((self.folder / PROGRESS).read_text()))
        state = load_file(self.folder / f"{progress.epoch}.{STATE}")
        self._load(
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
        _save(self.folder / f"{progress.epoch}.{STATE}", state)
        # Progress after the state that it names.
        partial = self.folder / f"{PROGRESS}.part"
        partial.write_text(json.dumps(vars(progress)))
        partial.replace(self.folder / PROGRESS)
        for old in self.folder.glob(f"*.{STATE}"):
            if old.name != f"{progress.epoch}.{STATE}":
                old.unlink()

    def keep_best(self) -> None:
        """Write the model as the best there was."""
        _save(self.folder / BEST, dict(self.model.named_parameters()))

    def load_best(self) -> None:
        """Set the model to the best there was; one must have been kept."""
        self._load(load_file(self.folder / BEST))

    def _load(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[name])


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, partial)
    partial.replace(path)
