"""Posteriors q(z|x, c) and priors p(z|c): parts that give a distribution.

    posterior(features, clock) → q(z|x)     features: what the encoder makes of x and c
        drawn(q, k, exact) → (z, h)         z the code, h what the decoder takes: two things where codes are indices
        best(q) → z     embed(z) → h        the code of an example; h of any code
    prior(c)   → p(z|c)                     what codes are drawn from, and bounds are of
        against(c) → p                      what the encoder is trained towards: another while p(z) is not fitted yet
        codes(n, c) → z                     n of them, one for each row of c

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
from bestiary.networks.conditioned import NOTHING, Fields, Reader
from bestiary.networks.mlp import mlp
from bestiary.training.clock import Clock
from bestiary.training.noise import normal
from bestiary.training.part import Part

__all__ = [
    "Conditional", "Diagonal", "Place", "Posterior", "Prior", "Standard", "StandardBase", "code_of", "posterior_of",
    "prior_of",
]  # fmt: skip


def code_of(latent: int) -> Field:
    """z as D numbers."""
    return Field("z", "row", (latent,), Reals())


class Posterior(Part):
    """(features, clock) → q(z|x). What is here is that of codes that are numbers."""

    code: Field  # what z is

    def drawn(self, q: Any, k: int, exact: bool = False) -> tuple[Tensor, Tensor]:
        """z_1 … z_K, (K, B, …), and what the decoder takes of them; `exact`: for a bound, which relaxed codes lack."""
        z = q.rsample((k,))
        return z, z

    def best(self, q: Any) -> Tensor:
        """The code of each example: the mean."""
        return q.mean

    def embed(self, z: Tensor) -> Tensor:
        """What the decoder takes of codes z."""
        return z


class _Given(Posterior):
    """A user's module, features → distribution."""

    def __init__(self, module: nn.Module, latent: int) -> None:
        super().__init__()
        self.module, self.code = module, code_of(latent)

    def forward(self, features: Tensor, clock: Clock) -> Any:
        return self.module(features)


def posterior_of(module: nn.Module, latent: int) -> Posterior:
    """A posterior, or any module that makes a distribution of features, as one."""
    return module if isinstance(module, Posterior) else _Given(module, latent)


@dataclass(frozen=True)
class Place:
    """Where a prior is to stand: what it may know of the model."""

    spec: Spec
    latent: int
    infer: Callable[[Tensor], Any]  # x → q(z|x), a plain callable: its weights are the model's
    condition: tuple[Field, ...] = ()


class Prior(Part):
    """c → p(z|c)."""

    infer: Callable[[Tensor], Any]  # x → q(z|x) of the model that it stands in

    def against(self, c: Fields = NOTHING) -> Any:
        return self(c)

    def codes(self, n: int, c: Fields = NOTHING) -> Tensor:
        """(n, …) draws of z ~ p(z|c)."""
        p = self(c)
        return p.rsample(()) if len(p.mean) == n > 1 else p.rsample((n,)).reshape(n, -1)


class _GivenPrior(Prior):
    """A user's module, () → distribution."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, c: Fields = NOTHING) -> Any:
        return self.module()


def prior_of(module: nn.Module) -> Prior:
    """A prior, or any module that gives a distribution over (1, D), as one."""
    return module if isinstance(module, Prior) else _GivenPrior(module)


class Diagonal(Posterior):
    """A diagonal Gaussian: one linear head for μ and one for log σ²."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.code = code_of(latent)
        self.head = nn.Linear(features, 2 * latent)

    def forward(self, features: Tensor, clock: Clock | None = None) -> DiagonalNormal:
        """(B, F) → N(μ, diag σ²) over (B, D)."""
        mean, log_var = self.head(features).float().chunk(2, dim=-1)
        return DiagonalNormal(mean, log_var)


class StandardBase(nn.Module):
    """→ N(0, I) over (1, D)."""

    zero: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(1, latent), persistent=False)

    def forward(self) -> StandardNormal:
        return StandardNormal(self.zero)


class Standard(Prior):
    """N(0, I)."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.base = StandardBase(place.latent)

    def forward(self, c: Fields = NOTHING) -> StandardNormal:
        return self.base()

    def codes(self, n: int, c: Fields = NOTHING) -> Tensor:
        return normal((n, self.base.zero.shape[1]), self.base.zero.device)


class Conditional(Prior):
    """A Gaussian whose mean and variance a small network makes of the condition."""

    def __init__(
        self,
        place: Place,
        *,
        width: int = 64,  # units of its hidden layer
    ) -> None:
        super().__init__()
        if not place.condition:
            raise BestiaryError("prior=conditional is p(z|c), and this model is told nothing: add condition=label")
        self.reader = Reader(place.condition)
        self.net = mlp([self.reader.width, width, 2 * place.latent], "silu")
        with torch.no_grad():  # begins as N(0, I)
            for p, share in zip(self.net[-1].parameters(), (0.01, 0.0), strict=True):
                p.mul_(share)

    def forward(self, c: Fields = NOTHING) -> DiagonalNormal:
        mean, log_var = self.net(self.reader(c)).float().chunk(2, -1)
        return DiagonalNormal(mean, log_var)

    def codes(self, n: int, c: Fields = NOTHING) -> Tensor:
        return self(c).rsample(())
