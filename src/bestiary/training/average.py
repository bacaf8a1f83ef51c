"""The exponential average of the weights, θ̄ ← d θ̄ + (1 − d) θ, with d_t = min(d, (1 + t)/(10 + t)) at round t.

The warm-up of d keeps the random start from lingering in the average (as in TensorFlow's ExponentialMovingAverage).
Buffers (BatchNorm's running moments) are copied, not averaged: they are averages already.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """θ̄ for all floating parameters of a module."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.own = [p.detach() for p in module.parameters() if p.is_floating_point()]
        self.mean = [p.clone() for p in self.own]

    @torch.no_grad()
    def update(self, round: int) -> None:
        decay = min(self.decay, (1 + round) / (10 + round))
        torch._foreach_lerp_(self.mean, self.own, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within: the module computes with θ̄."""
        kept = [p.clone() for p in self.own]
        torch._foreach_copy_(self.own, self.mean)
        try:
            yield
        finally:
            torch._foreach_copy_(self.own, kept)

    def state(self) -> dict[str, Tensor]:
        return {str(i): m for i, m in enumerate(self.mean)}

    def restore(self, state: dict[str, Tensor]) -> None:
        for i, m in enumerate(self.mean):
            m.copy_(state[str(i)])
