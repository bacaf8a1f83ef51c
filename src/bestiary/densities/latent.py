"""Posteriors q(z|x) and priors p(z): modules that give a distribution.

    posterior(features) → q(z|x)        features: what the encoder makes of x
    prior()             → p(z)

    diagonal   q(z|x) = N(z; μ(x), diag σ²(x)), one linear head for μ and one for log σ²    (Kingma and Welling 2014)
    standard   p(z)   = N(z; 0, I)

Legend: B batch, D latent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.densities.normal import DiagonalNormal, Distribution, StandardNormal

__all__ = ["Diagonal", "Place", "Posterior", "Prior", "Standard", "StandardBase"]


class Posterior(Distribution, Protocol):
    """q(z|x) for a batch of x."""

    @property
    def components(self) -> Any: ...  # Gaussians that stand for this q in a mixture over many x


@dataclass(frozen=True)
class Place:
    """Where a prior is to stand: what it may know of the model."""

    spec: Spec
    latent: int
    infer: Callable[[Tensor], Posterior]  # x → q(z|x), a plain callable: its weights are the model's


class Prior(nn.Module):
    """() → p(z)."""

    infer: Callable[[Tensor], Any]  # x → q(z|x) of the model that it stands in

    def begin(self, examples: Callable[[int], Tensor]) -> None:
        """Once, before the first round of a new run: `examples(n)` gives n training examples as the model sees them."""


class Diagonal(nn.Module):
    """A diagonal Gaussian: one linear head for μ and one for log σ²."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.head = nn.Linear(features, 2 * latent)

    def forward(self, features: Tensor) -> DiagonalNormal:
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

    def forward(self) -> StandardNormal:
        return self.base()
