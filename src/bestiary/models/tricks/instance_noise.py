"""Instance noise: x + σ ε, ε ~ N(0, I), of real and fake alike, so that they overlap (Sønderby et al. 2017, arXiv
1610.04490)."""

from torch import Tensor

from bestiary.grammar.schedules import Schedule, at
from bestiary.models.tricks.trick import Trick, not_negative
from bestiary.training.clock import Clock
from bestiary.training.noise import normal

__all__ = ["InstanceNoise"]


class InstanceNoise(Trick):
    """Noise on all that the critic sees."""

    def __init__(
        self,
        *,
        sigma: float | Schedule = 0.1,  # σ: a number or e.g. linear(0.1,0,2000)
    ) -> None:
        super().__init__()
        not_negative(noise=min(sigma.start, sigma.stop) if isinstance(sigma, Schedule) else sigma)
        self.sigma = sigma

    def shown(self, x: Tensor, clock: Clock | None) -> Tensor:
        return x if clock is None else x + at(self.sigma, clock) * normal(x.shape, x.device)
