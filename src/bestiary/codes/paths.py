"""Paths through latent space from one code to another: straight lines, and arcs that keep the norm.

    linear      z(t) = (1 − t) a + t b,   t = 0 … 1
    spherical   z(t) = ((1 − t)‖a‖ + t‖b‖) · (cos(tΩ) â + sin(tΩ) ŵ),   Ω the angle from a to b,   ŵ ⊥ â towards b

Under N(0, I) the norm of z is about √D. The middle of a straight line has a norm of only √(D/2), where the model was
never trained. The spherical path keeps the norm. For equal norms it is White's slerp (2016, arXiv 1609.04468); between
other norms the norm of slerp is not monotone, and that of this path is. It is defined everywhere: parallel codes are
joined by a straight line, opposite codes by a half circle through the axis where |â| is least, and the code 0, which
has no direction, takes that of the other end.

Legend: P paths, n points on each, D latent.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.codes.encoding import decode
from bestiary.errors import BestiaryError, unknown_name
from bestiary.models.model import Model
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, cycle_rows, select_rows

__all__ = ["WALKS", "linear", "path", "spherical", "walk"]

PARALLEL = 1e-12  # sine of an angle, in float64, below which rounding decides what is orthogonal


def linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight line: a, b (P, 1, D), t (n, 1) → (P, n, D)."""
    return (1 - t) * a + t * b


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The arc at constant angular speed, with a norm linear in t: a, b (P, 1, D), t (n, 1) → (P, n, D)."""
    norm_a, norm_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    from_a = torch.where(norm_a > 0, a, b) / torch.where(norm_a > 0, norm_a, norm_b).clamp_min(1e-300)
    to_b = torch.where(norm_b > 0, b / norm_b.clamp_min(1e-300), from_a)
    cosine = (from_a * to_b).sum(-1, keepdim=True)
    orthogonal = to_b - cosine * from_a
    sine = orthogonal.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, cosine)  # arccos of the cosine would lose half of the digits near 0 and π
    w = torch.where(sine > PARALLEL, orthogonal / sine.clamp_min(1e-300), _orthogonal(from_a))
    return linear(norm_a, norm_b, t) * ((t * angle).cos() * from_a + (t * angle).sin() * w)


def _orthogonal(u: Tensor) -> Tensor:
    """A unit vector orthogonal to each unit vector u (…, D): the axis where |u| is least, minus its projection on u."""
    axis = F.one_hot(u.abs().argmin(-1), u.shape[-1]).to(u)
    v = axis - (axis * u).sum(-1, keepdim=True) * u
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-300)


WALKS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"linear": linear, "spherical": spherical}


def path(a: Tensor, b: Tensor, n: int = 8, kind: str = "spherical") -> Tensor:
    """n points from a to b, both included: a, b (D,) → (n, D); (P, D) → (P, n, D). kind: a key of WALKS.

    Raises BestiaryError for an unknown kind, unequal shapes, n < 2, or an arc of codes with one dimension.
    """
    if kind not in WALKS:
        raise unknown_name("walk", kind, WALKS)
    if a.shape != b.shape or a.ndim not in (1, 2):
        raise BestiaryError(f"a walk joins codes (D,) or (P, D) of one shape; got {tuple(a.shape)}, {tuple(b.shape)}")
    if n < 2:
        raise BestiaryError(f"n={n}: a walk has at least two points, its ends: take n=2 or more")
    if kind == "spherical" and a.shape[-1] < 2:
        raise BestiaryError("codes with one dimension have no arc between them: take walk=linear")
    t = torch.linspace(0, 1, n, dtype=torch.float64, device=a.device)[:, None]
    return WALKS[kind](a.double()[..., None, :], b.double()[..., None, :], t).to(a.dtype)


def walk(
    model: Model, a: Tensor, b: Tensor, n: int = 8, kind: str = "spherical", c: ConditionTensors = NO_CONDITION
) -> Tensor:
    """The decoded points of a path from code a to code b: (D,) → (n, …) in model units, (P, D) → (P, n, …).

    c: one row for all paths, or one row for each. Raises BestiaryError if the model has no codes of this shape.
    """
    z = path(a, b, n, kind)
    points = z.flatten(0, -2)
    paths = len(points) // n
    path_of_point = torch.arange(paths, device=model.device).repeat_interleave(n)
    return decode(model, points, select_rows(cycle_rows(c, 0, paths), path_of_point)).unflatten(0, z.shape[:-1])
