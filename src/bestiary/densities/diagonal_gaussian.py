"""The diagonal Gaussian N(z; μ, diag σ²) and the closed form of its divergence from another.

    log N(z; μ, σ²) = −½ Σ_d [ ((z_d − μ_d)/σ_d)² + log σ_d² + log 2π ]
    KL(N(μ, σ²) ‖ N(m, s²)) = ½ Σ_d [ (σ_d² + (μ_d − m_d)²)/s_d² − 1 − log(σ_d²/s_d²) ]

in nats, summed over the last dimension. The interface is that of torch.distributions (rsample, log_prob, mean), so a
distribution of torch or zuko can be used instead.

Legend: K samples, B batch, D latent.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import log, pi, prod
from typing import Any, Protocol

import torch
from torch import Tensor

from bestiary.training.noise import normal

__all__ = ["CLOSED_KL", "DiagonalNormal", "Distribution", "StandardNormal", "closed_kl", "widest_float"]


def widest_float(device: torch.device) -> torch.dtype:
    """The most precise floating-point type of a device: float64, or float32 on Apple's GPUs."""
    return torch.float32 if device.type == "mps" else torch.float64


class Distribution(Protocol):
    """A distribution of z, as posteriors and priors return it."""

    @property
    def mean(self) -> Tensor: ...

    @property
    def variance(self) -> Tensor: ...  # per dimension; raises BestiaryError if it has no closed form

    def rsample(self, shape: Sequence[int] = ()) -> Tensor: ...

    def log_prob(self, z: Tensor) -> Tensor: ...


class DiagonalNormal:
    """N(μ, diag exp(log_var)) for each row of μ (B, D)."""

    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        self.mean, self.log_var = mean, log_var

    @cached_property
    def std(self) -> Tensor:
        """σ; cached, since the draw and the divergence both need the exponential."""
        return (0.5 * self.log_var).exp()

    @property
    def variance(self) -> Tensor:
        return self.log_var.exp()

    @property
    def covariance(self) -> Tensor:
        """(B, D, D)."""
        return torch.diag_embed(self.variance)

    @property
    def components(self) -> "DiagonalNormal":
        """The Gaussians that represent this q in a mixture over many x: itself."""
        return self

    def rsample(self, shape: Sequence[int] = ()) -> Tensor:
        """z = μ + σ ε: (*shape, B, D)."""
        if prod(shape) == 1:  # a single draw: without broadcasting the gradient needs no sums
            noise = normal(self.mean.shape, self.mean.device)
            return torch.addcmul(self.mean, self.std, noise).reshape(*shape, *noise.shape)
        return self.mean + self.std * normal([*shape, *self.mean.shape], self.mean.device, dim=len(shape))

    def log_prob(self, z: Tensor) -> Tensor:
        """(…, B, D) → (…, B)."""
        square = (z - self.mean).square() * (-self.log_var).exp()
        return -0.5 * (square + self.log_var + log(2 * pi)).sum(-1)


class StandardNormal(DiagonalNormal):
    """N(0, I), without the terms that are zero."""

    def __init__(self, zero: Tensor) -> None:
        super().__init__(zero, zero)

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + log(2 * pi)).sum(-1)


def _kl_standard(q: DiagonalNormal, p: StandardNormal) -> Tensor:
    return 0.5 * (q.std.square() + q.mean.square() - 1 - q.log_var)


def _kl_normals(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    """KL per latent dimension, (B, D)."""
    difference = q.log_var - p.log_var
    return 0.5 * (difference.exp() + (q.mean - p.mean).square() * (-p.log_var).exp() - 1 - difference)


# (type of q, type of p) → function (q, p) → KL(q‖p) per dimension, (B, D)
CLOSED_KL: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {
    (DiagonalNormal, DiagonalNormal): _kl_normals,
    (DiagonalNormal, StandardNormal): _kl_standard,
}


def closed_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q‖p) per latent dimension (B, D) where a closed form is known, else None."""
    form = CLOSED_KL.get((type(q), type(p)))
    return None if form is None else form(q, p)
