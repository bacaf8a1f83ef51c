"""Trick `history`: historical averaging, which pulls the weights θ of both players to the mean θ̄ of their past values.

λ ‖θ − θ̄‖²,   θ̄ the mean over the player's turns       (Salimans et al. 2016, arXiv 1606.03498)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bestiary.grammar.ranges import NotNegative
from bestiary.models.critic_view import CriticView
from bestiary.models.tricks.trick import Trick
from bestiary.training.parallel import full_tensor
from bestiary.training.player import Terms

if TYPE_CHECKING:
    from bestiary.models.game_draw import GameDraw

__all__ = ["HistoricalAverage", "MeanWeights"]


class MeanWeights(nn.Module):
    """θ̄: the running mean of a network's weights over its player's turns."""

    turns: Tensor

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.register_buffer("turns", torch.zeros(()))
        for i, p in enumerate(net.parameters()):
            self.register_buffer(str(i), p.detach().clone())

    def _means(self) -> list[Tensor]:
        return list(self.buffers())[1:]

    def distance(self, weights: Iterable[Tensor]) -> Tensor:
        """‖θ − θ̄‖² for weights θ in the order of the network's parameters."""
        pairs = zip(weights, self._means(), strict=True)
        return torch.stack([(full_tensor(p) - mean).square().sum() for p, mean in pairs]).sum()

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Add the present weights to the mean, after a turn."""
        self.turns += 1
        for p, mean in zip(net.parameters(), self._means(), strict=True):
            mean += (full_tensor(p) - mean) / self.turns


class HistoricalAverage(Trick):
    """Historical averaging: a term of both losses."""

    def __init__(
        self,
        *,
        weight: NotNegative = 0.1,  # λ
    ) -> None:
        super().__init__()
        self.weight = weight

    def attach(self, view: CriticView, generator: nn.Module) -> None:
        self.past_critic, self.past_generator = MeanWeights(view), MeanWeights(generator)

    def terms(self, draw: GameDraw) -> Terms:
        return {"total": self.weight * self.past_generator.distance(draw.generator.parameters())}

    def critic_terms(self, draw: GameDraw) -> Terms:
        weights = draw.critic.parameters() if draw.weights is None else draw.weights.values()
        return {"total": self.weight * self.past_critic.distance(weights)}

    def after(self, draw: GameDraw) -> None:
        self.past_generator.update(draw.generator)

    def after_critic(self, draw: GameDraw) -> None:
        self.past_critic.update(draw.critic)
