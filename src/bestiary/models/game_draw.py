"""The Draw of a turn in a game: real and fake examples as the critic sees them, and the critic's logits and features.

Legend: B batch, m pack, c condition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.models.critic_view import CriticView, Weights
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.objectives.draw import Draw
from bestiary.objectives.games import Game

__all__ = ["GameDraw", "GameNetworks"]


@dataclass(frozen=True)
class GameNetworks:
    """The two networks of a game and its losses."""

    generator: nn.Module
    critic: CriticView
    game: Game
    target: Field  # the field that the generator generates


class GameDraw(Draw):
    """x, c, z and the samples G(z, c), with the critic's view of real and fake examples.

    samples: G(z, c) in the units of the game, images in [−1, 1]. real, fake: as the critic sees them, (B/m, …).
    fresh_loss: () → the critic's loss on new samples, as a function of its weights. weights: those that the critic
    judges with, None for its own. lookahead: whether the draw belongs to a step that is only looked ahead to.
    """

    def __init__(
        self, x: Tensor, z: Tensor, networks: GameNetworks, *, samples: Tensor, real: Tensor, fake: Tensor,
        fresh_loss: Callable[[], Callable[[Weights], Tensor]], weights: Weights = None, lookahead: bool = False,
        **draw: Any,
    ) -> None:  # fmt: skip
        super().__init__(x, z[None], **draw)
        self.generator, self.critic, self.game = networks.generator, networks.critic, networks.game
        self.target_field = networks.target
        self.samples, self.real_view, self.fake_view = samples, real, fake
        self.fresh_loss, self.weights, self.lookahead = fresh_loss, weights, lookahead

    @property
    def output(self) -> Tensor:
        """The samples in model units."""
        return self.target_field.support.from_signed(self.samples)

    @property
    def critic_condition(self) -> ConditionTensors:
        """c for the critic; empty if the critic reads no condition."""
        return self.c if self.critic.reader.fields else NO_CONDITION

    def judge(self, x: Tensor, per_example: bool = False) -> Tensor:
        """The critic's logits (B/m,) of packs x, with the weights of this draw."""
        options = {"per_example": True} if per_example else {}
        return self.critic.judge(x, self.critic_condition, self.weights, **options)

    def judge_per_example(self, x: Tensor) -> Tensor:
        """The critic for penalties: the gradient of each logit reaches its own pack only."""
        return self.judge(x, per_example=True)

    @cached_property
    def logits(self) -> tuple[Tensor, Tensor]:
        """The critic's logits of real and of fake packs."""
        return self.critic.judge_both(self.real_view, self.fake_view, self.critic_condition, self.weights)

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        """The critic's features of real and of fake packs."""
        c = self.critic_condition
        return self.critic.judge_both(self.real_view, self.fake_view, c, self.weights, features=True)
