"""Mixtures of Gaussians: p(z) = Σ_k w_k c_k(z), and the prior that learns one.

    log p(z) = log Σ_k exp[ log w_k − ½ Σ_d ((z_d − μ_kd)²/σ_kd² + log σ_kd² + log 2π) ]

For diagonal components the sum over d is one matrix product of (z², z) with (−½/σ², μ/σ²), without a (…, K, D) tensor.
If σ is small, z²/σ² − 2 z μ/σ² + μ²/σ² is far smaller than its three terms, and float32 would lose up to 4e-3 nats for
σ² = e^−6 in 40 dimensions. So the product is computed in float64, with the mean of the μ_k subtracted.

With r_k = w_k c_k(z)/p(z) and a_bk = g_b r_bk the gradient of Σ_b g_b log p(z_b) is

    ∂z_b = Σ_k a_bk (μ_k − z_b)/σ_k²,    ∂μ_k = Σ_b a_bk (z_b − μ_k)/σ_k²,    ∂log w_k = n_k = Σ_b a_bk
    ∂log σ_k² = ½ Σ_b a_bk (z_b − μ_k)²/σ_k² − ½ n_k

two more products of the same matrices. As one autograd function they take a third of the time of single operations.

Legend: K components, D latent, N or … leading dimensions of z.
"""

from collections.abc import Sequence
from math import log, pi
from typing import Any

import torch
from torch import Tensor, nn

from bestiary.densities.diagonal_gaussian import DiagonalNormal, widest_float
from bestiary.densities.full_gaussian import FullNormal
from bestiary.densities.posterior_and_prior import Prior, PriorSetting
from bestiary.grammar.ranges import Size
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.training.noise import normal, uniform

__all__ = ["GaussianMixture", "Mixture", "mixture_of"]


MIN_EXPONENT = -87.0  # exp below it gives denormal float32 numbers, which are twenty times slower


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
        """z (*shape, 1, D). The gradient reaches mean and variance of the drawn component, not the weights."""
        k = _draw_components(self.log_weight, shape)
        noise = normal([*shape, self.means.shape[-1]], self.means.device)
        return (self.means[k] + (0.5 * self.log_vars[k]).exp() * noise).unsqueeze(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        """(…, B, D) → (…, B)."""
        log_pz = _LogMixture.apply(z.flatten(0, -2), self.log_weight, self.means, self.log_vars)
        return log_pz.view(z.shape[:-1])


class _MixtureTerms:
    """Terms that density and gradient share, in float64 and relative to the mean of the μ_k."""

    def __init__(self, z: Tensor, means: Tensor, log_vars: Tensor) -> None:
        dtype = widest_float(z.device)
        centre = means.mean(0).to(dtype).detach()
        self.y, self.m = z.to(dtype) - centre, means.to(dtype) - centre  # (N, D), (K, D)
        self.log_vars = log_vars.to(dtype)
        self.precision = (-self.log_vars).exp()
        self.slopes = self.m * self.precision  # μ/σ²

    def log_components(self, log_weight: Tensor) -> Tensor:
        """log w_k c_k(z): (N, K)."""
        constant = (self.m * self.slopes + self.log_vars).sum(-1) + self.m.shape[1] * log(2 * pi)
        powers = torch.cat([self.y.square().mul(-0.5), self.y], -1)  # (N, 2D)
        return torch.addmm(log_weight - 0.5 * constant, powers, torch.cat([self.precision, self.slopes], -1).T)


def _log_mixture(z: Tensor, log_weight: Tensor, means: Tensor, log_vars: Tensor) -> Tensor:
    """log p(z) by single operations, for second derivatives."""
    return _MixtureTerms(z, means, log_vars).log_components(log_weight).to(means.dtype).logsumexp(-1)


class _LogMixture(torch.autograd.Function):
    """`_log_mixture` with its gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, log_weight: Tensor, means: Tensor, log_vars: Tensor) -> Tensor:
        ctx.terms = _MixtureTerms(z, means, log_vars)
        with torch.autocast(z.device.type, enabled=False):
            log_components = ctx.terms.log_components(log_weight).to(means.dtype)
        top = log_components.amax(-1, keepdim=True)
        shares = log_components.sub_(top).clamp_(min=MIN_EXPONENT).exp_()
        total = shares.sum(-1, keepdim=True)
        ctx.save_for_backward(z, log_weight, means, log_vars, shares.div_(total))
        return (top + total.log())[:, 0]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, shares = ctx.saved_tensors  # …, r (N, K)
        if torch.is_grad_enabled():  # a second derivative is wanted
            indices = [i for i, t in enumerate(inputs) if t.requires_grad]
            slopes = torch.autograd.grad(_log_mixture(*inputs), [inputs[i] for i in indices], g, create_graph=True)
            return tuple(dict(zip(indices, slopes, strict=True)).get(i) for i in range(4))
        with torch.autocast(g.device.type, enabled=False):
            return _gradients(ctx.terms, (g[:, None] * shares).to(ctx.terms.y.dtype), g.dtype)


def _gradients(terms: _MixtureTerms, a: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """∂z, ∂log w, ∂μ, ∂log σ² for a (N, K)."""
    y, m, precision = terms.y, terms.m, terms.precision
    square, linear = (a @ torch.cat([precision, terms.slopes], -1)).chunk(2, -1)  # Σ_k a/σ², Σ_k a μ/σ²: (N, D)
    second, first = (a.T @ torch.cat([y.square(), y], -1)).chunk(2, -1)  # Σ_b a y², Σ_b a y: (K, D)
    count = a.sum(0)  # n
    mass = count[:, None] * m
    spread = second - m * (2 * first - mass)  # Σ_b a (y − m)²
    return (
        (linear - y * square).to(dtype),
        count.to(dtype),
        (precision * (first - mass)).to(dtype),
        (0.5 * (precision * spread - count[:, None])).to(dtype),
    )


class FullMixture:
    """Equal mixture of Gaussians with full covariance: 1/K Σ_k N(μ_k, L_k L_kᵀ) over (1, D)."""

    def __init__(self, components: FullNormal) -> None:
        self.parts, self.count = components, len(components.mean)

    @property
    def mean(self) -> Tensor:
        return self.parts.mean.mean(0, keepdim=True)

    @property
    def variance(self) -> Tensor:
        return (self.parts.variance + self.parts.mean.square()).mean(0, keepdim=True) - self.mean.square()

    def rsample(self, shape: Sequence[int] = ()) -> Tensor:
        k = _draw_components(self.mean.new_full((self.count,), -log(self.count)), shape)
        noise = normal([*shape, self.mean.shape[-1]], self.mean.device)
        return (self.parts.mean[k] + (self.parts.scale[k] @ noise[..., None])[..., 0]).unsqueeze(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.parts.log_prob(z[..., None, :]).logsumexp(-1) - log(self.count)


def _draw_components(log_weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Random component indices of this shape, by the inverse of the weights' cumulative distribution."""
    u = uniform(list(shape), log_weight.device) if len(shape) else uniform([1], log_weight.device)[0]
    edges = log_weight.detach().exp().cumsum(0)
    return torch.searchsorted(edges / edges[-1], u).clamp(max=len(edges) - 1)


def mixture_of(q: DiagonalNormal | FullNormal) -> GaussianMixture | FullMixture:
    """The equal mixture of all rows of q: 1/K Σ_k q_k."""
    if isinstance(q, FullNormal):
        return FullMixture(q)
    return GaussianMixture(q.mean.new_full((len(q.mean),), -log(len(q.mean))), q.mean, q.log_var)


class Mixture(Prior):
    """K Gaussians whose weights, means and variances are learned."""

    def __init__(
        self,
        setting: PriorSetting,
        *,
        components: Size = 50,  # K
    ) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, setting.latent))
        self.log_var = nn.Parameter(torch.zeros(components, setting.latent))

    def forward(self, c: ConditionTensors = NO_CONDITION) -> GaussianMixture:
        return GaussianMixture(self.logits.log_softmax(0), self.mean, self.log_var)
