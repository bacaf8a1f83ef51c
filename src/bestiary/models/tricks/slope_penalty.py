"""A penalty on the critic's slope (objectives/penalties.py), taken at every so many rounds, so many times as heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestiary.errors import BestiaryError
from bestiary.models.tricks.joint_batches import mixes
from bestiary.models.tricks.trick import Setting, Trick
from bestiary.objectives.penalties import Penalty
from bestiary.training.player import Terms

if TYPE_CHECKING:
    from bestiary.models.game_draw import Match

__all__ = ["SlopePenalty"]


class SlopePenalty(Trick):
    """What `penalty=` and `lazy=` make of a GAN."""

    bounds_slope = True

    def __init__(self, penalty: Penalty, lazy: int = 1) -> None:
        super().__init__()
        self.penalty, self.lazy = penalty, lazy

    def refuse(self, setting: Setting) -> None:
        if setting.critic_norm == "batch":
            raise BestiaryError(
                "a penalty asks for the slope at each example, and BatchNorm mixes them: critic_norm=none"
            )
        if setting.critic is not None and mixes(setting.critic):
            raise BestiaryError("a penalty asks for the slope at each example, and critic='s BatchNorm mixes them")

    def phase(self, round: int) -> int:
        return int(round % self.lazy == 0)

    def critic_terms(self, draw: Match) -> Terms:
        if draw.ahead:  # at its own weight: lazily taken it is the same on average
            return {"total": self.penalty(draw.alone, draw.real, draw.seen).mean()}
        if not draw.clock.phase:
            return {"total": draw.real.new_zeros(())}
        return {"total": self.penalty(draw.alone, draw.real, draw.seen).mean() * self.lazy}
