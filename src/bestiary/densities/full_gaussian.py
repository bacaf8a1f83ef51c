"""The Gaussian with full covariance, N(z; μ, L Lᵀ), L lower triangular with a positive diagonal.

    log N(z) = −½ |L⁻¹(z − μ)|² − Σ_d log L_dd − ½ D log 2π
    KL(N(μ, L Lᵀ) ‖ N(0, I)) = ½ [Σ_ij L_ij² + |μ|² − D] − Σ_d log L_dd

Legend: B batch, D latent.
"""

from collections.abc import Callable, Sequence
from math import log, pi

import torch
from torch import Tensor, nn

from bestiary.densities.diagonal_gaussian import StandardNormal
from bestiary.densities.posterior_and_prior import Posterior, code_field
from bestiary.errors import BestiaryError
from bestiary.training.clock import Clock
from bestiary.training.noise import normal

__all__ = ["JOINT_KL", "Full", "FullNormal"]

MAX_LATENT = 64  # D above it needs too many numbers: D (D + 3)/2 for each x


class FullNormal:
    """N(μ, L Lᵀ) for each row of μ (B, D)."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        self.mean, self.scale = mean, scale  # (B, D), (B, D, D)

    @property
    def variance(self) -> Tensor:
        return self.scale.square().sum(-1)

    @property
    def covariance(self) -> Tensor:
        """L Lᵀ: (B, D, D)."""
        with torch.autocast(self.scale.device.type, enabled=False):
            return self.scale @ self.scale.mT

    @property
    def components(self) -> "FullNormal":
        return self

    def rsample(self, shape: Sequence[int] = ()) -> Tensor:
        """z = μ + L ε: (*shape, B, D)."""
        noise = normal([*shape, *self.mean.shape], self.mean.device, dim=len(shape))
        with torch.autocast(noise.device.type, enabled=False):  # a draw in bf16 would not match log_prob in fp32
            return self.mean + torch.einsum("bij,...bj->...bi", self.scale, noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """(…, B, D) → (…, B)."""
        shape = torch.broadcast_shapes(z.shape, self.mean.shape)
        difference = (z - self.mean).reshape(-1, *shape[-2:]).permute(1, 2, 0)  # (B, D, …)
        white = torch.linalg.solve_triangular(self.scale, difference, upper=False)
        quadratic = white.square().sum(1).T.reshape(shape[:-1])
        return -0.5 * (quadratic + shape[-1] * log(2 * pi)) - self.log_det

    @property
    def log_det(self) -> Tensor:
        return self.scale.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # (B,)


def _kl_standard(q: FullNormal, p: StandardNormal) -> Tensor:
    square = q.scale.square().sum((-1, -2)) + q.mean.square().sum(-1)
    return 0.5 * (square - q.mean.shape[-1]) - q.log_det


# (type of q, type of p) → function (q, p) → KL(q‖p), (B,), for distributions whose KL is no sum over dimensions
JOINT_KL: dict[tuple[type, type], Callable[[FullNormal, StandardNormal], Tensor]] = {
    (FullNormal, StandardNormal): _kl_standard
}


class Full(Posterior):
    """A Gaussian with full covariance, for small latents."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        if latent > MAX_LATENT:
            raise BestiaryError(
                f"posterior=full with latent={latent} needs {latent * (latent + 3) // 2} encoder outputs for each x:"
                f" use latent={MAX_LATENT} or less, or posterior=iaf"
            )
        self.latent, self.code = latent, code_field(latent)
        self.head = nn.Linear(features, latent * (latent + 3) // 2)
        with torch.no_grad():  # start nearly diagonal
            self.head.weight[2 * latent :].mul_(0.01)
            self.head.bias[2 * latent :].zero_()

    def forward(self, features: Tensor, clock: Clock | None = None) -> FullNormal:
        """(B, F) → N(μ, L Lᵀ) over (B, D)."""
        mean, log_diagonal, below = (
            self.head(features).float().split([self.latent, self.latent, self.latent * (self.latent - 1) // 2], -1)
        )
        rows, columns = torch.tril_indices(self.latent, self.latent, -1, device=mean.device)
        lower = mean.new_zeros(*mean.shape[:-1], self.latent, self.latent)
        lower = lower.index_put((torch.arange(len(mean), device=mean.device)[:, None], rows, columns), below)
        return FullNormal(mean, lower + torch.diag_embed((0.5 * log_diagonal).exp()))
