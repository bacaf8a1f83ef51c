"""Generative adversarial network: generator × critic × game, and the tricks that are added to the bare game.

    z ~ N(0, I),   x_fake = G(z, c);     critic's turn: min game.critic(C(x_real, c), C(x_fake, c)) + tricks
                                         generator's turn: min game.generator(C(x_real, c), C(x_fake, c)) + tricks

(Goodfellow et al. 2014, arXiv 1406.2661.) C returns logits; D = σ(C). critic_view.py has the critic with its condition,
tricks/ has the tricks. Images are in [−1, 1] inside the game and in [0, 1] outside.

Legend: B batch, D latent, m pack, c condition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec
from bestiary.densities.posterior_and_prior import code_field
from bestiary.models.condition import Condition
from bestiary.models.critic_view import CriticView, Weights, pack_examples
from bestiary.models.game_draw import GameDraw, GameNetworks
from bestiary.models.model import Coded, Model
from bestiary.models.tricks.slope_penalty import SlopePenalty
from bestiary.models.tricks.trick import Trick
from bestiary.models.vitals import as_in_training, critic_vitals, sample_vitals
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, as_conditioned, select_rows
from bestiary.objectives.games import Game
from bestiary.training.clock import Clock
from bestiary.training.noise import normal
from bestiary.training.player import Adam, Optimiser, Player, Terms, single_phase

__all__ = ["GAN", "PlayerOptions"]


@dataclass(frozen=True)
class PlayerOptions:
    """How a player trains: its turns in a round, and its optimiser."""

    turns: int | Callable[[int], int] = 1  # a number, or a function of the round
    optimiser: Optimiser = field(default_factory=lambda: Adam(2e-4, (0.5, 0.999)))


class GAN(Model, Coded):
    """A generator and a critic, each with a player, and the players of parts. adversarial: weight of the game."""

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
        critic_options: PlayerOptions = PlayerOptions(),
        generator_options: PlayerOptions = PlayerOptions(),
    ) -> None:
        super().__init__(spec, condition)
        self.code, self.latent = code_field(latent), latent
        self.generator, self.critic = as_conditioned(generator), critic
        self.tricks = nn.ModuleDict(tricks or {})
        self.adversarial, self.batch_multiple = adversarial, critic.pack
        self.critic_options, self.generator_options = critic_options, generator_options
        self.game = game
        for trick in self.trick_list:
            self.game = trick.game(self.game)
            trick.attach(critic, self.generator)
        self.needs_real = self.game.paired or any(trick.needs_real for trick in self.trick_list)

    @property
    def trick_list(self) -> list[Trick]:
        """The tricks in the order in which they act."""
        return cast("list[Trick]", list(self.tricks.values()))

    def players(self) -> list[Player]:
        critic, generator = self.critic_options, self.generator_options
        phase = next((trick.phase for trick in self.trick_list if isinstance(trick, SlopePenalty)), single_phase)
        return [
            Player("critic", self.own_parameters(self.critic), self.critic_loss, critic.turns, self.after_critic,
                   critic.optimiser, phase),
            Player("generator", self.own_parameters(self.generator), self.generator_loss, generator.turns, self.after,
                   generator.optimiser, main=True),
            *self.part_players(),
        ]  # fmt: skip

    def sharding_obstacle(self) -> str:
        """FSDP2 would use the critic's own weights instead of unrolled or past ones."""
        tricks = [f"{name}=" for name in ("unroll", "simultaneous") if name in self.tricks]
        return f"{' and '.join(tricks)} judges with other weights than the critic's present ones" if tricks else ""

    # ------------------------------------------------------------------ losses

    def critic_loss(self, batch: Batch, clock: Clock) -> tuple[Terms, GameDraw]:
        """The critic's terms; `real` and `fake` are its mean probabilities (or logits) on real and fake examples."""
        for trick in self.trick_list:
            trick.before_critic(self.critic, clock)
        c = self.condition.of(batch)
        z, samples = self._draw_samples(len(batch), c, grad=False)
        real = self.view(self.centred(batch.x), clock)
        draw = self._game_draw(batch, c, z, samples, real, clock)
        on_real, on_fake = draw.logits
        total = self.game.critic(on_real, on_fake).mean()
        shown_value = torch.sigmoid if self.game.is_logit else torch.Tensor.float
        own = {"total": total, "real": shown_value(on_real).mean(), "fake": shown_value(on_fake).mean()}
        return self.collect_terms(draw, own, "critic_terms"), draw

    def generator_loss(self, batch: Batch, clock: Clock) -> tuple[Terms, GameDraw]:
        """The generator's terms."""
        self.tick(clock)
        c = self.condition.of(batch)
        z, samples = self._draw_samples(len(batch), c)
        fake = self.view(samples, clock)
        real = self.view(self.centred(batch.x), clock) if self.needs_real else fake
        draw = self._game_draw(batch, c, z, samples, real, clock, fake)
        for trick in self.trick_list:
            draw.weights = trick.weights(draw, draw.weights)
        return self.collect_terms(draw, {"total": self._game_loss(draw)}), draw

    def _game_loss(self, draw: GameDraw) -> Tensor:
        """The game's part of the generator's loss."""
        if not self.adversarial:
            return draw.fake_view.new_zeros(())
        if self.game.paired or self.critic.joint:
            on_real, on_fake = draw.logits
        else:
            on_real = on_fake = draw.judge(draw.fake_view)
        return self.adversarial * self.game.generator(on_real, on_fake).mean()

    def _game_draw(
        self, batch: Batch, c: ConditionTensors, z: Tensor, samples: Tensor, real: Tensor, clock: Clock,
        fake: Tensor | None = None, weights: Weights = None, lookahead: bool = False,
    ) -> GameDraw:  # fmt: skip
        fake = self.view(samples, clock) if fake is None else fake
        return GameDraw(
            batch.x, z, GameNetworks(self.generator, self.critic, self.game, self.condition.target), samples=samples,
            real=real, fake=fake, weights=weights, lookahead=lookahead, clock=clock, c=c, n=self.examples,
            fresh_loss=lambda: self._fresh_critic_loss(batch, c, real, clock),
        )  # fmt: skip

    def _fresh_critic_loss(
        self, batch: Batch, c: ConditionTensors, real: Tensor, clock: Clock
    ) -> Callable[[Weights], Tensor]:
        """The critic's full loss on new samples, as a function of its weights."""
        z, samples = self._draw_samples(len(batch), c)
        fake = self.view(samples, clock)

        def loss(weights: Weights) -> Tensor:
            draw = self._game_draw(batch, c, z, samples, real, clock, fake, weights, lookahead=True)
            return self.collect_terms(draw, {"total": self.game.critic(*draw.logits)}, "critic_terms")["total"]

        return loss

    @torch.no_grad()
    def after_critic(self, draw: GameDraw) -> None:
        """After the critic's step: the hooks of the parts."""
        for _, part in self.parts:
            part.after_critic(draw)

    # --------------------------------------------------------------- the critic's view

    def view(self, x: Tensor, clock: Clock | None) -> Tensor:
        """x as the critic sees it, (B/m, m·C, …): through the tricks, and packed. Without a clock nothing is random."""
        for trick in self.trick_list:
            x = trick.view(x, clock)
        return pack_examples(x, self.critic.pack)

    def centred(self, x: Tensor) -> Tensor:
        """x in the units of the game: [0, 1] → [−1, 1] for images."""
        return self.spec.x.support.to_signed(x)

    def _draw_samples(self, n: int, c: ConditionTensors, grad: bool = True) -> tuple[Tensor, Tensor]:
        """n codes z and the samples G(z, c), in the units of the game."""
        z = self.codes(n, c)
        with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
            return z, self.generate(z, c)

    def vitals(self, batch: Batch, training_batch: Batch | None = None) -> dict[str, Tensor]:
        """Numbers of vitals.py: of samples compared with held-out examples, and of the critic's logits of both.

        Samples take the fields beside x of the examples, but random columns of x, since with the same columns each
        sample would resemble its example. The critic judges as in training, but without instance noise.
        `training_batch`: training examples, for `known`.
        """
        c, m = self.condition.of(batch), self.critic.pack
        fake = self.sample(len(batch), None if self.condition.columns else c)
        numbers, n = sample_vitals(batch.x, self.spec.x.support.round_categories(fake)), len(batch) // m * m
        if n < 2 * m:
            return numbers
        with as_in_training(self.critic):
            on_real, on_fake = self._critic_logits(batch, fake, n)
            on_fitted = None
            if training_batch is not None and len(training_batch) >= n:
                on_fitted = self._critic_logits(training_batch, fake, n)[0]
            with_pull = "matching" not in self.tricks
            return numbers | critic_vitals(self.game, on_real, on_fake, on_fitted, with_pull)

    def _critic_logits(self, real: Batch, fake: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The critic's logits (n/m,) of the first n real and the first n fake examples."""
        c = select_rows(self.condition.of(real), slice(n)) if self.critic.reader.fields else NO_CONDITION
        real_view, fake_view = (self.view(self.centred(x[:n]), None) for x in (real.x, fake))
        return self.critic.judge_both(real_view, fake_view, c)

    # --------------------------------------------------------------- abilities

    def codes(self, n: int, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return normal((n, self.latent), self.device)

    def generate(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """G(z, c) in the units of the game, together with the columns of x that are in c."""
        return self.condition.assemble(self.generator(z, c), c)

    def show(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """G(z, c) in model units."""
        self.condition.refuse(c, len(z))
        return self.spec.x.support.from_signed(self.generate(z, c).float())
