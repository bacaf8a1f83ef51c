"""Trick `simultaneous`: both players step from the same point: the generator plays against the previous critic."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn

from bestiary.models.critic_view import CriticView, Weights
from bestiary.models.tricks.trick import Trick
from bestiary.training.clock import Clock

if TYPE_CHECKING:
    from bestiary.models.game_draw import GameDraw

__all__ = ["SimultaneousSteps"]


class SimultaneousSteps(Trick):
    """The generator plays against the critic as it was before the critic's turns of the round."""

    def attach(self, view: CriticView, generator: nn.Module) -> None:
        self.before = deepcopy(view).requires_grad_(False)

    @torch.no_grad()
    def before_critic(self, view: CriticView, clock: Clock) -> None:
        """Before the critic's first turn of a round: copy its weights. Tensor code, since the turn may be captured."""
        is_first_turn = torch.as_tensor(clock.turn, device=next(view.parameters()).device) == 0
        for copy, weight in zip(self.before.parameters(), view.parameters(), strict=True):
            copy.copy_(torch.where(is_first_turn, weight, copy))

    def weights(self, draw: GameDraw, weights: Weights) -> Weights:
        return dict(self.before.named_parameters())
