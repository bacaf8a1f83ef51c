"""What a critic is shown, and what it answers.

    seen(x) = pack(lens(x)) + σ ε        examples augmented, packs of them side by side, with noise

Real and fake pass through the critic in batches of their own, so that BatchNorm does not mix their moments (unless
`joint`). A critic that is told a label by projection has it beside x; other conditions are joined to x.

Legend: B batch, m pack, c condition, F features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bestiary.densities.noise import normal
from bestiary.errors import BestiaryError
from bestiary.models.condition import Condition
from bestiary.networks.critic import Critic, beside
from bestiary.objectives.augment import Lens
from bestiary.objectives.penalties import Penalty
from bestiary.training.clock import Clock, Schedule, at

__all__ = ["Conditions", "Rules", "Sight", "Weights"]

Conditions = Tensor | None
Weights = Mapping[str, Tensor] | None  # other weights of the critic than its own


@dataclass(frozen=True)
class Rules:
    """What is added to the bare game; the defaults add nothing."""

    penalty: Penalty | None = None  # on the critic's slope
    lazy: int = 1  # the penalty is taken at every so many rounds, so many times as heavy
    weight_clip: float = 0.0  # the critic's weights are kept within ± this
    adversarial: float = 1.0  # weight of the game in the generator's loss
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


@dataclass(frozen=True)
class Sight:
    """A critic, with the rules by which it is shown anything. The critic's weights belong to the model."""

    critic: nn.Module
    condition: Condition
    rules: Rules

    def seen(self, x: Tensor, clock: Clock) -> Tensor:
        """pack(lens(x)) + σ ε."""
        x = self.still(x)
        if callable(self.rules.noise) or self.rules.noise:
            x = x + at(self.rules.noise, clock) * normal(x.shape, x.device)
        return x

    def still(self, x: Tensor) -> Tensor:
        """pack(lens(x))."""
        return _packed(x if self.rules.lens is None else self.rules.lens(x), self.rules.pack)

    def packed(self, c: Conditions) -> Conditions:
        return None if c is None or not self.condition.shown else _packed(c, self.rules.pack)

    def judge(self, x: Tensor, c: Conditions = None, weights: Weights = None, alone: bool = False) -> Tensor:
        """The critic's logits in fp32, (B/m,)."""
        given, how = self._given(x, c), {"alone": True} if alone and isinstance(self.critic, Critic) else {}
        out = self.critic(*given, **how) if weights is None else functional_call(self.critic, dict(weights), given, how)
        return out.float().view(len(x))

    def alone(self, c: Conditions, weights: Weights = None) -> Callable[[Tensor], Tensor]:
        """The critic for penalties: its logits have slopes by their own examples alone."""
        return lambda x: self.judge(x, c, weights, alone=True)

    def both(self, real: Tensor, fake: Tensor, c: Conditions, weights: Weights = None) -> tuple[Tensor, Tensor]:
        """Logits of real and fake."""
        return self._sides(lambda x, c: self.judge(x, c, weights), real, fake, c)

    def features(self, real: Tensor, fake: Tensor, c: Conditions, weights: Weights = None) -> tuple[Tensor, Tensor]:
        """h of real and of fake, (B/m, F): each example's own, without what minibatch discrimination adds."""
        body = self.critic.get_submodule("body")
        of_body = {k.removeprefix("body."): w for k, w in (weights or {}).items() if k.startswith("body.")}

        def features(x: Tensor, c: Conditions) -> Tensor:
            seen = self._given(x, c)[0]
            return (functional_call(body, of_body, (seen,)) if of_body else body(seen)).float()

        return self._sides(features, real, fake, c)

    def _given(self, x: Tensor, c: Conditions) -> tuple[Tensor, ...]:
        if c is None:
            return (x,)
        return (x, c) if self.rules.projected else (beside(x, c),)

    def _sides(
        self, of: Callable[[Tensor, Conditions], Tensor], real: Tensor, fake: Tensor, c: Conditions
    ) -> tuple[Tensor, Tensor]:
        """A function of what the critic sees, each side in a batch of its own unless the rules join them."""
        if not self.rules.joint:
            return of(real, c), of(fake, c)
        on_real, on_fake = of(torch.cat([real, fake]), None if c is None else torch.cat([c, c])).chunk(2)
        return on_real, on_fake


def _packed(x: Tensor, m: int) -> Tensor:
    """m examples side by side: (B, C, …) → (B/m, m·C, …)."""
    if len(x) % m:
        raise BestiaryError(f"pack={m} does not divide the {len(x)} examples of a process: give another batch")
    return x if m == 1 else x.unflatten(0, (-1, m)).flatten(1, 2)
