"""Simultaneous steps: the generator answers the critic of before its turns, so that both step from the same point."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn

from bestiary.models.critic_view import CriticView, Weights
from bestiary.models.tricks.trick import Trick
from bestiary.training.clock import Clock

if TYPE_CHECKING:
    from bestiary.models.game_draw import Match

__all__ = ["Simultaneous"]


class Simultaneous(Trick):
    """Both players step from the same point."""

    def attach(self, view: CriticView, generator: nn.Module) -> None:
        self.before = deepcopy(view).requires_grad_(False)

    @torch.no_grad()
    def before_critic(self, view: CriticView, clock: Clock) -> None:
        """Before the first of the critic's turns: keep its weights. In tensor code: a captured turn does it too."""
        first = torch.as_tensor(clock.turn, device=next(view.parameters()).device) == 0
        for kept, now in zip(self.before.parameters(), view.parameters(), strict=True):
            kept.copy_(torch.where(first, now, kept))

    def weights(self, match: Match, weights: Weights) -> Weights:
        return dict(self.before.named_parameters())
