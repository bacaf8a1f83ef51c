"""Posteriors q(z|x) and priors p(z): modules that give a distribution.

    posterior(features) → q(z|x)        features: what the encoder makes of x
    prior()             → p(z)

    diagonal   q(z|x) = N(z; μ(x), diag σ²(x)), one linear head for μ and one for log σ²    (Kingma and Welling 2014)
    standard   p(z)   = N(z; 0, I)

Legend: B batch, D latent.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bestiary.densities.normal import DiagonalNormal, StandardNormal

__all__ = ["POSTERIORS", "PRIORS", "Diagonal", "Standard"]


class Diagonal(nn.Module):
    """(B, features) → N(μ, diag σ²) over (B, D)."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.head = nn.Linear(features, 2 * latent)

    def forward(self, features: Tensor) -> DiagonalNormal:
        mean, log_var = self.head(features).float().chunk(2, dim=-1)
        return DiagonalNormal(mean, log_var)


class Standard(nn.Module):
    """→ N(0, I) over (1, D)."""

    zero: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(1, latent), persistent=False)

    def forward(self) -> StandardNormal:
        return StandardNormal(self.zero)


POSTERIORS: dict[str, Callable[[int, int], nn.Module]] = {"diagonal": Diagonal}  # (features, latent) → module
PRIORS: dict[str, Callable[[int], nn.Module]] = {"standard": Standard}  # (latent) → module
