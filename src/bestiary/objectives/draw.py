"""What a latent-variable objective sees: a draw of z for each x, and its densities.

    x ~ data,   z_1 … z_K ~ q(z|x),   log p(x|z),   log p(z),   log q(z|x)

Densities are computed when an objective asks for them: an objective with the closed form of KL(q‖p) never pays for
log p(z) and log q(z|x). Nothing else knows how z was drawn.

Legend: B batch, K samples, D latent; all densities (K, B) in nats.
"""

from functools import cached_property

from torch import Tensor

from bestiary.densities.full import WHOLE_KL
from bestiary.densities.normal import Distribution, closed_kl
from bestiary.training.clock import Clock

__all__ = ["Draw"]


class Draw:
    """x, z, log p(x|z), log p(z), log q(z|x), the distributions q and p, and the clock."""

    def __init__(self, x: Tensor, z: Tensor, log_px: Tensor, q: Distribution, p: Distribution, clock: Clock) -> None:
        self.x, self.z, self.log_px, self.q, self.p, self.clock = x, z, log_px, q, p, clock

    @cached_property
    def log_pz(self) -> Tensor:
        return self.p.log_prob(self.z)  # (K, B)

    @cached_property
    def log_qz(self) -> Tensor:
        return self.q.log_prob(self.z)  # (K, B)

    @cached_property
    def kl_dims(self) -> Tensor | None:
        """KL(q(z|x)‖p(z)) per latent dimension (B, D), where a closed form is known."""
        return closed_kl(self.q, self.p)

    @cached_property
    def kl(self) -> Tensor:
        """KL(q(z|x)‖p(z)) for each x (B,): in closed form where known, else its Monte Carlo estimate."""
        if self.kl_dims is not None:
            return self.kl_dims.sum(-1)
        whole = WHOLE_KL.get((type(self.q), type(self.p)))
        if whole is not None:
            return whole(self.q, self.p)  # type: ignore[arg-type]
        return (self.log_qz - self.log_pz).mean(0)
