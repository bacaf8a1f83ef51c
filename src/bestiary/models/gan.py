"""The generative adversarial network: generator × critic × game, and what is added to the bare game.

    z ~ N(0, I),   x_fake = G(z, c);     critic's turn: min game.critic(C(x_real), C(x_fake)) + penalty
                                         generator's turn: min game.generator(C(x_real), C(x_fake)) + matching

(Goodfellow et al. 2014, arXiv 1406.2661.) C gives logits; D = σ(C). Real and fake pass through the critic in batches of
their own, so that BatchNorm does not mix their moments (unless `joint`). Images live in [−1, 1] inside the game and in
[0, 1] outside.

What the critic sees of x is seen(x) = pack(lens(x)) + σ ε: examples augmented, packs of them side by side, with noise.

Legend: B batch, D latent, m pack, c condition.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bestiary.data.batches import Batch, settled
from bestiary.data.spec import Spec
from bestiary.densities.noise import normal
from bestiary.errors import BestiaryError
from bestiary.models.condition import Condition, Nothing
from bestiary.models.model import Model
from bestiary.models.past import Past
from bestiary.models.vitals import as_in_training, critic_vitals, sample_vitals
from bestiary.networks.critic import Critic, beside
from bestiary.objectives.augment import Lens
from bestiary.objectives.games import Game
from bestiary.objectives.penalties import Penalty
from bestiary.objectives.unrolled import unrolled
from bestiary.training.clock import Clock, Schedule, at
from bestiary.training.parallel import whole_mean
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["GAN", "Rules"]

KEPT = 1024  # conditions of the training data that are kept to sample with

Conditions = Tensor | None


@dataclass(frozen=True)
class Rules:
    """What is added to the bare game; the defaults add nothing."""

    penalty: Penalty | None = None  # on the critic's slope
    lazy: int = 1  # the penalty is taken at every so many rounds, so many times as heavy
    weight_clip: float = 0.0  # the critic's weights are kept within ± this
    matching: float = 0.0  # weight of ‖E h(real) − E h(fake)‖², h the critic's features
    history: float = 0.0  # weight of ‖θ − mean of θ so far‖² for each player
    joint: bool = False  # real and fake in one batch of the critic
    noise: float | Schedule = 0.0  # σ of what is added to all that the critic sees
    pack: int = 1  # m
    lens: Lens | None = None  # differentiable augmentation
    projected: bool = False  # the critic is told c by projection; otherwise c stands beside x
    unroll: int = 0  # steps of the critic that the generator looks ahead
    unroll_rate: float = 0.1  # η of these
    simultaneous: bool = False  # the generator answers the critic of before its turns


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
        real, fake, packed = self.seen(self.inward(batch.x), clock), self.seen(x_fake, clock), self.packed(c)
        on_real, on_fake = self.both(real, fake, packed)
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
        return {"penalty": self.rules.penalty(self._alone(c), real, fake).mean() * self.rules.lazy}

    def _alone(self, c: Conditions, weights: Mapping[str, Tensor] | None = None) -> Callable[[Tensor], Tensor]:
        """The critic for penalties: its logits have slopes by their own examples alone."""
        return lambda x: self.judge(x, c, weights, alone=True)

    def generator_loss(self, batch: Batch, clock: Clock) -> Terms:
        rules, c = self.rules, self.condition.of(batch)
        fake = self.seen(self.make(self.noise(len(batch.x), batch.x.device), c), clock)
        needed = self.game.paired or rules.joint or rules.matching > 0 or rules.unroll > 0
        real = self.seen(self.inward(batch.x), clock) if needed else fake
        packed, weights = self.packed(c), self._answering(real, batch, c, clock)
        if self.game.paired or rules.joint:
            on_real, on_fake = self.both(real, fake, packed, weights)
        else:
            on_real = on_fake = self.judge(fake, packed, weights)
        terms = {"total": self.game.generator(on_real, on_fake).mean()}
        if rules.matching:
            h_real, h_fake = map(whole_mean, self._features(real, fake, packed, weights))
            terms["matching"] = rules.matching * (h_real - h_fake).square().sum()
        return self._whole(terms, self.past_generator, self.generator)

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
        x_fake = self.seen(self.make(self.noise(len(batch.x), batch.x.device), c), clock)
        packed = self.packed(c)

        def loss(weights: dict[str, Tensor]) -> Tensor:
            value = self.game.critic(*self.both(real, x_fake, packed, weights)).mean()
            if self.rules.penalty is not None:  # at its own weight: lazily taken it is the same on average
                value = value + self.rules.penalty(self._alone(packed, weights), real, x_fake).mean()
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

    # --------------------------------------------------------------- what the critic sees

    def seen(self, x: Tensor, clock: Clock) -> Tensor:
        """pack(lens(x)) + σ ε."""
        x = self._through(x)
        if callable(self.rules.noise) or self.rules.noise:
            x = x + at(self.rules.noise, clock) * normal(x.shape, x.device)
        return x

    def _through(self, x: Tensor) -> Tensor:
        return _packed(x if self.rules.lens is None else self.rules.lens(x), self.rules.pack)

    def packed(self, c: Conditions) -> Conditions:
        return None if c is None or not self.condition.shown else _packed(c, self.rules.pack)

    def judge(
        self, x: Tensor, c: Conditions = None, weights: Mapping[str, Tensor] | None = None, alone: bool = False
    ) -> Tensor:
        """The critic's logits in fp32, (B/m,), with other weights than its own if they are given."""
        given, how = self._given(x, c), {"alone": True} if alone and isinstance(self.critic, Critic) else {}
        out = self.critic(*given, **how) if weights is None else functional_call(self.critic, dict(weights), given, how)
        return out.float().view(len(x))

    def _given(self, x: Tensor, c: Conditions) -> tuple[Tensor, ...]:
        if c is None:
            return (x,)
        return (x, c) if self.rules.projected else (beside(x, c),)

    def both(
        self, real: Tensor, fake: Tensor, c: Conditions, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of real and fake."""
        return self._sides(lambda x, c: self.judge(x, c, weights), real, fake, c)

    def _features(
        self, real: Tensor, fake: Tensor, c: Conditions, weights: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """h of the critic that the generator answers: (B/m, F) of real and of fake."""
        body = self.critic.get_submodule("body")
        of_body = {k.removeprefix("body."): w for k, w in (weights or {}).items() if k.startswith("body.")}

        def features(x: Tensor, c: Conditions) -> Tensor:
            seen = self._given(x, c)[0]
            return (functional_call(body, of_body, (seen,)) if of_body else body(seen)).float()

        return self._sides(features, real, fake, c)

    def _sides(
        self, of: Callable[[Tensor, Conditions], Tensor], real: Tensor, fake: Tensor, c: Conditions
    ) -> tuple[Tensor, Tensor]:
        """A function of what the critic sees, each side in a batch of its own unless the rules join them."""
        if not self.rules.joint:
            return of(real, c), of(fake, c)
        on_real, on_fake = of(torch.cat([real, fake]), None if c is None else torch.cat([c, c])).chunk(2)
        return on_real, on_fake

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
            if fitted is None or len(fitted.x) < whole:
                return found | critic_vitals(self.game, on_real, on_fake)
            return found | critic_vitals(self.game, on_real, on_fake, self._verdict(fitted, fake, whole)[0])

    def _verdict(self, real: Batch, fake: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The critic's logits of the first n of both, (n/m,), in one batch where it is trained so."""
        c = self.condition.of(real)
        seen_real, seen_fake = (self._through(self.inward(x[:n])) for x in (real.x, fake))
        return self.both(seen_real, seen_fake, self.packed(None if c is None else c[:n]))

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


def _packed(x: Tensor, m: int) -> Tensor:
    """m examples side by side: (B, C, …) → (B/m, m·C, …)."""
    if len(x) % m:
        raise BestiaryError(f"pack={m} does not divide the {len(x)} examples of a process: give another batch")
    return x if m == 1 else x.unflatten(0, (-1, m)).flatten(1, 2)
