"""Penalties on a critic's slope, per example, in fp32.

With g(x) = ‖∇ₓ C(x)‖ at each x by itself:

    gp      λ (g(x̂) − 1)²,  x̂ = u x_real + (1 − u) x_fake,  u ~ U(0, 1)     arXiv 1704.00028
            one-sided: λ [g(x̂) − 1]₊²
    r1      γ/2 g(x_real)²                                                    zero-centred: arXiv 1801.04406
    r2      γ/2 g(x_fake)²
    r1r2    both                                                              R3GAN: arXiv 2501.05441

One norm over a whole batch, as some libraries take, is another thing: it punishes a critic of slope one for the size of
the batch. A penalty is a function of (critic, real, fake) that gives (B,); a new one is such a function and a line in
`PENALTIES`. A critic whose BatchNorm mixes the examples of a batch has no slope at one of them, and is refused.

Legend: B batch.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.networks.full_precision import fp32
from bestiary.training.noise import uniform

__all__ = ["PENALTIES", "Critic", "Penalty", "gp", "nothing", "r1", "r1r2", "r2", "squared_slope"]

Critic = Callable[[Tensor], Tensor]  # (B, …) → (B,) logits
Penalty = Callable[[Critic, Tensor, Tensor], Tensor]  # critic, real (B, …), fake (B, …) → (B,)

TINY = 1e-12  # under the root: ‖·‖ has no derivative at 0, and PyTorch's is NaN there


def squared_slope(critic: Critic, x: Tensor) -> Tensor:
    """‖∇ₓ C(x)‖² at each example, (B,), which may be differentiated again."""
    with torch.autocast(x.device.type, enabled=False), torch.enable_grad():
        x = fp32(x)
        # an unrolled critic's weights depend on x as well: the slope is by this use of x alone
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
    weight: float = 10.0,  # λ: 10 for images, 0.1 for toys
    one_sided: bool = False,  # only slopes above 1 are punished
) -> Penalty:
    """Slope one between real and fake."""
    return partial(_gp, weight=_positive(weight), one_sided=one_sided)


def r1(
    *,
    weight: float = 10.0,  # γ
) -> Penalty:
    """No slope on the data."""
    _positive(weight)
    return lambda critic, real, fake: weight / 2 * squared_slope(critic, real)


def r2(
    *,
    weight: float = 10.0,  # γ
) -> Penalty:
    """No slope on samples."""
    _positive(weight)
    return lambda critic, real, fake: weight / 2 * squared_slope(critic, fake)


def r1r2(
    *,
    weight: float = 10.0,  # γ of each
) -> Penalty:
    """No slope on either: local convergence where the two meet."""
    on_real, on_fake = r1(weight=weight), r2(weight=weight)
    return lambda critic, real, fake: on_real(critic, real, fake) + on_fake(critic, real, fake)


def _positive(weight: float) -> float:
    if not 0 < weight < float("inf"):
        raise BestiaryError(f"the weight of a penalty must be positive and finite; got {weight}")
    return weight


def nothing() -> None:
    """A critic that is free."""


PENALTIES: dict[str, Callable[..., Penalty | None]] = {"none": nothing, "gp": gp, "r1": r1, "r2": r2, "r1r2": r1r2}
