"""The generative adversarial network: generator × critic × game, and the tricks that are added to the bare game.

    z ~ N(0, I),   x_fake = G(z, c);     critic's turn: min game.critic(C(x_real, c), C(x_fake, c)) + tricks
                                         generator's turn: min game.generator(C(x_real, c), C(x_fake, c)) + tricks

(Goodfellow et al. 2014, arXiv 1406.2661.) C gives logits; D = σ(C). What it is shown is the concern of critic_view.py,
what is added that of tricks/. Images live in [−1, 1] inside the game and in [0, 1] outside.

Legend: B batch, D latent, m pack, c condition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec
from bestiary.densities.posterior_and_prior import code_of
from bestiary.models.condition import Condition
from bestiary.models.critic_view import CriticView, Weights, packed
from bestiary.models.game_draw import Match
from bestiary.models.latent_model import told
from bestiary.models.model import Coded, Model
from bestiary.models.tricks.slope_penalty import SlopePenalty
from bestiary.models.tricks.trick import Trick
from bestiary.models.vitals import as_in_training, critic_vitals, sample_vitals
from bestiary.networks.conditioned import NOTHING, Fields, rows_of
from bestiary.objectives.games import Game
from bestiary.training.clock import Clock
from bestiary.training.noise import normal
from bestiary.training.player import Adam, Optimiser, Player, Terms, single_phase

__all__ = ["GAN"]


class GAN(Model, Coded):
    """A game of two, and of the guests that its parts bring."""

    def __init__(
        self,
        spec: Spec,
        latent: int,
        generator: nn.Module,
        critic: CriticView,
        game: Game,
        tricks: Mapping[str, Trick] | None = None,
        condition: Condition | None = None,
        adversarial: float = 1.0,
        critic_turns: int | Callable[[int], int] = 1,
        generator_turns: int = 1,
        critic_optimiser: Optimiser = Adam(2e-4, (0.5, 0.999)),
        generator_optimiser: Optimiser = Adam(2e-4, (0.5, 0.999)),
    ) -> None:
        super().__init__(spec, condition)
        self.code, self.latent = code_of(latent), latent
        self.generator, self.critic = told(generator), critic
        self.tricks = nn.ModuleDict(tricks or {})
        self.adversarial, self.group = adversarial, critic.pack
        self.turns, self.optimisers = (critic_turns, generator_turns), (critic_optimiser, generator_optimiser)
        self.game = game
        for trick in self.some_tricks:
            self.game = trick.game(self.game)
            trick.attach(critic, self.generator)
        self.needs_real = self.game.paired or any(trick.needs_real for trick in self.some_tricks)

    @property
    def some_tricks(self) -> list[Trick]:
        """The tricks in the order in which they act."""
        return cast("list[Trick]", list(self.tricks.values()))

    def players(self) -> list[Player]:
        ours, theirs = self.optimisers
        phase = next((trick.phase for trick in self.some_tricks if isinstance(trick, SlopePenalty)), single_phase)
        return [
            Player("critic", self.own(self.critic), self.critic_loss, self.turns[0], self.after_critic, ours, phase),
            Player("generator", self.own(self.generator), self.generator_loss, self.turns[1], self.after, theirs,
                   main=True),
            *self.guests(),
        ]  # fmt: skip

    def whole_only(self) -> str:
        """FSDP2 would put the critic's own weights in the place of those that it is to judge with."""
        borrowed = [f"{name}=" for name in ("unroll", "simultaneous") if name in self.tricks]
        return f"{' and '.join(borrowed)} judges with other weights than the critic's present ones" if borrowed else ""

    # ------------------------------------------------------------------ losses

    def critic_loss(self, batch: Batch, clock: Clock) -> tuple[Terms, Match]:
        for trick in self.some_tricks:
            trick.before_critic(self.critic, clock)
        c = self.condition.of(batch)
        z, forged = self._forged(len(batch), c, grad=False)
        real = self.shown(self.centred(batch.x), clock)
        match = self._match(batch, c, z, forged, real, clock)
        on_real, on_fake = match.sides
        total = self.game.critic(on_real, on_fake).mean()
        seen = torch.sigmoid if self.game.is_logit else torch.Tensor.float
        own = {"total": total, "real": seen(on_real).mean(), "fake": seen(on_fake).mean()}
        return self.summed(match, own, "critic_terms"), match

    def generator_loss(self, batch: Batch, clock: Clock) -> tuple[Terms, Match]:
        self.tick(clock)
        c = self.condition.of(batch)
        z, forged = self._forged(len(batch), c)
        fake = self.shown(forged, clock)
        real = self.shown(self.centred(batch.x), clock) if self.needs_real else fake
        match = self._match(batch, c, z, forged, real, clock, fake)
        for trick in self.some_tricks:
            match.weights = trick.weights(match, match.weights)
        return self.summed(match, {"total": self._played(match)}), match

    def _played(self, match: Match) -> Tensor:
        """The game's part of the generator's loss."""
        if not self.adversarial:
            return match.seen.new_zeros(())
        if self.game.paired or self.critic.joined:
            on_real, on_fake = match.sides
        else:
            on_real = on_fake = match.judge(match.seen)
        return self.adversarial * self.game.generator(on_real, on_fake).mean()

    def _match(
        self, batch: Batch, c: Fields, z: Tensor, forged: Tensor, real: Tensor, clock: Clock,
        fake: Tensor | None = None, weights: Weights = None, ahead: bool = False,
    ) -> Match:  # fmt: skip
        seen = self.shown(forged, clock) if fake is None else fake
        return Match(
            batch.x, z, field=self.condition.target, game=self.game, view=self.critic, generator=self.generator,
            real=real, fake=seen, forged=forged, weights=weights, ahead=ahead, clock=clock, c=c, n=self.examples,
            another=lambda: self._another(batch, c, real, clock),
        )  # fmt: skip

    def _another(self, batch: Batch, c: Fields, real: Tensor, clock: Clock) -> Callable[[Weights], Tensor]:
        """The critic's whole loss on samples of its own, as a function of its weights."""
        z, forged = self._forged(len(batch), c)
        fake = self.shown(forged, clock)

        def loss(weights: Weights) -> Tensor:
            match = self._match(batch, c, z, forged, real, clock, fake, weights, ahead=True)
            return self.summed(match, {"total": self.game.critic(*match.sides)}, "critic_terms")["total"]

        return loss

    @torch.no_grad()
    def after_critic(self, match: Match) -> None:
        for _, part in self.parts:
            part.after_critic(match)

    # --------------------------------------------------------------- what the critic sees

    def shown(self, x: Tensor, clock: Clock | None) -> Tensor:
        """x as the critic sees it; without a clock, from outside."""
        for trick in self.some_tricks:
            x = trick.shown(x, clock)
        return packed(x, self.critic.pack)

    def centred(self, x: Tensor) -> Tensor:
        """[0, 1] → [−1, 1] for images."""
        return self.spec.x.support.centred(x)

    def _forged(self, n: int, c: Fields, grad: bool = True) -> tuple[Tensor, Tensor]:
        """z and G(z, c), as the game has them."""
        z = self.codes(n, c)
        with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
            return z, self.forge(z, c)

    def vitals(self, batch: Batch, fitted: Batch | None = None) -> dict[str, Tensor]:
        """Of samples beside x; and of the critic on both, and on as many that it was trained on, as it judges while it
        is trained, without instance noise. Fields beside x are those of x, columns of x those of others, lest each
        sample resemble its partner. With averaged weights, where there are any, of both players."""
        c, m = self.condition.of(batch), self.critic.pack
        fake = self.sample(len(batch), None if self.condition.of_x else c)
        found, whole = sample_vitals(batch.x, self.spec.x.support.settled(fake)), len(batch) // m * m
        if whole < 2 * m:
            return found
        with as_in_training(self.critic):
            on_real, on_fake = self._verdict(batch, fake, whole)
            on_fitted = None
            if fitted is not None and len(fitted) >= whole:
                on_fitted = self._verdict(fitted, fake, whole)[0]
            pulls = "matching" not in self.tricks
            return found | critic_vitals(self.game, on_real, on_fake, on_fitted, pulls=pulls)

    def _verdict(self, real: Batch, fake: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The critic's logits of the first n of both, (n/m,), in one batch where it is trained so."""
        c = rows_of(self.condition.of(real), slice(n)) if self.critic.reader.fields else NOTHING
        seen_real, seen_fake = (self.shown(self.centred(x[:n]), None) for x in (real.x, fake))
        return self.critic.sides(seen_real, seen_fake, c)

    # --------------------------------------------------------------- what everyone above sees

    def codes(self, n: int, c: Fields = NOTHING) -> Tensor:
        return normal((n, self.latent), self.device)

    def forge(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        """G(z, c), with the columns it was told put in their places."""
        return self.condition.whole(self.generator(z, c), c)

    def show(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        """G(z, c) in model units."""
        self.condition.refuse(c, len(z))
        return self.spec.x.support.uncentred(self.forge(z, c).float())
