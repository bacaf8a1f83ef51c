"""Precision, recall, density and coverage: balls around examples, as far as their k-th neighbour.

With r_k(x, X) the distance from x to its k-th nearest in X, itself left out, and B(x) the closed ball of that radius:

    precision   share of fake in some B(real)              recall    share of real in some B(fake)      arXiv 1904.06991
    density     mean over fake of 1/k #{B(real) ∋ it}      covered   share of B(real) that hold a fake  arXiv 2002.09797

Balls are closed: where examples repeat, radii are 0 and an open ball would be empty, so that identical sets would score
0.5. Distances are screened by products, in tiles; where rounding leaves open who is inside, or which neighbour is the
k-th, the differences themselves decide. That is slow where most of it is open: where examples lie in heaps whose width
is less than about a hundredth of the distance between heaps.

Intervals take the radii as given (Wilson's for shares, the wider of the precision's and the normal one for density).

Legend: N real, M fake examples, n rows and m columns of a tile, F features, k neighbours.
"""

from collections.abc import Mapping
from itertools import product
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.measures.frechet import same_features, varied
from bestiary.measures.intervals import Z, wilson
from bestiary.measures.neighbours import BLOCK, Cloud, centre_of, cloud, inside, radii_within
from bestiary.measures.number import OTHER_REAL, Number, Reference, percent, titled

__all__ = ["PRDC", "manifold_numbers", "prdc"]


class PRDC(NamedTuple):
    """The four shares, with what the intervals need."""

    precision: float
    recall: float
    density: float
    covered: float
    spread: float  # standard error of the density


def prdc(real: Tensor, fake: Tensor, k: int = 5, block: int = BLOCK) -> PRDC:
    """The four of fake (M, F) against real (N, F)."""
    centre = centre_of(real)
    around = cloud(real, centre)
    return _against(around, radii_within(around, k, block), cloud(fake, centre), k, block)


def _against(real: Cloud, reach: Tensor, fake: Cloud, k: int, block: int) -> PRDC:
    around_fake = radii_within(fake, k, block)
    count = torch.zeros(len(fake.x), dtype=torch.float64, device=reach.device)
    recalled = torch.zeros(len(real.x), dtype=torch.bool, device=reach.device)
    held = torch.zeros_like(recalled)
    for i, j in product(range(0, len(fake.x), block), range(0, len(real.x), block)):
        here, there = slice(i, i + block), slice(j, j + block)
        in_real, in_fake = inside(fake, real, here, there, around_fake[here], reach[there])
        count[here] += in_real.sum(1)
        held[there] |= in_real.any(0)
        recalled[there] |= in_fake.any(0)
    return PRDC(
        precision=float((count > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(count.mean()) / k,
        covered=float(held.double().mean()),
        spread=float(count.std()) / k / sqrt(len(count)) if len(count) > 1 else 0.0,
    )


def manifold_numbers(
    fake: Tensor, real: Tensor, other: Tensor, features: str, k: int = 5, protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """The four as numbers; other real examples in the place of fake ones give what can be reached. All cut to equal
    numbers."""
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    varied(real, features)
    centre = centre_of(real)
    around = cloud(real, centre)
    reach = radii_within(around, k, BLOCK)
    result, best = (_against(around, reach, cloud(x, centre), k, BLOCK) for x in (fake, other))
    full_protocol = {**(protocol or {}), "n": n, "k": k, "features": features, "interval": "95%, radii as given"}
    return [
        Number(
            name, titled(_TITLES.get(name, name), features), getattr(result, name), *_interval(result, name, n),
            "ratio" if name == "density" else "share", "higher",
            ceiling=Reference(getattr(best, name), *_interval(best, name, n), OTHER_REAL),
            protocol=full_protocol, says=says, detail=name == "density",
            plain=_plain(result, best) if name == "covered" else "", weight=60 if name == "covered" else 0,
        )
        for name, says in _SAYS.items()
    ]  # fmt: skip


def _plain(found: PRDC, best: PRDC) -> str:
    reached, perfect = percent(found.covered), percent(best.covered)
    if found.covered >= best.covered:
        return f"The samples reach {reached} of the data, as much as new real examples do ({perfect})."
    return f"The samples reach {reached} of the data ({perfect} would be perfect)."


def _interval(found: PRDC, name: str, n: int) -> tuple[float, float]:
    if name == "density":
        half = max(Z * found.spread, wilson(found.precision * n, n)[1] - found.precision)  # 0 of few is not surely 0
        return max(0.0, found.density - half), found.density + half
    return wilson(getattr(found, name) * n, n)


_TITLES = {"covered": "share of the data that samples reach"}

_SAYS = {
    "precision": "Share of samples within reach of a real example, which reaches as far as its k-th nearest real"
    " neighbour. Outliers in the data raise it.",
    "recall": "Share of real examples within reach of a sample, which reaches as far as its k-th nearest sample."
    " Scattered samples raise it.",
    "density": "Number of real examples that have a given sample within reach, averaged over samples, divided by k."
    " Above 1 if samples crowd the densest part of the data.",
    "covered": "Share of real examples with a sample within reach: as near as their k-th nearest real neighbour.",
}
