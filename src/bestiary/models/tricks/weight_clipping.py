"""Trick `weight_clip`: weight clipping, after each turn the critic's weights are clipped to ±c.

(Arjovsky et al. 2017, arXiv 1701.07875.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestiary.grammar.ranges import NotNegative
from bestiary.models.tricks.trick import Trick

if TYPE_CHECKING:
    from bestiary.models.game_draw import GameDraw

__all__ = ["WeightClipping"]


class WeightClipping(Trick):
    """Weight clipping, which bounds the critic's slope."""

    bounds_slope = True

    def __init__(
        self,
        *,
        within: NotNegative = 0.01,  # c
    ) -> None:
        super().__init__()
        self.within = within

    def after_critic(self, draw: GameDraw) -> None:
        for p in draw.critic.parameters():
            p.clamp_(-self.within, self.within)
