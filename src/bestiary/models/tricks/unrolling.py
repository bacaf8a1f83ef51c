"""Unrolling: the generator sees how the critic would answer (objectives/unrolled.py; Metz et al. 2017, 1611.02163)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestiary.errors import BestiaryError
from bestiary.models.critic_view import Weights
from bestiary.models.tricks.trick import Setting, Trick, not_negative
from bestiary.objectives.unrolled import unroll
from bestiary.training.parallel import global_mean

if TYPE_CHECKING:
    from bestiary.models.game_draw import Match

__all__ = ["Unrolling"]


class Unrolling(Trick):
    """The generator plays against the critic of some steps ahead."""

    needs_real = True

    def __init__(
        self,
        *,
        steps: int = 5,  # of the critic
        rate: float = 0.1,  # of these steps
    ) -> None:
        super().__init__()
        not_negative(unroll=steps)
        if not 0 < rate < float("inf"):
            raise BestiaryError(f"unroll({steps},rate={rate}): the rate of the critic's steps must be positive")
        self.steps, self.rate = steps, rate

    def refuse(self, setting: Setting) -> None:
        if setting.meets("weight_clip"):
            raise BestiaryError("an unrolled critic looks ahead with free weights: leave out unroll= or weight_clip=")
        if setting.meets("minibatch") and setting.penalised:
            raise BestiaryError(
                "minibatch + penalty + unroll is not supported: the penalty holds the batch constant, unrolling"
                " differentiates through it. Drop one"
            )

    def weights(self, match: Match, weights: Weights) -> Weights:
        own = dict(match.view.named_parameters()) if weights is None else weights
        loss = match.another()  # on other samples, as the critic would meet them
        start = {name: w if w.requires_grad else w.detach().requires_grad_() for name, w in own.items()}
        return unroll(start, loss, self.steps, self.rate, lambda slope: global_mean(slope[None]))
