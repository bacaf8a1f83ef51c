"""Posteriors q(z|x, c) and priors p(z|c): parts of a model that return a distribution.

    posterior(features, clock) → q(z|x)     features: the outputs of the encoder for x and c
        draw(q, k, exact) → (z, h)          k draws of the code z, and the decoder's input h; h = z unless z are indices
        best_code(q) → z                    the single best code of each example
        embed(z) → h                        the decoder's input for any code
    prior(c)   → p(z|c)                     the distribution that samples and bounds use
        training_target(c) → p              the distribution that KL is taken to in training; differs only while p(z) is
                                            not fitted yet
        codes(n, c) → z                     n draws, one for each row of c

    diagonal      q(z|x) = N(z; μ(x), diag σ²(x)), one linear head for μ and one for log σ²    (Kingma and Welling 2014)
    standard      p(z)   = N(z; 0, I)
    conditional   p(z|c) = N(z; μ(c), diag σ²(c)), by a small network                           (Sohn et al. 2015)

Legend: B batch, K draws, D latent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field, Spec
from bestiary.data.support import Reals
from bestiary.densities.diagonal_gaussian import DiagonalNormal, StandardNormal
from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Size
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, Reader
from bestiary.networks.mlp import mlp
from bestiary.training.clock import Clock
from bestiary.training.noise import normal
from bestiary.training.part import Part

__all__ = [
    "Conditional", "Diagonal", "Posterior", "Prior", "PriorSetting", "Standard", "StandardBase", "as_posterior",
    "as_prior", "code_field",
]  # fmt: skip


def code_field(latent: int) -> Field:
    """The field that describes z: a row of D numbers."""
    return Field("z", "row", (latent,), Reals())


class Posterior(Part):
    """(features, clock) → q(z|x). The methods here are for codes that are numbers."""

    code: Field  # the field that describes z

    def draw(self, q: Any, k: int, exact: bool = False) -> tuple[Tensor, Tensor]:
        """Codes z_1 … z_K (K, B, …) from q, and the decoder's inputs for them, with the same first two dimensions.

        exact: draw z from q itself, as bounds need it; a relaxed posterior may draw relaxed codes otherwise.
        """
        z = q.rsample((k,))
        return z, z

    def best_code(self, q: Any) -> Tensor:
        """The code of each example (B, …): the mean of q."""
        return q.mean

    def embed(self, z: Tensor) -> Tensor:
        """The decoder's input for codes z."""
        return z


class _ModulePosterior(Posterior):
    """A user's module, features → distribution, as a posterior."""

    def __init__(self, module: nn.Module, latent: int) -> None:
        super().__init__()
        self.module, self.code = module, code_field(latent)

    def forward(self, features: Tensor, clock: Clock) -> Any:
        return self.module(features)


def as_posterior(module: nn.Module, latent: int) -> Posterior:
    """The module as a posterior over `latent` numbers, unless it is one: any module features → distribution."""
    return module if isinstance(module, Posterior) else _ModulePosterior(module, latent)


@dataclass(frozen=True)
class PriorSetting:
    """What the builder of a prior may use of the model."""

    spec: Spec  # of the data
    latent: int  # dimensions of z
    infer: Callable[[Tensor], Any]  # x → q(z|x), a plain callable, since its weights belong to the model
    condition: tuple[Field, ...] = ()  # the fields of c, if the model takes a condition


class Prior(Part):
    """c → p(z|c)."""

    infer: Callable[[Tensor], Any]  # x → q(z|x) of the model; set by the model

    def training_target(self, c: ConditionTensors = NO_CONDITION) -> Any:
        """The distribution to which the KL is taken in training: p(z|c), unless a prior overrides it."""
        return self(c)

    def codes(self, n: int, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """n draws z ~ p(z|c), (n, …), one for each row of c."""
        p = self(c)
        return p.rsample(()) if len(p.mean) == n > 1 else p.rsample((n,)).reshape(n, -1)


class _ModulePrior(Prior):
    """A user's module, () → distribution, as a prior."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, c: ConditionTensors = NO_CONDITION) -> Any:
        return self.module()


def as_prior(module: nn.Module) -> Prior:
    """The module as a prior, unless it is one: any module () → distribution over (1, D)."""
    return module if isinstance(module, Prior) else _ModulePrior(module)


class Diagonal(Posterior):
    """A diagonal Gaussian: one linear head for μ and one for log σ²."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.code = code_field(latent)
        self.head = nn.Linear(features, 2 * latent)

    def forward(self, features: Tensor, clock: Clock | None = None) -> DiagonalNormal:
        """(B, F) → N(μ, diag σ²) over (B, D)."""
        mean, log_var = self.head(features).float().chunk(2, dim=-1)
        return DiagonalNormal(mean, log_var)


class StandardBase(nn.Module):
    """() → N(0, I) over (1, D)."""

    zero: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(1, latent), persistent=False)

    def forward(self) -> StandardNormal:
        return StandardNormal(self.zero)


class Standard(Prior):
    """N(0, I)."""

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__()
        self.base = StandardBase(setting.latent)

    def forward(self, c: ConditionTensors = NO_CONDITION) -> StandardNormal:
        return self.base()

    def codes(self, n: int, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return normal((n, self.base.zero.shape[1]), self.base.zero.device)


class Conditional(Prior):
    """A Gaussian whose mean and variance are functions of the condition, by a small network."""

    def __init__(
        self,
        setting: PriorSetting,
        *,
        width: Size = 64,  # units of its hidden layer
    ) -> None:
        super().__init__()
        if not setting.condition:
            raise BestiaryError("prior=conditional is p(z|c), and this model takes no condition: add condition=label")
        self.reader = Reader(setting.condition)
        self.net = mlp([self.reader.width, width, 2 * setting.latent], "silu")
        with torch.no_grad():  # start near N(0, I)
            for p, scale in zip(self.net[-1].parameters(), (0.01, 0.0), strict=True):
                p.mul_(scale)

    def forward(self, c: ConditionTensors = NO_CONDITION) -> DiagonalNormal:
        mean, log_var = self.net(self.reader(c)).float().chunk(2, -1)
        return DiagonalNormal(mean, log_var)

    def codes(self, n: int, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return self(c).rsample(())
