"""The generative adversarial network: generator × critic × game, and what is added to the bare game.

    z ~ N(0, I),   x_fake = G(z, c);     critic's turn: min game.critic(C(x_real), C(x_fake)) + penalty
                                         generator's turn: min game.generator(C(x_real), C(x_fake)) + matching

(Goodfellow et al. 2014, arXiv 1406.2661.) C gives logits; D = σ(C). What it is shown is the concern of models/sight.py.
Images live in [−1, 1] inside the game and in [0, 1] outside.

Legend: B batch, D latent, m pack, c condition.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch, settled
from bestiary.data.spec import Spec
from bestiary.densities.noise import normal
from bestiary.errors import BestiaryError
from bestiary.models.condition import Condition, Nothing
from bestiary.models.model import Model
from bestiary.models.past import Past
from bestiary.models.sight import Conditions, Rules, Sight, Weights
from bestiary.models.vitals import as_in_training, critic_vitals, sample_vitals
from bestiary.objectives.games import Game
from bestiary.objectives.unrolled import unrolled
from bestiary.training.clock import Clock
from bestiary.training.parallel import whole_mean
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["GAN"]

KEPT = 1024  # conditions of the training data that are kept to sample with


class GAN(Model):
    """A game of two."""

    abilities = frozenset({"sample", "decode"})
    condition: Condition
    conditions: Tensor  # (KEPT, n)
    past_critic: Past | None
    past_generator: Past | None
    before: nn.Module | None

    def __init__(
        self,
        spec: Spec,
        latent: int,
        generator: nn.Module,
        critic: nn.Module,
        game: Game,
        rules: Rules = Rules(),
        condition: Condition | None = None,
        critic_turns: int | Callable[[int], int] = 1,
        generator_turns: int = 1,
        critic_optimiser: Optimiser = Adam(2e-4, (0.5, 0.999)),
        generator_optimiser: Optimiser = Adam(2e-4, (0.5, 0.999)),
    ) -> None:
        super().__init__(spec)
        self.latent, self.generator, self.critic, self.game = latent, generator, critic, game
        self.rules, self.condition = rules, condition or Nothing(spec)
        self.sight = Sight(critic, self.condition, rules)
        self.turns = (critic_turns, generator_turns)
        self.optimisers = (critic_optimiser, generator_optimiser)
        self.past_critic = Past(critic) if rules.history else None
        self.past_generator = Past(generator) if rules.history else None
        self.before = deepcopy(critic).requires_grad_(False) if rules.simultaneous else None
        if self.condition.size:
            self.register_buffer("conditions", torch.zeros(KEPT, self.condition.size))

    def begin(self, examples: Callable[..., Tensor], labels: Tensor | None = None) -> None:
        found = self.condition.of(Batch(examples(), labels))
        if found is not None:
            found = found[torch.randperm(len(found))]  # data may be sorted by class
            self.conditions.copy_(found[torch.arange(KEPT) % len(found)])

    def players(self) -> list[Player]:
        ours, theirs = self.optimisers
        return [
            Player(
                "critic", list(self.critic.parameters()), self.critic_loss, self.turns[0], self.after_critic, ours,
                phase=lambda round: int(round % self.rules.lazy == 0),
            ),
            Player(
                "generator", list(self.generator.parameters()), self.generator_loss, self.turns[1],
                self.after_generator, theirs,
            ),
        ]  # fmt: skip

    def whole_only(self) -> str:
        """FSDP2 would put the critic's own weights in the place of those that it is to judge with."""
        borrowed = {"unroll": self.rules.unroll > 0, "simultaneous": self.rules.simultaneous}
        named = " and ".join(f"{key}=" for key, on in borrowed.items() if on)
        return f"{named} judges with other weights than the critic's present ones" if named else ""

    # ------------------------------------------------------------------ losses

    def critic_loss(self, batch: Batch, clock: Clock) -> Terms:
        if self.before is not None:
            self._remember(clock)
        c = self.condition.of(batch)
        with torch.no_grad():
            x_fake = self.make(self.noise(len(batch.x), batch.x.device), c)
        real, fake = self.sight.seen(self.inward(batch.x), clock), self.sight.seen(x_fake, clock)
        packed = self.sight.packed(c)
        on_real, on_fake = self.sight.both(real, fake, packed)
        total = self.game.critic(on_real, on_fake).mean()
        told = torch.sigmoid if self.game.is_logit else torch.Tensor.float
        terms = {"total": total, "real": told(on_real).mean(), "fake": told(on_fake).mean()}
        if self.rules.penalty is not None:
            terms |= self._penalised(real, fake, packed, clock)
        return self._whole(terms, self.past_critic, self.critic)

    def _penalised(self, real: Tensor, fake: Tensor, c: Conditions, clock: Clock) -> dict[str, Tensor]:
        assert self.rules.penalty is not None
        if not clock.phase:
            return {"penalty": real.new_zeros(())}
        return {"penalty": self.rules.penalty(self.sight.alone(c), real, fake).mean() * self.rules.lazy}

    def generator_loss(self, batch: Batch, clock: Clock) -> Terms:
        rules, c = self.rules, self.condition.of(batch)
        fake = self.sight.seen(self.make(self.noise(len(batch.x), batch.x.device), c), clock)
        needed = self.game.paired or rules.joint or rules.matching > 0 or rules.unroll > 0
        real = self.sight.seen(self.inward(batch.x), clock) if needed else fake
        packed, weights = self.sight.packed(c), self._answering(real, batch, c, clock)
        terms = {"total": self._played(real, fake, packed, weights)}
        if rules.matching:
            h_real, h_fake = map(whole_mean, self.sight.features(real, fake, packed, weights))
            terms["matching"] = rules.matching * (h_real - h_fake).square().sum()
        return self._whole(terms, self.past_generator, self.generator)

    def _played(self, real: Tensor, fake: Tensor, c: Conditions, weights: Weights) -> Tensor:
        """The game's part of the generator's loss."""
        if not self.rules.adversarial:
            return fake.new_zeros(())
        if self.game.paired or self.rules.joint:
            on_real, on_fake = self.sight.both(real, fake, c, weights)
        else:
            on_real = on_fake = self.sight.judge(fake, c, weights)
        return self.rules.adversarial * self.game.generator(on_real, on_fake).mean()

    def _whole(self, terms: Mapping[str, Tensor], past: Past | None, net: nn.Module) -> Terms:
        """`total` with all that is added to it; the parts by name beside it."""
        terms = dict(terms)
        if past is not None:
            terms["history"] = self.rules.history * past.distance(net.parameters())
        added = [terms[name] for name in ("penalty", "matching", "history") if name in terms]
        terms["total"] = sum(added, terms["total"])
        return terms

    # ------------------------------------------------- what the generator answers

    def _answering(self, real: Tensor, batch: Batch, c: Conditions, clock: Clock) -> dict[str, Tensor] | None:
        """The critic's weights that the generator plays against; none: the present ones."""
        weights = None if self.before is None else dict[str, Tensor](self.before.named_parameters())
        if not self.rules.unroll:
            return weights
        own = weights or dict(self.critic.named_parameters())
        x_fake = self.sight.seen(self.make(self.noise(len(batch.x), batch.x.device), c), clock)
        packed = self.sight.packed(c)

        def loss(weights: dict[str, Tensor]) -> Tensor:
            value = self.game.critic(*self.sight.both(real, x_fake, packed, weights)).mean()
            if self.rules.penalty is not None:  # at its own weight: lazily taken it is the same on average
                value = value + self.rules.penalty(self.sight.alone(packed, weights), real, x_fake).mean()
            if self.past_critic is not None:
                value = value + self.rules.history * self.past_critic.distance(weights.values())
            return value

        start = {name: w if w.requires_grad else w.detach().requires_grad_() for name, w in own.items()}
        return unrolled(start, loss, self.rules.unroll, self.rules.unroll_rate, lambda slope: whole_mean(slope[None]))

    @torch.no_grad()
    def _remember(self, clock: Clock) -> None:
        """Before the first of the critic's turns: keep its weights. In tensor code: a captured turn does it too."""
        assert self.before is not None
        first = torch.as_tensor(clock.turn, device=next(self.critic.parameters()).device) == 0
        for kept, now in zip(self.before.parameters(), self.critic.parameters(), strict=True):
            kept.copy_(torch.where(first, now, kept))

    @torch.no_grad()
    def after_critic(self, clock: Clock) -> None:
        if self.rules.weight_clip:
            for p in self.critic.parameters():
                p.clamp_(-self.rules.weight_clip, self.rules.weight_clip)
        if self.past_critic is not None:
            self.past_critic.update(self.critic)

    def after_generator(self, clock: Clock) -> None:
        if self.past_generator is not None:
            self.past_generator.update(self.generator)

    # --------------------------------------------------------------- what everyone above sees

    def vitals(self, x: Tensor, y: Tensor | None = None, fitted: Batch | None = None) -> dict[str, Tensor]:
        """Of samples beside x; and of the critic on both, and on as many that it was trained on, as it judges while it
        is trained, without instance noise. Labels are those of x, columns those of others, lest each sample resemble
        its partner. With averaged weights, where there are any, of both players."""
        held, m = Batch(x, y), self.rules.pack
        c = self.condition.of(held)
        fake = self.sample(len(x), c if self.condition.shown else None)
        found, whole = sample_vitals(x, settled(fake, self.spec)), len(x) // m * m
        if whole < 2 * m:
            return found
        with as_in_training(self.critic):
            on_real, on_fake = self._verdict(held, fake, whole)
            on_fitted = None
            if fitted is not None and len(fitted.x) >= whole:
                on_fitted = self._verdict(fitted, fake, whole)[0]
            return found | critic_vitals(self.game, on_real, on_fake, on_fitted, pulls=not self.rules.matching)

    def _verdict(self, real: Batch, fake: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The critic's logits of the first n of both, (n/m,), in one batch where it is trained so."""
        c = self.condition.of(real)
        seen_real, seen_fake = (self.sight.still(self.inward(x[:n])) for x in (real.x, fake))
        return self.sight.both(seen_real, seen_fake, self.sight.packed(None if c is None else c[:n]))

    def noise(self, n: int, device: torch.device) -> Tensor:
        return normal((n, self.latent), device)

    def make(self, z: Tensor, c: Conditions) -> Tensor:
        """G(z, c), with the columns it was told put in their places."""
        return self.condition.whole(self.generator(z if c is None else torch.cat([z, c.to(z.dtype)], 1)), c)

    def inward(self, x: Tensor) -> Tensor:
        """[0, 1] → [−1, 1] for images."""
        return 2 * x - 1 if self.spec.kind == "image" else x

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """G(z, c) in model units; without a condition, rows of the kept ones in their order."""
        return self._outward(self.make(z, self._told(condition, len(z), z.device, draw=False)).float())

    def show(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The same; without a condition, kept ones drawn at random."""
        return self._outward(self.make(z, self._told(condition, len(z), z.device, draw=True)).float())

    def sample(self, n: int, condition: Tensor | None = None) -> Tensor:
        return self.show(self.noise(n, next(self.parameters()).device), condition)

    def _outward(self, x: Tensor) -> Tensor:
        """[−1, 1] → [0, 1] for images."""
        return (x + 1) / 2 if self.spec.kind == "image" else x

    def _told(self, condition: Tensor | None, n: int, device: torch.device, draw: bool) -> Conditions:
        if condition is not None:
            if condition.ndim and len(condition) != n:
                raise BestiaryError(f"{n} samples need {n} conditions, one for each; got {len(condition)}")
            return self.condition.read(condition.to(device))
        if not self.condition.size:
            return None
        rows = torch.randint(KEPT, (n,), device=device) if draw else torch.arange(n, device=device) % KEPT
        return self.conditions[rows]
