"""Weight clipping: after each turn the critic's weights are kept within ±c (Arjovsky et al. 2017, arXiv 1701.07875)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestiary.models.tricks.trick import Trick, not_negative

if TYPE_CHECKING:
    from bestiary.models.game_draw import Match

__all__ = ["WeightClipping"]


class WeightClipping(Trick):
    """A critic whose slope is bounded by the box of its weights."""

    bounds_slope = True

    def __init__(
        self,
        *,
        within: float = 0.01,  # c
    ) -> None:
        super().__init__()
        not_negative(weight_clip=within)
        self.within = within

    def after_critic(self, draw: Match) -> None:
        for p in draw.view.parameters():
            p.clamp_(-self.within, self.within)
