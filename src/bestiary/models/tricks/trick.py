"""A trick: something added to the bare game. A new one is a file with a class here and a line in `table.py`.

    shown(x, clock)            what the critic sees of x, real and fake alike           augment, noise
    terms, critic_terms        what it adds to a turn's loss (training/part.py)         matching, history, penalty
    weights(match, weights)    the critic that the generator plays against              unroll, simultaneous
    after, after_critic        after a step                                             clip, history
    game, critic               another game, another critic, when the model is built    smoothing, spectral
    refuse(setting)            what it cannot stand beside, with the way out

Each does nothing unless a trick says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError
from bestiary.models.critic_view import CriticView, Weights
from bestiary.objectives.games import Game
from bestiary.training.clock import Clock
from bestiary.training.part import Part

if TYPE_CHECKING:
    from bestiary.models.game_draw import Match

__all__ = ["Setting", "Trick", "not_negative"]


@dataclass(frozen=True)
class Setting:
    """What a trick may look at before the model is built."""

    spec: Spec
    game: Game
    adversarial: float = 1.0  # weight of the game in the generator's loss
    penalised: bool = False
    critic_norm: str = "none"
    critic: nn.Module | None = None  # one of the user's own
    projected: bool = False  # the critic is told c by projection
    tricks: Mapping[str, Trick] = field(default_factory=dict)

    @property
    def pack(self) -> int:
        """m: examples that the critic sees side by side."""
        return prod(trick.m for trick in self.tricks.values())

    @property
    def kernels(self) -> int:
        """Of minibatch discrimination."""
        return sum(trick.kernels for trick in self.tricks.values())

    def meets(self, *names: str) -> bool:
        """Whether all of these tricks are there."""
        return self.tricks.keys() >= set(names)


class Trick(Part):
    """Does nothing."""

    m: int = 1  # examples that the critic sees side by side
    kernels: int = 0  # of minibatch discrimination
    needs_real: ClassVar[bool] = False  # whether the generator's turn needs real examples for it
    bounds_slope: ClassVar[bool] = False  # whether the critic's slope is bounded by it
    looks_inside: ClassVar[bool] = False  # whether it needs a critic of ours, body and head

    def refuse(self, setting: Setting) -> None:
        return None

    def game(self, game: Game) -> Game:
        return game

    def critic(self, net: nn.Module) -> nn.Module:
        return net

    def attach(self, view: CriticView, generator: nn.Module) -> None:
        """Once the networks are there: what is remembered of them is made."""

    def before_critic(self, view: CriticView, clock: Clock) -> None:
        """Before each of the critic's turns, within its loss."""

    def shown(self, x: Tensor, clock: Clock | None) -> Tensor:
        """x as the critic sees it; without a clock it is looked at from outside, and nothing random is added."""
        return x

    def weights(self, match: Match, weights: Weights) -> Weights:
        """The critic's weights that the generator plays against; None: the present ones."""
        return weights


def not_negative(**numbers: float) -> None:
    """Each of the named numbers must be finite and at least 0."""
    for name, value in numbers.items():
        if not 0 <= value < float("inf"):
            raise BestiaryError(f"{name}={value} must be finite and not negative (0: without it)")
