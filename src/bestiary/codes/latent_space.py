"""What a run does with its latent space: draws codes, makes x of them, and tells how far it reaches.

    codes             z ~ p(z|c); truncated, where p(z) = N(0, I)
    reach             how near to held-out examples the decoder can come, by inversion, beside how near it comes to
                      samples of its own, which it can make: what lies between is what the model leaves out

Legend: n codes, B batch, D latent.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bestiary.codes.inversion import Inversion
from bestiary.codes.paths import truncated
from bestiary.errors import BestiaryError
from bestiary.measures.intervals import normal_interval
from bestiary.measures.number import Number, Reference
from bestiary.models.model import Coded, Model
from bestiary.networks.conditioned import ConditionTensors, select_rows

__all__ = ["Analogy", "again", "codes", "log_prior", "reach"]

Decode = Callable[[Tensor], Tensor]


class Analogy(NamedTuple):
    """x + mean(plus) − mean(minus), in codes and in pixels."""

    z: Tensor  # (B, D)
    latent: Tensor  # (B, …): what the decoder makes of these codes
    pixels: Tensor  # (B, …): the same arithmetic on the examples themselves


def codes(model: Model, n: int, c: ConditionTensors, truncation: float | None = None) -> Tensor:
    """n draws of z ~ p(z|c), (n, …)."""
    if not isinstance(model, Coded):
        raise BestiaryError(f"{type(model).__name__} has no p(z) to draw codes from: encode examples instead")
    if truncation is None:
        return model.codes(n, c)
    if not model.standard:
        raise BestiaryError(
            "truncation= cuts off N(0, I), and this run has another prior: leave it out or fit with prior=standard"
        )
    return truncated((n, *model.code.shape), truncation, model.device)


def log_prior(model: Model, c: ConditionTensors) -> Decode | None:
    """log p(z|c) in nats, z (R, D) → (R,), up to a constant; None for a model without p(z). Rows of c go with those of
    z, again and again."""
    if not isinstance(model, Coded):
        return None
    return lambda z: model.log_pz(z, again(c, 0, len(z)))


def again(c: ConditionTensors, first: int, n: int) -> ConditionTensors:
    """n rows from number `first` on, as if they went on for ever."""
    if not c:
        return c
    rows = next(iter(c.values()))
    return select_rows(c, torch.arange(first, first + n, device=rows.device) % len(rows))


def reach(invert: Callable[[Tensor], Inversion], held: Tensor, own: Tensor, protocol: Mapping[str, Any]) -> Number:
    """The mean distance of held-out examples from what the decoder can make; `own`: samples of the model."""
    if len(held) < 2 or len(own) < 2:
        raise BestiaryError(f"the mean of an inversion error needs at least 2 examples; got {len(held)}")
    floor = Reference(*normal_interval(invert(own).error), "samples of the model itself in the place of examples")
    return Number(
        "inversion", "distance of held-out examples from their inversions", *normal_interval(invert(held).error),
        "rms difference", "lower", floor, protocol={**protocol, "n": len(held), "interval": "95%, normal"},
        says="What no code makes. At its floor the model can make all examples; the floor is what the search misses.",
    )  # fmt: skip
