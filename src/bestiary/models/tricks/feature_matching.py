"""Trick `matching`: the generator matches the mean of the critic's features (Salimans et al. 2016, arXiv 1606.03498).

λ ‖E h(real) − E h(fake)‖²,   h the critic's features
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestiary.grammar.ranges import NotNegative
from bestiary.models.tricks.trick import Trick
from bestiary.training.parallel import global_mean
from bestiary.training.player import Terms

if TYPE_CHECKING:
    from bestiary.models.game_draw import GameDraw

__all__ = ["FeatureMatching"]


class FeatureMatching(Trick):
    """Feature matching: a term of the generator's loss."""

    needs_real = True
    needs_own_critic = True

    def __init__(
        self,
        *,
        weight: NotNegative = 1.0,  # λ
    ) -> None:
        super().__init__()
        self.weight = weight

    def terms(self, draw: GameDraw) -> Terms:
        h_real, h_fake = map(global_mean, draw.features)
        return {"total": self.weight * (h_real - h_fake).square().sum()}
