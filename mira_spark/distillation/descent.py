"""One step of AdamW as every fine-tuning here takes it: warm-up, cosine, clipped gradients."""

import math

import torch
from torch import nn

_WARM_UP = 0.05
"""Share of the training in which the learning rate rises."""
DECAY, CLIP = 0.01, 1.0


def adamw(model: nn.Module, betas: tuple[float, float]) -> torch.optim.AdamW:
    """Over all weights, fused where they are on a GPU; `step` sets its learning rate."""
    on_gpu = next(model.parameters()).is_cuda
    return torch.optim.AdamW(model.parameters(), betas=betas, weight_decay=DECAY, fused=on_gpu)


def step(model: nn.Module, optimiser: torch.optim.Optimizer, rate: float, done: float) -> None:
    """Change the weights by their gradients, and clear these.

    `rate` is the highest learning rate; `done`, the share of the training up to the middle of this
    step, says how much of it is due: also a training of one step learns.
    """
    falling = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    for group in optimiser.param_groups:
        group["lr"] = rate * min(done / _WARM_UP, falling)
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
