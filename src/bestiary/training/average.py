"""The exponential average of the weights, θ̄ ← d θ̄ + (1 − d) θ, with d_t = min(d, (1 + t)/(10 + t)) at round t.

The warm-up of d keeps the random start from lingering in the average (as in TensorFlow's ExponentialMovingAverage).
BatchNorm's running moments are averaged alike: those of the last few batches belong to θ, which θ̄ follows from
1/(1 − d) rounds behind, and would shift and scale what θ̄ computes. All other buffers stay as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bestiary.training.parallel import full, local, placed

__all__ = ["Average"]


class Average:
    """θ̄ for all floating parameters of a module, and its BatchNorms' moments."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        own = [p.detach() for p in module.parameters() if p.is_floating_point()] + _moments(module)
        self.mean = [p.clone() for p in own]
        self._own, self._mean = [local(p) for p in own], [local(m) for m in self.mean]  # the same memory

    @torch.no_grad()
    def update(self, round: int) -> None:
        decay = min(self.decay, (1 + round) / (10 + round))
        torch._foreach_lerp_(self._mean, self._own, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within: the module computes with θ̄."""
        kept = [p.clone() for p in self._own]
        torch._foreach_copy_(self._own, self._mean)
        try:
            yield
        finally:
            torch._foreach_copy_(self._own, kept)

    def state(self) -> dict[str, Tensor]:
        return {str(i): full(m) for i, m in enumerate(self.mean)}

    def restore(self, state: dict[str, Tensor]) -> None:
        for i, m in enumerate(self.mean):
            m.copy_(placed(state[str(i)], m) if str(i) in state else self._own[i])  # moments were not always averaged


def _moments(module: nn.Module) -> list[Tensor]:
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    return [m for norm in norms for m in (norm.running_mean, norm.running_var) if m is not None]
