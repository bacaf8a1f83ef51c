"""Trick `noise`: instance noise x + σ ε, ε ~ N(0, I), on real and fake examples, so that their distributions overlap.

(Sønderby et al. 2017, arXiv 1610.04490.)
"""

from torch import Tensor

from bestiary.grammar.schedules import Weight, value_at
from bestiary.models.tricks.trick import Trick
from bestiary.training.clock import Clock
from bestiary.training.noise import normal

__all__ = ["InstanceNoise"]


class InstanceNoise(Trick):
    """Instance noise on all examples that the critic sees in training."""

    def __init__(
        self,
        *,
        sigma: Weight = 0.1,  # σ: a number or e.g. linear(0.1,0,2000)
    ) -> None:
        super().__init__()
        self.sigma = sigma

    def view(self, x: Tensor, clock: Clock | None) -> Tensor:
        return x if clock is None else x + value_at(self.sigma, clock) * normal(x.shape, x.device)
