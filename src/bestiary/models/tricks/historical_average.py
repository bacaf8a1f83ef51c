"""Historical averaging (Salimans et al. 2016, arXiv 1606.03498): a player is drawn to the mean of its past weights."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bestiary.training.parallel import full

__all__ = ["Past"]


class Past(nn.Module):
    """θ̄: the mean over its turns of a player's weights."""

    turns: Tensor

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.register_buffer("turns", torch.zeros(()))
        for i, p in enumerate(net.parameters()):
            self.register_buffer(str(i), p.detach().clone())

    def _means(self) -> list[Tensor]:
        return list(self.buffers())[1:]

    def distance(self, weights: Iterable[Tensor]) -> Tensor:
        """‖θ − θ̄‖²."""
        apart = zip(weights, self._means(), strict=True)
        return torch.stack([(full(p) - mean).square().sum() for p, mean in apart]).sum()

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        self.turns += 1
        for p, mean in zip(net.parameters(), self._means(), strict=True):
            mean += (full(p) - mean) / self.turns
