"""The exponential average of the weights, θ̄ ← d θ̄ + (1 − d) θ, with d_t = min(d, (1 + t)/(10 + t)) at round t.

The warm-up of d keeps the random start from lingering in the average (as in TensorFlow's ExponentialMovingAverage); t
counts from the first round of whoever owns the weight, and the average stands while nobody plays for it.
BatchNorm's running moments are averaged alike: those of the last few batches belong to θ, which θ̄ follows from
1/(1 − d) rounds behind, and would shift and scale what θ̄ computes. All other buffers stay as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bestiary.training.parallel import full, local, placed
from bestiary.training.player import FOREVER, Player

__all__ = ["Average"]


class Average:
    """θ̄ for all floating parameters of a module, and its BatchNorms' moments."""

    def __init__(self, module: nn.Module, decay: float, players: Sequence[Player] = ()) -> None:
        self.module, self.decay = module, decay
        stages = dict[int, tuple[range, ...]]()
        for player in players:
            for p in player.parameters:
                stages[id(p)] = (*stages.get(id(p), ()), player.rounds)
        weights = [(p.detach(), id(p)) for p in module.parameters() if p.is_floating_point()]
        both = [*weights, *_moments(module)]
        self.mean = [p.clone() for p, _ in both]
        self._own, self._mean = [local(p) for p, _ in both], [local(m) for m in self.mean]  # the same memory
        self._rows: dict[tuple[range, ...], list[int]] = {}  # which of them have which stages
        for i, (_, owner) in enumerate(both):
            self._rows.setdefault(stages.get(owner, (FOREVER,)), []).append(i)

    @torch.no_grad()
    def update(self, time: int) -> None:
        for ranges, rows in self._rows.items():
            if any(time in r for r in ranges):
                round = time - min(r.start for r in ranges)
                decay = min(self.decay, (1 + round) / (10 + round))
                torch._foreach_lerp_([self._mean[i] for i in rows], [self._own[i] for i in rows], 1 - decay)

    @torch.no_grad()
    def settle(self, time: int) -> None:
        """Weights whose stages are all over become their averages."""
        for ranges, rows in self._rows.items():
            if all(r.stop <= time for r in ranges):
                torch._foreach_copy_([self._own[i] for i in rows], [self._mean[i] for i in rows])

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


def _moments(module: nn.Module) -> list[tuple[Tensor, int]]:
    """Each with the weight that it belongs to."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    return [(m, id(norm.weight)) for norm in norms for m in (norm.running_mean, norm.running_var) if m is not None]
