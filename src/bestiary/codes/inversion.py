"""From an example back to a code: the inversion of a decoder that has no encoder.

    z* = argmin_z ‖x − G(z)‖² − 2λ log p(z)

which is the most likely z if x = G(z) + N(0, λ I); for p = N(0, I) the second term is λ‖z‖² (Zhu et al. 2016, arXiv
1609.03552; Creswell and Bharath 2018, arXiv 1611.05644). λ = 0 leaves z free to go where no code was ever drawn.

By Adam, all examples at once, from several codes each: they race for a quarter of the steps, and the one that leads
goes on, its rate falling to 0. Rows do not see each other, so the code of an example does not depend on its batch.

The squares are summed over x, in model units. Legend: S starts, B batch, D latent.
"""

from collections.abc import Callable
from math import cos, pi
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError

__all__ = ["Inversion", "invert"]

Decode = Callable[[Tensor], Tensor]


class Inversion(NamedTuple):
    """Codes of examples, what the decoder makes of them, and how far that is from the examples."""

    z: Tensor  # (B, D)
    x: Tensor  # (B, …): G(z)
    error: Tensor  # (B,): root mean squared difference


def invert(
    decode: Decode,
    x: Tensor,
    starts: Tensor,
    log_pz: Decode | None = None,
    *,
    prior: float = 0.01,
    steps: int = 300,
    lr: float = 0.1,
) -> Inversion:
    """Codes of x (B, …) from `starts` (S, B, D); `decode` takes S·B or B codes, all of one start after another."""
    if steps < 1 or prior < 0 or lr <= 0:
        raise BestiaryError(f"inversion needs steps ≥ 1, lr > 0, prior ≥ 0; got steps={steps}, lr={lr}, prior={prior}")
    if not bool(torch.isfinite(x).all()):
        raise BestiaryError("x holds values that are not finite: there is no code for them")

    def loss(z: Tensor, x: Tensor) -> Tensor:
        """(R, D), (R, …) → (R,)."""
        output = decode(z)
        _check(output, x, z)
        off = (output - x).square().flatten(1).sum(1)
        return off if log_pz is None or not prior else off - 2 * prior * log_pz(z)

    s, race = len(starts), steps // 4 if len(starts) > 1 else 0
    z, xs = starts.flatten(0, 1), x.repeat(s, *[1] * (x.ndim - 1))
    z = _descend(loss, z, xs, race, lambda step: lr)
    with torch.no_grad():
        rows = torch.arange(len(x), device=x.device)
        z = z.view(s, len(x), -1)[_losses(loss, z, xs).view(s, -1).argmin(0), rows]
    z = _descend(loss, z, x, steps - race, lambda step: lr * (1 + cos(pi * step / (steps - race))) / 2)
    with torch.no_grad():
        output = decode(z)
    return Inversion(z, output, (output - x).square().flatten(1).mean(1).sqrt())


def _check(made: Tensor, x: Tensor, z: Tensor) -> None:
    if made.shape != x.shape:
        raise BestiaryError(f"the decoder makes x of shape {tuple(made.shape[1:])}; got {tuple(x.shape[1:])}")
    if torch.is_grad_enabled() and not made.requires_grad:
        raise BestiaryError("this decoder draws x pixel by pixel, and has no gradient with respect to z: use encode")


def _losses(loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, x: Tensor) -> Tensor:
    """What is not finite loses the race."""
    return torch.nan_to_num(loss(z, x), nan=torch.inf)


def _descend(
    loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, x: Tensor, steps: int, rate: Callable[[int], float]
) -> Tensor:
    """Adam on every row of z by itself."""
    z = z.detach().clone().requires_grad_()
    adam = torch.optim.Adam([z])
    with torch.enable_grad():
        for step in range(steps):
            adam.param_groups[0]["lr"] = rate(step)
            z.grad = torch.autograd.grad(loss(z, x).sum(), z)[0]  # of z alone: the decoder's weights get none
            adam.step()
    return z.detach()
