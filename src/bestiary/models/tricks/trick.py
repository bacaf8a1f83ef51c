"""The base class of tricks, additions to the bare game. A new one is a file with a class here and a line in `table.py`.

    view(x, clock)             transforms real and fake examples before the critic        augment, noise
    terms, critic_terms        terms of the losses (training/part.py)                     matching, history, penalty
    weights(draw, weights)     the critic's weights that the generator plays against      unroll, simultaneous
    after, after_critic        after a step                                               weight_clip, history
    game, critic               changes the game or the critic when the model is built     smoothing, spectral
    refuse(setting)            raises BestiaryError if the trick does not fit the model

Each of them does nothing by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.models.critic_view import CriticView, Weights
from bestiary.objectives.games import Game
from bestiary.training.clock import Clock
from bestiary.training.part import Part

if TYPE_CHECKING:
    from bestiary.models.game_draw import GameDraw

__all__ = ["Setting", "Trick"]


@dataclass(frozen=True)
class Setting:
    """The options of a GAN that tricks check before the model is built."""

    spec: Spec
    game: Game
    adversarial: float = 1.0  # weight of the game in the generator's loss
    penalised: bool = False  # whether the critic has a slope penalty
    critic_norm: str = "none"
    critic: nn.Module | None = None  # the user's critic from Python
    projected: bool = False  # whether the critic reads c by projection
    tricks: Mapping[str, Trick] = field(default_factory=dict)

    @property
    def pack(self) -> int:
        """m: examples that the critic sees side by side."""
        return prod(trick.m for trick in self.tricks.values())

    @property
    def kernels(self) -> int:
        """Kernels of minibatch discrimination."""
        return sum(trick.kernels for trick in self.tricks.values())

    def has_tricks(self, *names: str) -> bool:
        """Whether all of these tricks are used."""
        return self.tricks.keys() >= set(names)


class Trick(Part):
    """A trick of a GAN. The methods do nothing here; see the top of this file."""

    m: int = 1  # examples that the critic sees side by side
    kernels: int = 0  # of minibatch discrimination
    needs_real: ClassVar[bool] = False  # whether its terms for the generator need real examples
    bounds_slope: ClassVar[bool] = False  # whether it bounds the critic's slope
    needs_own_critic: ClassVar[bool] = False  # whether it needs our `Critic`, with body and head, not a user's

    def refuse(self, setting: Setting) -> None:
        """Raise BestiaryError, with a remedy, if the trick does not fit the other options."""

    def game(self, game: Game) -> Game:
        """The game to play instead of `game`."""
        return game

    def critic(self, net: nn.Module) -> nn.Module:
        """The critic to use instead of `net`."""
        return net

    def attach(self, view: CriticView, generator: nn.Module) -> None:
        """Once, when the networks are built; a trick may create copies of their weights."""

    def before_critic(self, view: CriticView, clock: Clock) -> None:
        """Before each turn of the critic, within its loss."""

    def view(self, x: Tensor, clock: Clock | None) -> Tensor:
        """x as the critic sees it. Outside of training `clock` is None, and no noise may be added."""
        return x

    def weights(self, draw: GameDraw, weights: Weights) -> Weights:
        """The critic's weights that the generator plays against; None: its present ones. weights: those so far."""
        return weights
