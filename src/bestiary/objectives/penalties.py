"""Gradient penalties on a critic's slope, per example, in fp32: gp, r1, r2, r1r2.

With g(x) = ‖∇ₓ C(x)‖, for each example separately:

    gp      λ (g(x̂) − 1)²,  x̂ = u x_real + (1 − u) x_fake,  u ~ U(0, 1)     arXiv 1704.00028
            one-sided: λ [g(x̂) − 1]₊²
    r1      γ/2 g(x_real)²                                                    zero-centred: arXiv 1801.04406
    r2      γ/2 g(x_fake)²
    r1r2    both                                                              R3GAN: arXiv 2501.05441

Some libraries take one norm over the whole batch. That is another quantity: it penalises a critic of slope one more,
the larger the batch. A penalty is a function (critic, real, fake) → (B,); a new one is such a function and a line in
`PENALTIES`. The slope at a single example does not exist for a critic whose BatchNorm mixes the batch: it is refused.

Legend: B batch.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bestiary.grammar.ranges import Positive
from bestiary.networks.full_precision import fp32
from bestiary.training.noise import uniform

__all__ = ["PENALTIES", "Critic", "Penalty", "gp", "no_penalty", "r1", "r1r2", "r2", "squared_slope"]

Critic = Callable[[Tensor], Tensor]  # (B, …) → (B,) logits
Penalty = Callable[[Critic, Tensor, Tensor], Tensor]  # critic, real (B, …), fake (B, …) → (B,)

TINY = 1e-12  # smallest squared slope under the root: the derivative of the root at 0 is NaN


def squared_slope(critic: Critic, x: Tensor) -> Tensor:
    """‖∇ₓ C(x)‖² at each example (B,), differentiable. critic: x (B, …) → logits (B,)."""
    with torch.autocast(x.device.type, enabled=False), torch.enable_grad():
        x = fp32(x)
        # the weights of an unrolled critic depend on x too: a view excludes them from the slope
        x = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.flatten(1).square().sum(1)


def _gp(critic: Critic, real: Tensor, fake: Tensor, weight: float, one_sided: bool) -> Tensor:
    real, fake = fp32(real), fp32(fake)
    u = uniform((len(real), *[1] * (real.ndim - 1)), real.device).to(real.dtype)
    slope = squared_slope(critic, torch.lerp(fake, real, u)).clamp_min(TINY).sqrt()
    excess = slope - 1
    return weight * (excess.relu() if one_sided else excess).square()


def gp(
    *,
    weight: Positive = 10.0,  # λ: 10 for images, 0.1 for toys
    one_sided: bool = False,  # penalise only slopes above 1
) -> Penalty:
    """Gradient penalty: pulls the slope between real and fake examples to one."""
    return partial(_gp, weight=weight, one_sided=one_sided)


def r1(
    *,
    weight: Positive = 10.0,  # γ
) -> Penalty:
    """Pulls the slope on real examples to zero."""
    return lambda critic, real, fake: weight / 2 * squared_slope(critic, real)


def r2(
    *,
    weight: Positive = 10.0,  # γ
) -> Penalty:
    """Pulls the slope on samples to zero."""
    return lambda critic, real, fake: weight / 2 * squared_slope(critic, fake)


def r1r2(
    *,
    weight: Positive = 10.0,  # γ of each
) -> Penalty:
    """Pulls the slope on real examples and on samples to zero, which makes the game converge locally."""
    on_real, on_fake = r1(weight=weight), r2(weight=weight)
    return lambda critic, real, fake: on_real(critic, real, fake) + on_fake(critic, real, fake)


def no_penalty() -> None:
    """No penalty."""


PENALTIES: dict[str, Callable[..., Penalty | None]] = {"none": no_penalty, "gp": gp, "r1": r1, "r2": r2, "r1r2": r1r2}
