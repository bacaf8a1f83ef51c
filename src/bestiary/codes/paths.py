"""Ways through latent space, as pure functions of codes: paths, truncated draws, arithmetic.

    linear      z(t) = (1 − t) a + t b,   t = 0 … 1
    spherical   z(t) = ((1 − t)‖a‖ + t‖b‖) · (cos(tΩ) â + sin(tΩ) ŵ),   Ω the angle from a to b,   ŵ ⊥ â towards b

Under N(0, I) the norm of z is about √D, and the middle of a straight line has only √(D/2): a place where the model was
never trained. The spherical path keeps the norm; for equal norms it is White's slerp (2016, arXiv 1609.04468), whose
norm is not monotone otherwise. It is defined everywhere: parallel codes are joined by a straight line, opposite ones
by a half circle through the axis that â is least along, and zero, which has no direction, takes that of the other end.

    truncated   z_d ~ N(0, 1) given |z_d| ≤ t: what drawing anew each z_d beyond t gives (Brock et al. 2019, arXiv
                1809.11096), drawn at once through the distribution function. It does not scale z by a factor ψ.
    analogy     z + E z(plus) − E z(minus): man with glasses − man + woman (Radford et al. 2016, arXiv 1511.06434)

Legend: P paths, n points on each, D latent.
"""

from collections.abc import Callable, Sequence
from math import erf, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.errors import BestiaryError, unknown_name
from bestiary.training.noise import uniform

__all__ = ["WALKS", "analogy", "linear", "path", "spherical", "truncated"]

PARALLEL = 1e-12  # sine of an angle, in float64, below which rounding decides what is orthogonal


def linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight line: a, b (P, 1, D), t (n, 1) → (P, n, D)."""
    return (1 - t) * a + t * b


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The turn at constant speed, its norm changing evenly: a, b (P, 1, D), t (n, 1) → (P, n, D)."""
    norm_a, norm_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    from_a = torch.where(norm_a > 0, a, b) / torch.where(norm_a > 0, norm_a, norm_b).clamp_min(1e-300)
    to_b = torch.where(norm_b > 0, b / norm_b.clamp_min(1e-300), from_a)
    cosine = (from_a * to_b).sum(-1, keepdim=True)
    aside = to_b - cosine * from_a
    sine = aside.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, cosine)  # arccos of the cosine would lose half of the digits near 0 and π
    turned = torch.where(sine > PARALLEL, aside / sine.clamp_min(1e-300), _orthogonal(from_a))
    return linear(norm_a, norm_b, t) * ((t * angle).cos() * from_a + (t * angle).sin() * turned)


def _orthogonal(u: Tensor) -> Tensor:
    """A unit vector orthogonal to each unit vector u (…, D): its least axis without what of it lies along u."""
    axis = F.one_hot(u.abs().argmin(-1), u.shape[-1]).to(u)
    aside = axis - (axis * u).sum(-1, keepdim=True) * u
    return aside / aside.norm(dim=-1, keepdim=True).clamp_min(1e-300)


WALKS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"linear": linear, "spherical": spherical}


def path(a: Tensor, b: Tensor, n: int = 8, kind: str = "spherical") -> Tensor:
    """n points from a to b, both included: a, b (D,) → (n, D); (P, D) → (P, n, D)."""
    if kind not in WALKS:
        raise unknown_name("walk", kind, WALKS)
    if a.shape != b.shape or a.ndim not in (1, 2):
        raise BestiaryError(f"a walk joins codes (D,) or (P, D) of one shape; got {tuple(a.shape)}, {tuple(b.shape)}")
    if n < 2:
        raise BestiaryError(f"n={n}: a walk has at least its two ends")
    if kind == "spherical" and a.shape[-1] < 2:
        raise BestiaryError("codes of one dimension leave no room to turn: take walk=linear")
    t = torch.linspace(0, 1, n, dtype=torch.float64, device=a.device)[:, None]
    return WALKS[kind](a.double()[..., None, :], b.double()[..., None, :], t).to(a.dtype)


def truncated(shape: Sequence[int], t: float, device: torch.device | str = "cpu") -> Tensor:
    """N(0, I) within ±t in each dimension: Φ⁻¹ of a uniform between Φ(−t) and Φ(t)."""
    if not t > 0:
        raise BestiaryError(f"truncation={t}: it is the largest |z| in any dimension, above 0, e.g. truncation=0.7")
    u = 2 * uniform(shape, device).double() - 1
    return (sqrt(2) * torch.erfinv(u * erf(t / sqrt(2)))).clamp(-t, t).float()  # erf(t) is 1 from t = 9 on


def analogy(a: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """Each of a (B, …), moved by what tells the examples of `plus` from those of `minus`, on average."""
    for name, group in (("minus", minus), ("plus", plus)):
        if not len(group) or group.shape[1:] != a.shape[1:]:
            shapes = f"{tuple(group.shape)} beside {tuple(a.shape)}"
            raise BestiaryError(f"{name}= needs at least one example of the same shape as the others; got {shapes}")
    return a - minus.mean(0) + plus.mean(0)
