"""Games: what critic and generator minimise, as functions of the critic's logits.

With D(x) = σ(critic(x)) the probability that x is real, π the data's density and p the generator's:

    nonsaturating   critic      −log D(x_real) − log(1 − D(x_fake))            optimum D* = π/(π + p)
                    generator   −log D(x_fake)                                 (Goodfellow et al. 2014, arXiv 1406.2661)

At D* the critic's loss is 2 ln 2 − 2 JSD(π, p). The generator's gradient with respect to a logit is −(1 − D): it does
not vanish where the critic is sure that a sample is fake, as that of log(1 − D) does.

A game is a pair of functions, per example, so that a new one is two lines and one more in `GAMES`.

Legend: B batch; logits and losses (B,).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

__all__ = ["GAMES", "Game", "nonsaturating"]


class Game(NamedTuple):
    """critic(real, fake) and generator(real, fake) on logits, both minimised."""

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False  # the generator's loss looks at `real`; otherwise it is given its own logits there


nonsaturating = Game(
    critic=lambda real, fake: F.softplus(-real) + F.softplus(fake),  # −log σ(l) = softplus(−l)
    generator=lambda real, fake: F.softplus(-fake),
)

GAMES: dict[str, Game] = {"nonsaturating": nonsaturating}
