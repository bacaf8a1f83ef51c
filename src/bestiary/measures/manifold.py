"""Precision, recall, density and coverage: balls around examples, as far as their k-th neighbour.

With r_k(x, X) the distance from x to its k-th nearest in X, itself left out, and B(x) the closed ball of that radius:

    precision   share of fake in some B(real)              recall    share of real in some B(fake)      arXiv 1904.06991
    density     mean over fake of 1/k #{B(real) ∋ it}      covered   share of B(real) that hold a fake  arXiv 2002.09797

Balls are closed: where examples repeat, radii are 0 and an open ball would be empty, so that identical sets would score
0.5. A tie is decided within the rounding of the products that the distances are made of. Intervals take the radii as
given (Wilson's for shares, normal for the density). Distances are taken in blocks.

Legend: N examples, F features, k neighbours.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.frechet import same_features
from bestiary.measures.neighbours import wilson
from bestiary.measures.number import Number, Reference

__all__ = ["PRDC", "manifold_numbers", "prdc", "radii"]

ROUNDING = 1e-6  # of ‖a‖² + ‖b‖² in fp32, relative


class PRDC(NamedTuple):
    """The four shares, with what the intervals need."""

    precision: float
    recall: float
    density: float
    covered: float
    spread: float  # standard error of the density


def _squares(rows: Tensor, b: Tensor, sizes: Tensor) -> Tensor:
    """‖row − b‖² less what rounding may have added to it, never negative: (n, M)."""
    own = rows.square().sum(1, keepdim=True)
    d = torch.addmm(sizes, rows, b.T, alpha=-2).add_(own * (1 - ROUNDING))
    return d.sub_(ROUNDING * sizes).clamp_min_(0)


def radii(x: Tensor, k: int, block: int = 1024) -> Tensor:
    """r_k(x, X)² of every example, by the same products as the distances: (N,)."""
    sizes, found = x.square().sum(1), []
    for first in range(0, len(x), block):
        rows = x[first : first + block]
        d = _squares(rows, x, sizes)
        place = torch.arange(len(rows), device=x.device)
        d[place, first + place] = torch.inf  # itself
        found.append(d.topk(k, largest=False).values[:, -1])
    return torch.cat(found)


def prdc(real: Tensor, fake: Tensor, k: int = 5, block: int = 1024) -> PRDC:
    """The four of fake (M, F) against real (N, F)."""
    centre = real.float().mean(0)  # far from the origin the products would lose digits
    real, fake = real.float() - centre, fake.float() - centre
    around_real, around_fake = radii(real, k, block), radii(fake, k, block)
    sizes = real.square().sum(1)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    held = torch.zeros_like(recalled)
    counts = []
    for rows, reach in zip(fake.split(block), around_fake.split(block), strict=True):
        d = _squares(rows, real, sizes)  # (n, N)
        inside = d <= around_real
        counts.append(inside.sum(1))
        held |= inside.any(0)
        recalled |= (d <= reach[:, None]).any(0)
    count = torch.cat(counts).double()
    spread = float(count.std()) / k / len(count) ** 0.5 if len(count) > 1 else 0.0
    return PRDC(
        precision=float((count > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(count.mean()) / k,
        covered=float(held.double().mean()),
        spread=spread,
    )


def manifold_numbers(
    fake: Tensor, real: Tensor, other: Tensor, features: str, k: int = 5, protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """The four as numbers; other real examples in the place of fake ones give what can be reached. All cut to equal
    numbers."""
    fake, real, other = (x.flatten(1) for x in (fake, real, other))
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    if k < 1 or n <= k:
        raise BestiaryError(f"k={k} neighbours need more than {k} examples of each kind; there are {n}")
    found, reach = prdc(real[:n], fake[:n], k), prdc(real[:n], other[:n], k)
    said = {**(protocol or {}), "n": n, "k": k, "features": features, "interval": "95%, radii as given"}
    return [
        Number(
            name, f"{name}, {features}", getattr(found, name), *_interval(found, name, n), "ratio" if name == "density" else "share", "higher",
            ceiling=Reference(getattr(reach, name), *_interval(reach, name, n), "other real examples, as many"),
            protocol=said, says=says,
        )
        for name, says in _SAYS.items()
    ]  # fmt: skip


def _interval(found: PRDC, name: str, n: int) -> tuple[float, float]:
    if name == "density":
        return found.density - 1.96 * found.spread, found.density + 1.96 * found.spread
    return wilson(getattr(found, name) * n, n)


_SAYS = {
    "precision": "Share of samples among the data. Outliers of the data make it generous.",
    "recall": "Share of the data among the samples. Scattered samples make it generous.",
    "density": "How many balls around the data hold a sample, against k: above 1 where samples crowd the densest part.",
    "covered": "Share of balls around the data that hold a sample: what the model reaches.",
}
