"""Inversion: the code of an example by search, for a decoder without an encoder.

    z* = argmin_z ‖x − G(z)‖² − 2λ log p(z)

This is the most likely z if x = G(z) + N(0, λ I). For p = N(0, I) the second term is λ‖z‖² (Zhu et al. 2016, arXiv
1609.03552; Creswell and Bharath 2018, arXiv 1611.05644). With λ = 0 codes may go where the prior draws none.

Adam searches for the codes of all examples at once, from several starts each. All starts run for a quarter of the
steps; then the best one continues, with a rate that falls to 0. Rows do not see each other, so the code of an example
does not depend on its batch.

The squares are summed over x, in model units. Legend: S starts, B batch, R rows, D latent.
"""

from collections.abc import Callable, Mapping
from math import cos, pi
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import student_interval
from bestiary.measures.number import Number, Reference

__all__ = ["Inversion", "inversion_number", "invert"]

Decode = Callable[[Tensor], Tensor]


class Inversion(NamedTuple):
    """Codes of examples, the decoded codes, and their distance to the examples."""

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
    """Search for the codes of examples x (B, …) from `starts` (S, B, D).

    decode: z (R, D) → x, also for R = S·B codes, all examples of one start after another. log_pz: the log-density of
    codes. prior: λ. Raises BestiaryError for options out of range, for x that is not finite or not of the decoder's
    shape, and for a decoder without gradients.
    """
    if steps < 1 or prior < 0 or lr <= 0:
        raise BestiaryError(f"inversion needs steps ≥ 1, lr > 0, prior ≥ 0; got steps={steps}, lr={lr}, prior={prior}")
    if not bool(torch.isfinite(x).all()):
        raise BestiaryError("x holds values that are not finite, and these have no code: leave out such examples")

    def loss(z: Tensor, x: Tensor) -> Tensor:
        """(R, D), (R, …) → (R,)."""
        output = decode(z)
        _check_output(output, x)
        squares = (output - x).square().flatten(1).sum(1)
        return squares if log_pz is None or not prior else squares - 2 * prior * log_pz(z)

    s = len(starts)
    race_steps = steps // 4 if s > 1 else 0
    z, repeated_x = starts.flatten(0, 1), x.repeat(s, *[1] * (x.ndim - 1))
    z = _descend(loss, z, repeated_x, race_steps, lambda step: lr)
    with torch.no_grad():
        rows = torch.arange(len(x), device=x.device)
        losses = torch.nan_to_num(loss(z, repeated_x), nan=torch.inf)  # a start that is not finite loses
        z = z.view(s, len(x), -1)[losses.view(s, -1).argmin(0), rows]
    left = steps - race_steps
    z = _descend(loss, z, x, left, lambda step: lr * (1 + cos(pi * step / left)) / 2)
    with torch.no_grad():
        output = decode(z)
    return Inversion(z, output, (output - x).square().flatten(1).mean(1).sqrt())


def _check_output(output: Tensor, x: Tensor) -> None:
    if output.shape != x.shape:
        raise BestiaryError(f"the decoder makes x of shape {tuple(output.shape[1:])}; got {tuple(x.shape[1:])}")
    if torch.is_grad_enabled() and not output.requires_grad:
        raise BestiaryError("this decoder draws x pixel by pixel, and has no gradient with respect to z: use encode")


def _descend(
    loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, x: Tensor, steps: int, rate: Callable[[int], float]
) -> Tensor:
    """Minimise the loss of every row of z by Adam. rate: step → learning rate."""
    z = z.detach().clone().requires_grad_()
    adam = torch.optim.Adam([z])
    with torch.enable_grad():
        for step in range(steps):
            adam.param_groups[0]["lr"] = rate(step)
            z.grad = torch.autograd.grad(loss(z, x).sum(), z)[0]  # of z alone: the decoder's weights get none
            adam.step()
    return z.detach()


def inversion_number(
    invert: Callable[[Tensor], Inversion], held_out: Tensor, samples: Tensor, protocol: Mapping[str, Any]
) -> Number:
    """The mean distance of held-out examples to their inversions; its floor is that of the model's own samples.

    The model can make its samples, so the floor is the error of the search. Raises BestiaryError for fewer than 2
    examples.
    """
    if len(held_out) < 2 or len(samples) < 2:
        raise BestiaryError(f"the mean inversion error needs at least 2 examples; got {len(held_out)}: use n=2 or more")
    floor = Reference(*student_interval(invert(samples).error), "samples of the model itself in the place of examples")
    return Number(
        "inversion", "distance of held-out examples from their inversions", *student_interval(invert(held_out).error),
        "rms difference", "lower", floor, protocol={**protocol, "n": len(held_out), "interval": "95%, Student"},
        says="What no code makes. At its floor the model can make all examples; the floor is what the search misses.",
    )  # fmt: skip
