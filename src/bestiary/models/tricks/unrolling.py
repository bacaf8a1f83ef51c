"""Trick `unroll`: the generator plays against the critic some steps ahead (objectives/unrolled.py; 1611.02163)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Positive, Range
from bestiary.models.critic_view import Weights
from bestiary.models.tricks.trick import Setting, Trick
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
        steps: Annotated[int, Range("5", least=0, most=100)] = 5,  # steps of the critic to look ahead
        rate: Positive = 0.1,  # learning rate of these steps
    ) -> None:
        super().__init__()
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
