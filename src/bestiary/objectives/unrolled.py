"""An unrolled critic: the generator sees how the critic would answer (Metz et al. 2017, arXiv 1611.02163).

    θ₀ = θ,   θ_{i+1} = θ_i − η ∇_θ L(θ_i),   i < k;     the generator descends ∇ of its loss at θ_k, through every step

L is the critic's own loss with all that is added to it, and its gradient that of the whole batch, of which each of
several processes has a part (`share`). θ_k depends on the generator through L, so the derivative has the term
∂θ_k/∂θ_G that plain alternation leaves out. With k = 0 this is the plain game. The steps are those of gradient descent
with rate η, though the critic's own optimiser may be another.

Legend: θ the critic's weights by name.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Weights", "unrolled"]

Weights = dict[str, Tensor]


def unrolled(
    weights: Weights, loss: Callable[[Weights], Tensor], steps: int, rate: float,
    share: Callable[[Tensor], Tensor] = lambda slope: slope,
) -> Weights:  # fmt: skip
    """θ_k, a function of whatever the loss depends on."""
    for _ in range(steps):
        # a loss need not depend on every weight: the last bias cancels in a Wasserstein game
        value, theta = loss(weights), list(weights.values())
        with torch.autocast(value.device.type, enabled=False):  # backwards in the precision of the way there
            slopes = torch.autograd.grad(value, theta, create_graph=True, allow_unused=True, materialize_grads=True)
        weights = {name: w - rate * share(slope) for (name, w), slope in zip(weights.items(), slopes, strict=True)}
    return weights
