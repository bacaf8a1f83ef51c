"""One look at a turn of a game: real and fake as the critic is shown them, and what it answers.

Legend: B batch, m pack, c condition.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.models.critic_view import CriticView, Weights
from bestiary.objectives.draw import Draw
from bestiary.objectives.games import Game

__all__ = ["Match"]


class Match(Draw):
    """x, c, z and G(z, c), with the critic's view of both. `ahead`: of steps that are only looked ahead to."""

    def __init__(
        self, x: Tensor, z: Tensor, *, field: Field, game: Game, view: CriticView, generator: nn.Module,
        real: Tensor, fake: Tensor, forged: Tensor, another: Callable[[], Callable[[Weights], Tensor]],
        weights: Weights = None, ahead: bool = False, **draw: Any,
    ) -> None:  # fmt: skip
        super().__init__(x, z[None], **draw)
        self.field, self.game, self.view, self.generator = field, game, view, generator
        self.real, self.seen = real, fake  # as the critic is shown them, (B/m, …)
        self.forged, self.weights, self.ahead = forged, weights, ahead
        self.another = another  # the critic's loss on other samples, as a function of its weights

    @property
    def made(self) -> Tensor:
        """G(z, c) in model units."""
        return self.field.support.uncentred(self.forged)

    @property
    def c_shown(self) -> Any:
        return self.c if self.view.reader.fields else {}

    def judge(self, x: Tensor, alone: bool = False) -> Tensor:
        """The critic's logits of packs, by the weights of this look."""
        return self.view.judge(x, self.c_shown, self.weights, **({"alone": True} if alone else {}))

    def alone(self, x: Tensor) -> Tensor:
        """The critic for penalties: its logits have slopes by their own examples alone."""
        return self.judge(x, alone=True)

    @cached_property
    def sides(self) -> tuple[Tensor, Tensor]:
        """Logits of real and fake."""
        return self.view.sides(self.real, self.seen, self.c_shown, self.weights)

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        """The critic's features of real and fake."""
        return self.view.sides(self.real, self.seen, self.c_shown, self.weights, features=True)
