"""The options `penalty=` and `lazy=`: a penalty on the critic's slope (objectives/penalties.py) every `lazy` rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestiary.errors import BestiaryError
from bestiary.models.tricks.joint_batches import has_batch_norm
from bestiary.models.tricks.trick import Setting, Trick
from bestiary.objectives.penalties import Penalty
from bestiary.training.player import Terms

if TYPE_CHECKING:
    from bestiary.models.game_draw import GameDraw

__all__ = ["SlopePenalty"]


class SlopePenalty(Trick):
    """A penalty in every `lazy`-th round, with `lazy` times its weight: a term of the critic's loss."""

    bounds_slope = True

    def __init__(self, penalty: Penalty, lazy: int = 1) -> None:
        super().__init__()
        self.penalty, self.lazy = penalty, lazy

    def refuse(self, setting: Setting) -> None:
        if setting.critic_norm == "batch":
            raise BestiaryError(
                "a penalty needs the slope at each example, and BatchNorm mixes the examples: use critic_norm=none"
            )
        if setting.critic is not None and has_batch_norm(setting.critic):
            raise BestiaryError(
                "a penalty needs the slope at each example, and the BatchNorm of your critic mixes the examples: use a"
                " critic without BatchNorm, or penalty=none"
            )

    def phase(self, round: int) -> int:
        """1 in the rounds with the penalty, else 0."""
        return int(round % self.lazy == 0)

    def critic_terms(self, draw: GameDraw) -> Terms:
        if not draw.clock.phase and not draw.lookahead:
            return {"total": draw.real_view.new_zeros(())}
        penalty = self.penalty(draw.judge_per_example, draw.real_view, draw.fake_view).mean()
        # every step of a lookahead has the penalty, so there it has its plain weight
        return {"total": penalty if draw.lookahead else penalty * self.lazy}
