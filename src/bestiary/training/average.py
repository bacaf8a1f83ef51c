"""Exponential moving average of the weights, θ̄ ← d θ̄ + (1 − d) θ, with d_t = min(d, (1 + t)/(10 + t)) at round t.

The warm-up of d removes the random start from the average quickly, as in TensorFlow's ExponentialMovingAverage. t
counts from the first round in which the weight's owner plays; while no owner plays, the average does not change. The
running moments of BatchNorm are averaged too: the current ones belong to θ, which θ̄ trails by about 1/(1 − d) rounds,
and they would shift and scale the outputs of θ̄. All other buffers are left as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bestiary.training.parallel import full_tensor, local_tensor, place_like
from bestiary.training.player import FOREVER, Player

__all__ = ["Average"]


class Average:
    """θ̄ for all floating-point parameters of a module, and for the running moments of its BatchNorms.

    players: who owns which weight in which rounds; a weight without an owner is averaged in every round.
    """

    def __init__(self, module: nn.Module, decay: float, players: Sequence[Player] = ()) -> None:
        self.module, self.decay = module, decay
        stages = dict[int, tuple[range, ...]]()
        for player in players:
            for p in player.parameters:
                stages[id(p)] = (*stages.get(id(p), ()), player.rounds)
        weights = [(p.detach(), id(p)) for p in module.parameters() if p.is_floating_point()]
        tensors = [*weights, *_moments(module)]
        self.mean = [p.clone() for p, _ in tensors]
        # views of the same memory: on each process its shard
        self._weights, self._means = [local_tensor(p) for p, _ in tensors], [local_tensor(m) for m in self.mean]
        self._rows: dict[tuple[range, ...], list[int]] = {}  # stages → indices of the tensors that are trained in them
        for i, (_, weight_id) in enumerate(tensors):
            self._rows.setdefault(stages.get(weight_id, (FOREVER,)), []).append(i)

    @torch.no_grad()
    def update(self, time: int) -> None:
        """Move the averages towards the present weights, after the round that stages count as `time`."""
        for ranges, rows in self._rows.items():
            if any(time in r for r in ranges):
                round = time - min(r.start for r in ranges)
                decay = min(self.decay, (1 + round) / (10 + round))
                torch._foreach_lerp_([self._means[i] for i in rows], [self._weights[i] for i in rows], 1 - decay)

    @torch.no_grad()
    def finish_stages(self, time: int) -> None:
        """Set the weights whose stages are all over at `time` to their averages."""
        for ranges, rows in self._rows.items():
            if all(r.stop <= time for r in ranges):
                torch._foreach_copy_([self._weights[i] for i in rows], [self._means[i] for i in rows])

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within the block the module computes with θ̄; after it with θ again."""
        backup = [p.clone() for p in self._weights]
        torch._foreach_copy_(self._weights, self._means)
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, backup)

    def state(self) -> dict[str, Tensor]:
        """The averages, for a checkpoint."""
        return {str(i): full_tensor(m) for i, m in enumerate(self.mean)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Load the averages of a checkpoint."""
        for i, m in enumerate(self.mean):
            # older checkpoints have no averages of moments
            m.copy_(place_like(state[str(i)], m) if str(i) in state else self._weights[i])


def _moments(module: nn.Module) -> list[tuple[Tensor, int]]:
    """The running moments of all BatchNorms, each with the id of its layer's weight."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    return [(m, id(norm.weight)) for norm in norms for m in (norm.running_mean, norm.running_var) if m is not None]
