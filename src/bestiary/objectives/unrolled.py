"""Unrolled critic: the generator's loss looks k steps of the critic ahead (Metz et al. 2017, arXiv 1611.02163).

    θ₀ = θ,   θ_{i+1} = θ_i − η ∇_θ L(θ_i),   i < k;     the generator descends its loss at θ_k, through all k steps

L is the critic's full loss with penalties and tricks; its gradient is that of the whole batch, which several processes
may share (`average`). θ_k depends on the generator through L, so the gradient has the term ∂θ_k/∂θ_G that alternating
steps leave out. With k = 0 this is the plain game. The steps are plain gradient descent with rate η, whatever optimiser
the critic has.

Legend: θ the critic's weights by name.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Weights", "unroll"]

Weights = dict[str, Tensor]


def unroll(
    weights: Weights, loss: Callable[[Weights], Tensor], steps: int, rate: float,
    average: Callable[[Tensor], Tensor] = lambda slope: slope,
) -> Weights:  # fmt: skip
    """θ_k after `steps` gradient steps on loss(θ), differentiable. `average`: a gradient's mean over processes."""
    for _ in range(steps):
        # allow_unused, since the last bias cancels in a Wasserstein game
        value, theta = loss(weights), list(weights.values())
        with torch.autocast(value.device.type, enabled=False):  # the backward pass in the precision of the forward pass
            slopes = torch.autograd.grad(value, theta, create_graph=True, allow_unused=True, materialize_grads=True)
        weights = {name: w - rate * average(slope) for (name, w), slope in zip(weights.items(), slopes, strict=True)}
    return weights
