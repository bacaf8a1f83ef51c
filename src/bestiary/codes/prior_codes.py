"""Codes drawn from the prior of a model, z ~ p(z|c), also truncated, and their log-density.

    truncated   z_d ~ N(0, 1) given |z_d| ≤ t: the same distribution as drawing each z_d again while it is beyond t
                (Brock et al. 2019, arXiv 1809.11096), but drawn at once by the inverse of the distribution function.
                It does not scale z by a factor ψ.

Legend: n codes, R rows.
"""

from collections.abc import Callable, Sequence
from math import erf, sqrt

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.models.model import Coded, Model
from bestiary.networks.conditioned import ConditionTensors, cycle_rows
from bestiary.training.noise import uniform

__all__ = ["draw_codes", "log_prior", "truncated_normal"]


def draw_codes(model: Model, n: int, c: ConditionTensors, truncation: float | None = None) -> Tensor:
    """n draws of z ~ p(z|c), (n, …), on the model's device. truncation: the largest |z| in any dimension.

    Raises BestiaryError if the model has no p(z), or if p(z) is to be truncated and is not N(0, I).
    """
    if not isinstance(model, Coded):
        raise BestiaryError(f"{type(model).__name__} has no p(z) to draw codes from: encode examples instead")
    if truncation is None:
        return model.codes(n, c)
    if not model.standard:
        raise BestiaryError(
            "truncation= cuts off N(0, I), and this run has another prior: leave it out or fit with prior=standard"
        )
    return truncated_normal((n, *model.code.shape), truncation, model.device)


def log_prior(model: Model, c: ConditionTensors) -> Callable[[Tensor], Tensor] | None:
    """The function z (R, …) → log p(z|c) in nats, (R,), up to a constant; None for a model without p(z).

    If there are more codes than rows of c, the rows are used in turn.
    """
    if not isinstance(model, Coded):
        return None
    return lambda z: model.log_pz(z, cycle_rows(c, 0, len(z)))


def truncated_normal(shape: Sequence[int], t: float, device: torch.device | str = "cpu") -> Tensor:
    """N(0, I) within ±t in each dimension: Φ⁻¹ of a uniform number between Φ(−t) and Φ(t)."""
    if not t > 0:
        raise BestiaryError(f"truncation={t} must be above 0, the largest |z| in any dimension: try truncation=0.7")
    u = 2 * uniform(shape, device).double() - 1
    return (sqrt(2) * torch.erfinv(u * erf(t / sqrt(2)))).clamp(-t, t).float()  # erf(t) is 1 from t = 9 on
