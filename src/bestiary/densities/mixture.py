"""Mixtures: p(z) = Σ_k w_k c_k(z), with Gaussian components.

    log p(z) = log Σ_k exp[ log w_k − ½ Σ_d ((z_d − μ_kd)²/σ_kd² + log σ_kd² + log 2π) ]

For diagonal components the sum over d is one product of (z², z) with (−½/σ², μ/σ²): no (…, K, D) tensor is made. Where
σ is small, z²/σ² − 2 z μ/σ² + μ²/σ² is far smaller than its three parts: the product is taken in float64 and around the
mean of the μ_k, since float32 loses up to 4e-3 nats for σ² = e^−6 in 40 dimensions.

Legend: K components, D latent, … leading dimensions of z.
"""

from collections.abc import Sequence
from math import log, pi

import torch
from torch import Tensor, nn

from bestiary.densities.full import FullNormal
from bestiary.densities.latent import Place, Prior
from bestiary.densities.noise import normal, uniform
from bestiary.densities.normal import DiagonalNormal
from bestiary.errors import BestiaryError

__all__ = ["GaussianMixture", "Mixture", "mixture_of"]


class GaussianMixture:
    """Σ_k w_k N(μ_k, diag σ_k²) over (1, D)."""

    def __init__(self, log_weight: Tensor, mean: Tensor, log_var: Tensor) -> None:
        self.log_weight, self.means, self.log_vars = log_weight, mean, log_var  # (K,), (K, D), (K, D)

    @property
    def mean(self) -> Tensor:
        return (self.log_weight.exp() @ self.means)[None]  # (1, D)

    @property
    def variance(self) -> Tensor:
        second = self.log_vars.exp() + self.means.square()
        return (self.log_weight.exp() @ second)[None] - self.mean.square()

    def rsample(self, shape: Sequence[int] = ()) -> Tensor:
        """(*shape, 1, D); the gradient reaches the component drawn, not the weights."""
        k = _drawn(self.log_weight, shape)
        noise = normal([*shape, self.means.shape[-1]], self.means.device)
        return (self.means[k] + (0.5 * self.log_vars[k]).exp() * noise).unsqueeze(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        """(…, B, D) → (…, B)."""
        with torch.autocast(z.device.type, enabled=False):
            wide = torch.float32 if z.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
            means, log_vars = self.means.to(wide), self.log_vars.to(wide)
            centre = means.mean(0).detach()
            y, m, precision = z.to(wide) - centre, means - centre, (-log_vars).exp()
            constant = self.log_weight - 0.5 * (m.square() * precision + log_vars + log(2 * pi)).sum(-1)  # (K,)
            weights = torch.cat([-0.5 * precision, m * precision], -1)  # (K, 2D)
            each = torch.nn.functional.linear(torch.cat([y.square(), y], -1), weights, constant)  # (…, B, K)
            return each.to(self.means.dtype).logsumexp(-1)


class FullMixture:
    """1/K Σ_k N(μ_k, L_k L_kᵀ) over (1, D)."""

    def __init__(self, components: FullNormal) -> None:
        self.parts, self.count = components, len(components.mean)

    @property
    def mean(self) -> Tensor:
        return self.parts.mean.mean(0, keepdim=True)

    @property
    def variance(self) -> Tensor:
        return (self.parts.variance + self.parts.mean.square()).mean(0, keepdim=True) - self.mean.square()

    def rsample(self, shape: Sequence[int] = ()) -> Tensor:
        k = _drawn(self.mean.new_full((self.count,), -log(self.count)), shape)
        noise = normal([*shape, self.mean.shape[-1]], self.mean.device)
        return (self.parts.mean[k] + (self.parts.scale[k] @ noise[..., None])[..., 0]).unsqueeze(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.parts.log_prob(z[..., None, :]).logsumexp(-1) - log(self.count)


def _drawn(log_weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Component numbers of this shape, by the inverse of the weights' distribution function."""
    u = uniform(list(shape), log_weight.device) if len(shape) else uniform([1], log_weight.device)[0]
    edges = log_weight.detach().exp().cumsum(0)
    return torch.searchsorted(edges / edges[-1], u).clamp(max=len(edges) - 1)


def mixture_of(q: DiagonalNormal | FullNormal) -> GaussianMixture | FullMixture:
    """1/K Σ_k q_k, all rows of q with equal weight."""
    if isinstance(q, FullNormal):
        return FullMixture(q)
    return GaussianMixture(q.mean.new_full((len(q.mean),), -log(len(q.mean))), q.mean, q.log_var)


class Mixture(Prior):
    """K Gaussians whose weights, means and variances are learned."""

    def __init__(
        self,
        place: Place,
        *,
        components: int = 50,  # K
    ) -> None:
        super().__init__()
        if components < 1:
            raise BestiaryError(f"mixture(components={components}): a mixture has at least one component")
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, place.latent))
        self.log_var = nn.Parameter(torch.zeros(components, place.latent))

    def forward(self) -> GaussianMixture:
        return GaussianMixture(self.logits.log_softmax(0), self.mean, self.log_var)
