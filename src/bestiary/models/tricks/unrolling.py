"""Trick `unroll`: the generator plays against the critic some steps ahead (objectives/unrolled.py; 1611.02163)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestiary.errors import BestiaryError
from bestiary.models.critic_view import Weights
from bestiary.models.tricks.trick import Setting, Trick, check_not_negative
from bestiary.objectives.unrolled import unroll
from bestiary.training.parallel import global_mean

if TYPE_CHECKING:
    from bestiary.models.game_draw import GameDraw

__all__ = ["Unrolling"]


class Unrolling(Trick):
    """The generator plays against an unrolled critic."""

    needs_real = True

    def __init__(
        self,
        *,
        steps: int = 5,  # steps of the critic to look ahead
        rate: float = 0.1,  # learning rate of these steps
    ) -> None:
        super().__init__()
        check_not_negative(unroll=steps)
        if not 0 < rate < float("inf"):
            raise BestiaryError(f"unroll({steps},rate={rate}): rate must be positive, e.g. unroll({steps},rate=0.1)")
        self.steps, self.rate = steps, rate

    def refuse(self, setting: Setting) -> None:
        if setting.has_tricks("weight_clip"):
            raise BestiaryError("unroll= looks ahead without clipping weights: leave out unroll= or weight_clip=")
        if setting.has_tricks("minibatch") and setting.penalised:
            raise BestiaryError(
                "minibatch + penalty + unroll is not supported: the penalty holds the batch constant, unrolling"
                " differentiates through it. Drop one"
            )

    def weights(self, draw: GameDraw, weights: Weights) -> Weights:
        own = dict(draw.critic.named_parameters()) if weights is None else weights
        loss = draw.fresh_loss()  # on new samples, as in the critic's next turns
        start = {name: w if w.requires_grad else w.detach().requires_grad_() for name, w in own.items()}
        return unroll(start, loss, self.steps, self.rate, lambda slope: global_mean(slope[None]))
