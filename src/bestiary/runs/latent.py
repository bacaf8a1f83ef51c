"""What a run does with its latent space: draws codes, makes x of them, and tells how far it reaches.

    codes             z ~ p(z); truncated, where p(z) = N(0, I)
    decoder           z → x under one condition, or under one for each row
    reach             how near to held-out examples the decoder can come, by inversion, beside how near it comes to
                      samples of its own, which it can make: what lies between is what the model leaves out

Legend: n codes, B batch, D latent.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from bestiary.densities.noise import normal
from bestiary.densities.normal import StandardNormal
from bestiary.errors import BestiaryError
from bestiary.measures.number import Number, Reference
from bestiary.models.invert import Inversion
from bestiary.models.model import Model
from bestiary.models.walks import truncated

__all__ = ["Analogy", "again", "codes", "decoder", "log_prior", "reach", "shown"]

Decode = Callable[[Tensor], Tensor]


class Analogy(NamedTuple):
    """x + mean(plus) − mean(minus), in codes and in pixels."""

    z: Tensor  # (B, D)
    latent: Tensor  # (B, …): what the decoder makes of these codes
    pixels: Tensor  # (B, …): the same arithmetic on the examples themselves


def codes(model: Model, n: int, device: torch.device, truncation: float | None = None) -> Tensor:
    """n draws of z ~ p(z), (n, D)."""
    if "sample" not in model.abilities:
        raise BestiaryError(f"{type(model).__name__} has no p(z) to draw codes from: encode examples instead")
    if truncation is not None:
        if "posterior" in model.abilities and not isinstance(model.prior(), StandardNormal):
            raise BestiaryError(
                "truncation= cuts off N(0, I), and this run has another prior: leave it out or fit with prior=standard"
            )
        return truncated((n, model.latent), truncation, device)
    if "posterior" in model.abilities:
        return cast(Tensor, model.prior().rsample((n,))).reshape(n, -1)
    return normal((n, model.latent), device)


def shown(model: Model) -> Decode:
    """z → x as a sample shows it: with the likelihood's noise, where numbers need it; under conditions of the data."""
    return cast(Decode, getattr(model, "show", model.decode))


def log_prior(model: Model) -> Decode | None:
    """log p(z) in nats, z (R, D) → (R,), up to a constant; None for a model without p(z)."""
    if "posterior" in model.abilities:
        return cast(Decode, model.prior().log_prob)
    return (lambda z: -0.5 * z.square().sum(1)) if "sample" in model.abilities else None


def decoder(model: Model, condition: Tensor | None, wanted: str) -> Decode:
    """z → E[x|z] under a condition, whose rows are taken again and again; `wanted`: what the run was fitted with."""
    decode: Callable[..., Tensor] = model.decode
    if condition is None:
        if wanted != "none":
            raise BestiaryError(f"this run was fitted with condition={wanted}: say under which, with condition=…")
        return decode
    return lambda z: decode(z, again(condition, 0, len(z)).to(z.device))


def again(rows: Tensor, first: int, n: int) -> Tensor:
    """n rows from number `first` on, as if they went on for ever."""
    return rows[torch.arange(first, first + n, device=rows.device) % len(rows)]


def reach(invert: Callable[[Tensor], Inversion], held: Tensor, own: Tensor, protocol: Mapping[str, Any]) -> Number:
    """The mean distance of held-out examples from what the decoder can make; `own`: samples of the model."""
    if len(held) < 2 or len(own) < 2:
        raise BestiaryError(f"the mean of an inversion error needs at least 2 examples; got {len(held)}")
    floor = Reference(*_mean(invert(own).error), "samples of the model itself in the place of examples")
    return Number(
        "inversion", "distance of held-out examples from their inversions", *_mean(invert(held).error),
        "rms difference", "lower", floor, protocol={**protocol, "n": len(held), "interval": "95%, normal"},
        says="What no code makes. At its floor the model can make all examples; the floor is what the search misses.",
    )  # fmt: skip


def _mean(values: Tensor) -> tuple[float, float, float]:
    mean, half = float(values.double().mean()), 1.96 * float(values.double().std()) / sqrt(len(values))
    return mean, mean - half, mean + half
